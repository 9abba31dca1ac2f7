"""A deadline for something of several steps."""

from __future__ import annotations

import pytest

from caw_core.deadlines import Deadline
from caw_core.errors import DeadlineError


def test_what_is_left_becomes_less_and_is_never_nothing() -> None:
    running = Deadline("start", 1000.0)
    first, second = running.left, running.left
    assert first is not None
    assert second is not None
    assert 0 < second <= first <= 1000
    over = Deadline("start", 0.0)
    assert over.left == pytest.approx(0.001)


def test_without_seconds_it_never_ends() -> None:
    assert Deadline("start", None).left is None


def test_error_says_which_deadline_it_was_and_what_was_waited_for() -> None:
    error = Deadline("start", 5, provider="sums").error("The abacus was silent.")
    assert isinstance(error, DeadlineError)
    assert (error.kind, error.seconds, error.provider) == ("start", 5, "sums")
    assert "The abacus was silent." in str(error)
