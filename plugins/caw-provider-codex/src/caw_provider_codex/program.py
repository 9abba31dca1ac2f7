"""Where codex is: the native program, not the script that a package manager puts before it.

The npm package's ``codex`` is a Node script that, on Node 20, stays in front of the native
program as its parent; a signal to it leaves the program running. The layout that is looked for
here is that of the npm package ``@openai/codex`` 0.169.0 and of the wheel of the module
``codex_cli_bin``.
"""

from __future__ import annotations

import importlib
import importlib.util
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from caw_core.programs import AgentProgram
from caw_provider_codex.errors import NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SYSTEMS: Final = {"linux": "linux", "darwin": "darwin", "win32": "win32"}
_MACHINES: Final = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}


def native_program(path: Path) -> Path:
    """Return the native program behind *path*, or *path* itself where none is found behind it."""
    real = path.resolve()
    for package in _packages_of(path, real):
        for candidate in _natives_in(package):
            if candidate.is_file():
                return candidate
    return path


def _packages_of(path: Path, real: Path) -> Iterator[Path]:
    """Yield the folders of the npm package that *path* may be the script of."""
    if real.name == "codex.js":
        yield real.parent.parent
    # On Windows, and with some package managers, the script is a small shell program beside them.
    yield path.parent / "node_modules" / "@openai" / "codex"
    if path.parent.name == ".bin":
        yield path.parent.parent / "@openai" / "codex"


def _natives_in(package: Path) -> Iterator[Path]:
    system = _SYSTEMS.get(sys.platform, sys.platform)
    machine = _MACHINES.get(platform.machine().lower(), platform.machine().lower())
    name = "codex.exe" if sys.platform == "win32" else "codex"
    sibling = f"codex-{system}-{machine}"
    package = package.resolve()
    for root in (
        package / "node_modules" / "@openai" / sibling,
        package.parent / sibling,
        package,
    ):
        yield from sorted((root / "vendor").glob(f"*/bin/{name}"))


def _bundled(_: Mapping[str, str]) -> Iterator[Path]:
    if importlib.util.find_spec("codex_cli_bin") is None:
        return
    module = importlib.import_module("codex_cli_bin")
    try:
        yield Path(module.bundled_codex_path())
    except (AttributeError, OSError):
        return


CODEX: Final = AgentProgram(
    name="codex",
    provider=NAME,
    variable="CAW_CODEX_PATH",
    install_hint="Install it with: npm install -g @openai/codex",
    tested="0.169.0",
    places=_bundled,
    native=native_program,
)
