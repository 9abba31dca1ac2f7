"""What the caller asked for makes no sense: nothing was started."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caw_core.errors.base import CawError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence


class ConfigError(CawError, ValueError):
    """What the caller asked for cannot be understood; nothing was started."""


class _UnknownNameError(ConfigError):
    what = "name"

    def __init__(self, name: str, *, known: Iterable[str] = (), hint: str = "") -> None:
        self.name = name
        self.known = tuple(sorted(known))
        self.hint = hint
        installed = ", ".join(self.known) or "none"
        parts = [f"no {self.what} {name!r} is installed", f"Installed: {installed}"]
        super().__init__(". ".join([*parts, hint] if hint else parts))


class UnknownProviderError(_UnknownNameError):
    """No provider of that name is installed or registered."""

    what = "provider"


class UnknownStorageError(_UnknownNameError):
    """No storage answers to that URL scheme."""

    what = "storage"


class AmbiguousProviderError(ConfigError):
    """Two distributions offer the same name, and caw does not choose between them."""

    def __init__(self, name: str, *, candidates: Sequence[str]) -> None:
        self.name = name
        self.candidates = tuple(candidates)
        super().__init__(
            f"{name!r} is offered by more than one distribution: {', '.join(self.candidates)}. "
            "Uninstall all but one, or name one to block in CAW_DISABLE_PLUGINS.",
        )


class UnsupportedError(ConfigError):
    """The provider cannot honour what was asked; ``strict=True`` (or safety) forbids going on."""

    def __init__(self, message: str, *, provider: str = "", options: Sequence[str] = ()) -> None:
        self.provider = provider
        self.options = tuple(options)
        super().__init__(message)


class ConfigFileError(ConfigError):
    """A file of settings cannot be used.

    Attributes:
        path: the file.
        problem: what is wrong with it.
        line: where, counted from 1; None if that is not known.
        key: the member that is wrong, such as ``"models.codex.fast"``; ``""`` for the whole file.
    """

    def __init__(
        self,
        path: os.PathLike[str] | str,
        problem: str,
        *,
        line: int | None = None,
        key: str = "",
    ) -> None:
        self.path = str(path)
        self.problem = problem
        self.line = line
        self.key = key
        where = f"{self.path}, line {line}" if line is not None else self.path
        super().__init__(f"{where}: {problem}. Correct the file, or move it away.")


class ResumeHandleError(ConfigError):
    """A resume handle cannot be used; no program was started."""

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(
            f"cannot resume: {problem}. Pass the string that session.resume_handle gave you.",
        )


class NoTerminalError(ConfigError):
    """The user's terminal is wanted and there is none; nothing was started."""

    def __init__(self, missing: Sequence[str]) -> None:
        self.missing = tuple(missing)
        names, verb = " and ".join(self.missing), "is" if len(self.missing) == 1 else "are"
        super().__init__(
            f"there is no terminal to hand over: {names} {verb} not one. Run this in a terminal, "
            "without pipes, or use start_session(), which needs none.",
        )
