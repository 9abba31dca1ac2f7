"""Finding opencode.

What npm's package ``opencode-ai`` 1.18.33 puts on PATH is the native program itself; the vendor's
installer puts it into ``~/.opencode/bin``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from caw_core.errors import ProgramNotFoundError
from caw_provider_opencode.errors import INSTALL_HINT, NAME

if TYPE_CHECKING:
    from collections.abc import Mapping

PATH_VARIABLE: Final = "CAW_OPENCODE_PATH"

_VERSION_SECONDS: Final = 10.0


def find_program(chosen: str | os.PathLike[str] | None, env: Mapping[str, str]) -> Path:
    """Return the opencode program.

    Args:
        chosen: a path that the caller gave, or None.
        env: the environment in which it will run; its ``CAW_OPENCODE_PATH`` and ``PATH`` count.

    Raises:
        ProgramNotFoundError: there is none, or the path that was given is no file.
    """
    given = os.fspath(chosen) if chosen else env.get(PATH_VARIABLE, "")
    if given:
        path = Path(given).expanduser()
        if not path.is_file():
            hint = f"That path came from the option 'binary' or from {PATH_VARIABLE}."
            raise ProgramNotFoundError(given, hint=hint, provider=NAME)
        return path.absolute()
    found = shutil.which("opencode", path=env.get("PATH", os.defpath))
    if found:
        return Path(found).absolute()
    name = "opencode.exe" if sys.platform == "win32" else "opencode"
    installed = Path(env.get("HOME") or Path.home()) / ".opencode" / "bin" / name
    if not installed.is_file():
        raise ProgramNotFoundError("opencode", hint=INSTALL_HINT, provider=NAME)
    return installed


def program_version(path: Path) -> str:
    """Ask the program for its version, such as ``"1.18.33"``; ``""`` if it does not say.

    It may take 10 seconds.
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
