"""An agent, its program or its service failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caw_core.errors.base import CawError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from caw_core.trajectory import Turn


class ProviderError(CawError, RuntimeError):
    """The agent, its program or its service failed.

    Attributes:
        provider: the provider's name; the core fills it in where a plugin left it empty.
        session_id: caw's id of the session, likewise.
        turn: the turn with everything that was seen of it, or None where no turn was running.
        passed_over: of several providers, why each of the others was not taken, or did not begin.
    """

    def __init__(self, message: str, *, provider: str = "", session_id: str = "") -> None:
        self.provider = provider
        self.session_id = session_id
        self.turn: Turn | None = None
        self.passed_over: tuple[str, ...] = ()
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
