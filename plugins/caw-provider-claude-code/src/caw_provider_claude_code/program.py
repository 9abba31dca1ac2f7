"""Finding claude: the native program, not a script that a package manager puts before it.

The layouts that are looked for are those of the npm package ``@anthropic-ai/claude-code`` 2.1.197
and of the wheel ``claude-agent-sdk``.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from caw_core.errors import ProgramNotFoundError
from caw_provider_claude_code.errors import NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PATH_VARIABLE: Final = "CAW_CLAUDE_CODE_PATH"
INSTALL_HINT: Final = "Install it with: npm install -g @anthropic-ai/claude-code"

_VERSION_SECONDS: Final = 5.0
_NATIVE: Final = Path("@anthropic-ai") / "claude-code" / "bin" / "claude.exe"


def find_program(chosen: str | os.PathLike[str] | None, env: Mapping[str, str]) -> Path:
    """Return the claude program.

    Args:
        chosen: a path that the caller gave, or None.
        env: the environment in which it will run; its ``CAW_CLAUDE_CODE_PATH`` and ``PATH`` count.

    Raises:
        ProgramNotFoundError: there is none, or the path that was given is no file.
    """
    given = os.fspath(chosen) if chosen else env.get(PATH_VARIABLE, "")
    if given:
        path = Path(given).expanduser()
        if not path.is_file():
            hint = f"That path came from the option 'binary' or from {PATH_VARIABLE}."
            raise ProgramNotFoundError(given, hint=hint, provider=NAME)
        return _native(path.absolute())
    found = shutil.which("claude", path=env.get("PATH", os.defpath))
    if found:
        return _native(Path(found).absolute())
    for candidate in _elsewhere(env):
        if candidate.is_file():
            return candidate
    raise ProgramNotFoundError("claude", hint=INSTALL_HINT, provider=NAME)


def program_version(path: Path) -> str:
    """Ask the program for its version, such as ``"2.1.197"``; ``""`` if it does not say.

    It may take 5 seconds.
    """
    try:
        done = subprocess.run(  # noqa: S603 - the program that sessions would start
            [str(path), "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_VERSION_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    words = done.stdout.decode(errors="replace").split()
    return words[0] if done.returncode == 0 and words else ""


def _native(path: Path) -> Path:
    """Return the program that *path* is a shell script for, or *path* itself."""
    # npm links to the program, except on Windows, where it writes a script beside its packages.
    candidates = [path.parent / "node_modules" / _NATIVE]
    if path.parent.name == ".bin":
        candidates.append(path.parent.parent / _NATIVE)
    return next((candidate for candidate in candidates if candidate.is_file()), path)


def _elsewhere(env: Mapping[str, str]) -> Iterator[Path]:
    name = "claude.exe" if sys.platform == "win32" else "claude"
    home = Path(env.get("HOME") or Path.home())
    # Where claude's own installer puts it, which a service's PATH often lacks.
    yield home / ".local" / "bin" / name
    yield home / ".claude" / "local" / name
    package = importlib.util.find_spec("claude_agent_sdk")
    for folder in (package.submodule_search_locations or ()) if package else ():
        yield Path(folder) / "_bundled" / name
