"""Install the real agent programs, at pinned versions, when a test first asks for one."""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path

from platformdirs import user_cache_path

from caw_testkit.filelock import file_lock

__all__ = [
    "Pin",
    "Program",
    "ProgramInstallError",
    "UnknownProgramError",
    "installed_program",
    "pins",
    "programs_dir",
]

_INSTALL_SECONDS = 900.0


@dataclass(frozen=True, kw_only=True)
class Pin:
    """Which npm package a program comes from, and at which version."""

    name: str
    package: str
    version: str
    binary: tuple[str, ...]
    """Where the native executable lies below ``node_modules``, as patterns, best first."""

    @property
    def spec(self) -> str:
        """The package and its version as npm takes them."""
        return f"{self.package}@{self.version}"


@dataclass(frozen=True, kw_only=True)
class Program:
    """A real program on this disk."""

    name: str
    version: str
    path: Path
    """The native executable, never a wrapper: killing its process kills the program."""


class UnknownProgramError(LookupError):
    """No program of this name is pinned."""

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        """Say which name was asked for and which ones exist."""
        super().__init__(f"no program {name!r} is pinned; there are: {', '.join(known)}")
        self.name = name
        self.known = known

    def __reduce__(self) -> tuple[type[UnknownProgramError], tuple[str, tuple[str, ...]]]:
        """Pickle by the arguments, not by the message."""
        return type(self), (self.name, self.known)


class ProgramInstallError(RuntimeError):
    """A program could not be installed; ``output`` holds what npm said."""

    def __init__(self, what: str, reason: str, output: str = "") -> None:
        """Say what should have been installed, why it failed, and npm's own words."""
        text = f"cannot install {what}: {reason}"
        super().__init__(f"{text}\n{output.strip()}" if output.strip() else text)
        self.what = what
        self.reason = reason
        self.output = output

    def __reduce__(self) -> tuple[type[ProgramInstallError], tuple[str, str, str]]:
        """Pickle by the arguments, not by the message."""
        return type(self), (self.what, self.reason, self.output)


@cache
def _pin_table() -> tuple[Pin, ...]:
    table = tomllib.loads(files("caw_testkit").joinpath("programs.toml").read_text("utf-8"))
    return tuple(
        Pin(
            name=name,
            package=entry["package"],
            version=entry["version"],
            binary=tuple(entry["binary"]),
        )
        for name, entry in table.items()
    )


def pins() -> dict[str, Pin]:
    """Return the pinned programs by name."""
    return {pin.name: pin for pin in _pin_table()}


def programs_dir() -> Path:
    """Return the folder that programs are installed below.

    ``CAW_PROGRAMS_DIR`` names it; without that variable it is ``caw/programs`` in the cache
    folder of the user.
    """
    chosen = os.environ.get("CAW_PROGRAMS_DIR")
    return Path(chosen).absolute() if chosen else user_cache_path("caw") / "programs"


def installed_program(
    name: str, *, version: str | None = None, timeout: float = _INSTALL_SECONDS
) -> Program:
    """Return the real program *name*, installing it with npm when it is not there yet.

    Processes that ask at the same time wait for the one that installs. A program is either
    wholly there or not at all: it is installed aside and renamed into place.

    Args:
        name: ``codex``, ``claude`` or ``opencode``.
        version: an npm version to use in place of the pinned one.
        timeout: seconds that the installation may take, and that waiting for another process
            may take.

    Raises:
        UnknownProgramError: *name* is not pinned.
        ProgramInstallError: npm is missing, failed, or took too long, or the package holds no
            executable for this platform.
    """
    known = pins()
    if name not in known:
        raise UnknownProgramError(name, tuple(known))
    pin = known[name]
    if version is not None:
        pin = replace(pin, version=version)
    place = programs_dir() / f"{name}-{pin.version}"
    if not place.is_dir():
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            with file_lock(place.with_name(f".{place.name}.lock"), timeout=timeout):
                if not place.is_dir():
                    _install(pin, place, timeout=timeout)
        except TimeoutError as error:
            raise ProgramInstallError(pin.spec, str(error)) from error
    return Program(name=name, version=pin.version, path=_executable(pin, place))


def _install(pin: Pin, place: Path, *, timeout: float) -> None:
    what = pin.spec
    npm = shutil.which("npm")
    if npm is None:
        raise ProgramInstallError(what, "npm was not found on PATH; install Node.js 20 or newer")
    aside = place.with_name(f".{place.name}.partial")
    # Only the holder of the lock comes here, so what lies there was left by a killed process.
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    command = [npm, "install", "--prefix", str(aside), "--no-audit", "--no-fund"]
    # The packages' own scripts put the native program in place; the user may have them off.
    command += ["--ignore-scripts=false", what]
    try:
        done = subprocess.run(  # noqa: S603 - fixed arguments, no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
        if done.returncode != 0:
            reason = f"npm ended with exit code {done.returncode}"
            raise ProgramInstallError(what, reason, done.stdout)
        _executable(pin, aside)
        aside.rename(place)
    except subprocess.TimeoutExpired as error:
        reason = f"npm was not done after {timeout:g} s"
        raise ProgramInstallError(what, reason, _decoded(error.output)) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _decoded(output: bytes | str | None) -> str:
    # TimeoutExpired holds bytes even when text was asked for.
    return output.decode(errors="replace") if isinstance(output, bytes) else output or ""


def _executable(pin: Pin, place: Path) -> Path:
    modules = place / "node_modules"
    for pattern in pin.binary:
        for found in sorted(modules.glob(pattern)):
            if found.is_file():
                return found
    reason = f"{place} holds no executable for this platform (looked for {', '.join(pin.binary)})"
    raise ProgramInstallError(pin.spec, reason)
