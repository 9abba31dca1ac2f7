"""The existing wrapper, installed into an environment of its own to be measured beside caw."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import platformdirs

if TYPE_CHECKING:
    from pathlib import Path

# mcp 2 took away a module that the wrapper imports, and the wrapper states no upper bound.
REQUIREMENTS = ("coding-agent-wrapper==0.1.9", "mcp<2")


def wrapper_python() -> Path:
    """Return the Python that can ``import caw``; the first call of a machine installs it."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = platformdirs.user_cache_path("caw") / f"bench/existing-wrapper-0.1.9-py{version}"
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    done = folder / "installed"
    if not done.exists():
        print(f"installing {REQUIREMENTS[0]} to {folder}, once", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "-qq", *REQUIREMENTS], check=True)
        done.touch()
    return python
