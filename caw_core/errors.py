"""Every error that caw raises, in one tree.

::

    CawError
    ├── ConfigError(ValueError)
    │   ├── UnknownProviderError        .name .known .hint
    │   ├── UnknownStorageError         .name .known .hint
    │   ├── AmbiguousProviderError      .name .candidates
    │   ├── UnsupportedError            .provider .options
    │   └── ResumeHandleError           .problem
    ├── PluginError                     .name .distribution
    │   ├── PluginLoadError             the plugin could not be imported
    │   ├── PluginApiError              it was written for another major version of caw
    │   └── PluginInvalidError          .problems
    ├── ProviderError(RuntimeError)     .provider .session_id .turn
    │   ├── NotReadyError
    │   ├── ProgramNotFoundError(FileNotFoundError)   .program
    │   ├── AuthError
    │   ├── LimitError                  .kind .resets_at .source
    │   ├── ContextLimitError
    │   ├── ModelError                  .model
    │   ├── ConnectionFailedError(ConnectionError)
    │   ├── ProcessError                .exit_code .signal .stderr_tail
    │   ├── ProtocolError
    │   ├── NotResumableError
    │   ├── DeadlineError(TimeoutError) .kind .seconds
    │   ├── BudgetError
    │   ├── StructuredOutputError       .text .problems
    │   └── TurnInterruptedError
    ├── SessionStateError(RuntimeError)
    │   └── SessionBusyError            .holder
    ├── TrajectoryError(ValueError)
    │   ├── TrajectoryFormatError       .problems
    │   └── TrajectoryVersionError      .version
    └── StorageError
        └── PersistError(ExceptionGroup) .turn

A message says what happened and then what to do. Facts are attributes, so that programs need not
read texts. All of them pickle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from caw_core.trajectory import Turn


def _rebuild(
    cls: type[BaseException], args: tuple[Any, ...], state: dict[str, Any]
) -> BaseException:
    # The builtin that gives the object its layout; ``cls.__new__`` may be the one of another base.
    layout = cls
    while layout.__module__ != "builtins":
        layout = layout.__base__  # type: ignore[assignment]  # an exception, as cls is one
    error = layout.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class CawError(Exception):
    """Base of every error that caw raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        # The constructors take keywords that ``args`` does not hold, so pickle's way would fail.
        return _rebuild, (type(self), self.args, self.__dict__)


# ---------------------------------------------------------------------------------- configuration


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


class ResumeHandleError(ConfigError):
    """A resume handle cannot be used; no program was started."""

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(
            f"cannot resume: {problem}. Pass the string that session.resume_handle gave you.",
        )


# ---------------------------------------------------------------------------------------- plugins


class PluginError(CawError):
    """A fact about one plugin; other plugins go on working."""

    def __init__(self, message: str, *, name: str = "", distribution: str = "") -> None:
        self.name = name
        self.distribution = distribution
        super().__init__(message)


class PluginLoadError(PluginError):
    """Importing the plugin failed; ``__cause__`` is the import's own error."""


class PluginApiError(PluginError):
    """The plugin states no ``caw_api``, or one of another major version."""


class PluginInvalidError(PluginError):
    """The plugin breaks the hook contract; ``problems`` lists every way in which it does."""

    def __init__(
        self,
        name: str,
        problems: Sequence[str],
        *,
        distribution: str = "",
    ) -> None:
        self.problems = tuple(problems)
        listing = "\n".join(f"  - {problem}" for problem in self.problems)
        super().__init__(
            f"plugin {name!r} cannot be used:\n{listing}",
            name=name,
            distribution=distribution,
        )


# -------------------------------------------------------------------------------------- providers


class ProviderError(CawError, RuntimeError):
    """The agent, its program or its service failed.

    Attributes:
        provider: the provider's name; the core fills it in where a plugin left it empty.
        session_id: caw's id of the session, likewise.
        turn: the turn with everything that was seen of it, or None where no turn was running.
    """

    def __init__(self, message: str, *, provider: str = "", session_id: str = "") -> None:
        self.provider = provider
        self.session_id = session_id
        self.turn: Turn | None = None
        super().__init__(message)


class NotReadyError(ProviderError):
    """None of the providers that might be taken is ready; the message says why for each."""


class ProgramNotFoundError(ProviderError, FileNotFoundError):
    """The agent's program is not on PATH."""

    def __init__(self, program: str, *, hint: str = "", provider: str = "") -> None:
        message = f"the program {program!r} was not found. {hint}".strip()
        super().__init__(message, provider=provider)
        self.program = program
        self.hint = hint


class AuthError(ProviderError):
    """The agent is not logged in, or its key was refused."""


class LimitError(ProviderError):
    """The service refuses for now.

    Attributes:
        kind: ``"rate"`` (too many requests), ``"usage"`` (a plan's quota is used up) or
            ``"overloaded"`` (the service has no capacity).
        resets_at: when the service said that the limit ends, timezone-aware; None if it did not.
        source: where that was read, e.g. ``"codexErrorInfo"`` or ``"retry-after"``.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: str,
        resets_at: datetime | None = None,
        source: str = "",
        provider: str = "",
    ) -> None:
        super().__init__(message, provider=provider)
        self.kind = kind
        self.resets_at = resets_at
        self.source = source


class ContextLimitError(ProviderError):
    """The conversation no longer fits into the model's context window."""


class ModelError(ProviderError):
    """The service does not know the model, or does not let this account use it."""

    def __init__(self, message: str, *, model: str = "", provider: str = "") -> None:
        super().__init__(message, provider=provider)
        self.model = model


class ConnectionFailedError(ProviderError, ConnectionError):
    """The service could not be reached, or dropped the connection and did not come back."""


class ProcessError(ProviderError):
    """The agent's program ended when it should not have, or could not be started.

    Attributes:
        exit_code: the exit status, or None if a signal ended the program.
        signal: the signal's number, or None.
        stderr_tail: the last part of what the program wrote to stderr.
    """

    def __init__(
        self,
        message: str,
        *,
        exit_code: int | None = None,
        signal: int | None = None,
        stderr_tail: str = "",
        provider: str = "",
    ) -> None:
        super().__init__(message, provider=provider)
        self.exit_code = exit_code
        self.signal = signal
        self.stderr_tail = stderr_tail

    def again(self, provider: str = "") -> ProcessError:
        """Return a copy to raise, for each of several who waited for the same program.

        One object raised in several threads would collect the tracebacks of all of them.

        Args:
            provider: the provider's name, where the error does not have it yet.
        """
        return ProcessError(
            str(self),
            exit_code=self.exit_code,
            signal=self.signal,
            stderr_tail=self.stderr_tail,
            provider=provider or self.provider,
        )


class ProtocolError(ProviderError):
    """The agent's program answered in a way that its protocol does not allow."""


class NotResumableError(ProviderError):
    """The agent no longer has the conversation, or the provider cannot resume at all."""


class DeadlineError(ProviderError, TimeoutError):
    """A deadline passed; ``kind`` says which one of `Deadlines`' fields it was."""

    def __init__(self, kind: str, seconds: float, *, provider: str = "", hint: str = "") -> None:
        super().__init__(
            f"the {kind!r} deadline of {seconds:g} s passed. {hint}".strip(),
            provider=provider,
        )
        self.kind = kind
        self.seconds = seconds


class BudgetError(ProviderError):
    """The session's budget is used up; `caw_core.budget.Budget` says what it was."""


class StructuredOutputError(ProviderError):
    """The agent's answer does not have the form that was asked for; the turn is kept.

    Attributes:
        text: the last answer, as it came.
        problems: what is wrong with it.
    """

    def __init__(self, text: str, problems: Sequence[str], *, provider: str = "") -> None:
        self.text = text
        self.problems = tuple(problems)
        super().__init__(
            "the answer does not have the form that was asked for: " + "; ".join(self.problems),
            provider=provider,
        )


class TurnInterruptedError(ProviderError):
    """The turn was ended by somebody else than the caller who waits for it, e.g. by ``end()``."""


# --------------------------------------------------------------------------------------- sessions


class SessionStateError(CawError, RuntimeError):
    """The session cannot do that now, e.g. because it has ended."""


class SessionBusyError(SessionStateError):
    """Somebody else holds the session: another writer, another process, another turn."""

    def __init__(self, message: str, *, holder: str = "") -> None:
        self.holder = holder
        super().__init__(message)


# ---------------------------------------------------------------------------------------- records


class TrajectoryError(CawError, ValueError):
    """A stored trajectory cannot be read."""


class TrajectoryFormatError(TrajectoryError):
    """The document is not a trajectory; ``problems`` says where, e.g. ``$.turns[0].index``."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("not a valid trajectory: " + "; ".join(self.problems))


class TrajectoryVersionError(TrajectoryError):
    """The document was written by a newer version of caw."""

    def __init__(self, version: object, *, newest: int) -> None:
        self.version = version
        super().__init__(
            f"the trajectory has version {version!r}, this caw reads up to {newest}. "
            "Upgrade caw-core.",
        )


class StorageError(CawError):
    """A storage did not do what it was asked to; it never means that a session does not exist."""


class PersistError(StorageError, ExceptionGroup):
    """A finished turn could not be stored everywhere; it is kept, `Session.flush` tries again.

    Attributes:
        turn: the turn that is at stake.
    """

    turn: Turn | None = None

    def derive(self, excs: Sequence[Exception], /) -> PersistError:  # type: ignore[override]  # ours holds Exceptions only
        """Return a group of the same kind that holds *excs* (`ExceptionGroup`'s contract)."""
        group = PersistError(self.message, excs)
        group.turn = self.turn
        return group
