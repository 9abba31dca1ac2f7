"""Finding codex: the native program, not the script that a package manager puts before it.

The npm package's ``codex`` is a Node script that, on Node 20, stays in front of the native
program as its parent; a signal to it leaves the program running. The layout that is looked for
here is that of the npm package ``@openai/codex`` 0.169.0 and of the wheel of the module
``codex_cli_bin``.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from caw_core.errors import ProgramNotFoundError
from caw_provider_codex.errors import NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PATH_VARIABLE: Final = "CAW_CODEX_PATH"
INSTALL_HINT: Final = "Install it with: npm install -g @openai/codex"

_VERSION_SECONDS: Final = 5.0
_SYSTEMS: Final = {"linux": "linux", "darwin": "darwin", "win32": "win32"}
_MACHINES: Final = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}


def find_program(chosen: str | os.PathLike[str] | None, env: Mapping[str, str]) -> Path:
    """Return the native codex program.

    Args:
        chosen: a path that the caller gave, or None.
        env: the environment in which it will run; its ``CAW_CODEX_PATH`` and ``PATH`` count.

    Raises:
        ProgramNotFoundError: there is none, or the path that was given is no file.
    """
    given = os.fspath(chosen) if chosen else env.get(PATH_VARIABLE, "")
    if given:
        path = Path(given).expanduser()
        if not path.is_file():
            hint = f"That path came from the option 'binary' or from {PATH_VARIABLE}."
            raise ProgramNotFoundError(given, hint=hint, provider=NAME)
        return native_program(path.absolute())
    found = shutil.which("codex", path=env.get("PATH", os.defpath))
    if found:
        return native_program(Path(found).absolute())
    bundled = _bundled_program()
    if bundled is None:
        raise ProgramNotFoundError("codex", hint=INSTALL_HINT, provider=NAME)
    return bundled


def native_program(path: Path) -> Path:
    """Return the native program behind *path*, or *path* itself where none is found behind it."""
    real = path.resolve()
    for package in _packages_of(path, real):
        for candidate in _natives_in(package):
            if candidate.is_file():
                return candidate
    return path


def program_version(path: Path) -> str:
    """Ask the program for its version, such as ``"0.169.0"``; ``""`` if it does not say.

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
    return words[-1] if done.returncode == 0 and words else ""


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


def _bundled_program() -> Path | None:
    if importlib.util.find_spec("codex_cli_bin") is None:
        return None
    module = importlib.import_module("codex_cli_bin")
    try:
        return Path(module.bundled_codex_path())
    except (AttributeError, OSError):
        return None
