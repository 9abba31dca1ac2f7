"""Finding the command-line program that an agent is, and asking it for its version."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from caw_core.errors import ProgramNotFoundError
from caw_core.own_options import own_option

OPTION: Final = "binary"
"""The provider's own option by which a caller names the program."""

_VERSION: Final = re.compile(r"\d+(?:\.\w+)+(?:[-+][\w.]+)*")
_VERSION_SECONDS: Final = 10.0


def _nowhere(_: Mapping[str, str]) -> Iterable[Path]:
    return ()


def _itself(path: Path) -> Path:
    return path


@attrs.frozen(kw_only=True)
class AgentProgram:
    """What a provider knows of the program that it drives.

    Attributes:
        name: what the program is called on PATH.
        provider: the provider's name, for errors.
        variable: the variable that names another program, e.g. ``"CAW_CODEX_PATH"``.
        install_hint: how to get the program, for people.
        tested: the version that the provider was tested with, such as ``"0.169.0"`` or ``"2.1"``.
        places: given the environment, where it may be besides PATH, the best place first.
        native: given a path, the program that a package manager's script there stands for. A
            signal to a script may leave the program that it started running.
    """

    name: str
    provider: str
    variable: str
    install_hint: str
    tested: str
    places: Callable[[Mapping[str, str]], Iterable[Path]] = _nowhere
    native: Callable[[Path], Path] = _itself

    def find(self, env: Mapping[str, str], options: Mapping[str, Any]) -> Path:
        """Return where the program is: as the caller says, else on PATH, else in its `places`.

        Args:
            env: the whole environment in which it will run.
            options: the provider's own options, of which ``binary`` may name the program.

        Raises:
            ConfigError: the option is no path.
            ProgramNotFoundError: there is none, or the path that was given is no file.
        """
        given = self._given(env, options)
        if given:
            path = Path(given).expanduser()
            if not path.is_file():
                hint = f"That path came from the option {OPTION!r} or from {self.variable}."
                raise ProgramNotFoundError(given, hint=hint, provider=self.provider)
            return self.native(path.absolute())
        found = shutil.which(self.name, path=env.get("PATH", os.defpath))
        if found:
            return self.native(Path(found).absolute())
        for place in self.places(env):
            if place.is_file():
                return place
        raise ProgramNotFoundError(self.name, hint=self.install_hint, provider=self.provider)

    def is_tested(self, version: str) -> bool:
        """Tell whether *version* agrees with `tested` in its first two numbers."""
        return version_numbers(version)[:2] == version_numbers(self.tested)[:2]

    def _given(self, env: Mapping[str, str], options: Mapping[str, Any]) -> str:
        kinds = (str, os.PathLike)
        chosen = own_option(options, OPTION, kinds, "a path", provider=self.provider)
        return os.fspath(chosen or env.get(self.variable, ""))


def program_version(program: Path) -> str:
    """Start ``PROGRAM --version`` and return the first version in its output, as ``"2.1.197"``.

    May take 10 seconds.

    Returns:
        ``""`` if the program cannot be started, fails, or prints no version.
    """
    try:
        done = subprocess.run(  # noqa: S603 - the program that sessions would start
            [str(program), "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_VERSION_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = _VERSION.search(done.stdout.decode(errors="replace"))
    return found[0] if found and done.returncode == 0 else ""


def version_numbers(version: str) -> tuple[int, ...]:
    """Return the numbers that a version begins with, such as ``(2, 1, 197)``, to compare them.

    Empty for what is no version; check that first, since nothing is less than any version.
    """
    found = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found else ()


class ProgramVersions:
    """Remembers programs' versions, each for as long as its file stays as it is."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int, int], str] = {}

    def of(self, program: Path) -> str:
        """Return what `program_version` says; ``""`` is not remembered, it may be a slow moment."""
        try:
            state = program.stat()
        except OSError:
            return ""
        key = (str(program), state.st_mtime_ns, state.st_size)
        version = self._known.get(key) or program_version(program)
        if version:
            self._known[key] = version
        return version
