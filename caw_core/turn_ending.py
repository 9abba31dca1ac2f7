"""How a turn that was stopped, or that failed, is recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from caw_core.errors import CawError, DeadlineError, ProcessError, ProviderError
from caw_core.events import TurnEnded
from caw_core.trajectory import ErrorInfo, TurnStatus

if TYPE_CHECKING:
    from caw_core.trajectory import SessionInfo, Turn

Stopper = str | CawError | TurnEnded
"""Who ended a turn early: somebody, an error that is then raised, or the way in which it ended."""

BY_CALLER = "caller"
BY_END = "end"


def failure(error: BaseException) -> CawError:
    """Return *error* as one that callers know; one of a plugin's own becomes a `ProviderError`."""
    if isinstance(error, CawError):
        return error
    problem = f"{type(error).__name__}: {error}"
    wrapped = ProviderError(f"the provider failed unexpectedly with {problem}")
    wrapped.__cause__ = error
    return wrapped


def placed(error: CawError | None, info: SessionInfo, turn: Turn | None = None) -> CawError | None:
    """Fill in where an error of a provider came about, as far as its plugin left that open.

    Args:
        error: it, or an error of another kind, or None.
        info: the session.
        turn: the turn; None outside of one.
    """
    if isinstance(error, ProviderError):
        error.turn = turn
        error.provider = error.provider or info.provider
        error.session_id = error.session_id or info.session_id
    return error


def failed(error: CawError, *, sent: bool) -> TurnEnded:
    """Return the end of a turn that failed with *error*.

    Args:
        error: what it failed with.
        sent: whether the agent was given the prompt.
    """
    # A program that died may have done things that nobody saw.
    status: TurnStatus = "unknown" if sent and isinstance(error, ProcessError) else "failed"
    return TurnEnded(stop_reason=None, status=status)


def completed(
    end: TurnEnded, error: CawError | None, by: Stopper | None
) -> tuple[TurnEnded, CawError | None]:
    """Return the whole end of a turn, and the error that its caller is to see.

    Args:
        end: how it ended, as far as the provider says.
        error: what it failed with.
        by: who asked for its end.
    """
    # An agent that came to its own end just before it was stopped has come to its own end.
    if end.stop_reason == "cancelled":
        end = attrs.evolve(end, status="interrupted")
        if isinstance(by, TurnEnded):
            end = by
        elif isinstance(by, DeadlineError):
            end, error = TurnEnded(stop_reason=None, status="failed"), by
        elif isinstance(by, CawError):
            error = by
    if error is not None:
        end = attrs.evolve(end, error=ErrorInfo.of(error))
    return attrs.evolve(end, status=end.status or "completed"), error
