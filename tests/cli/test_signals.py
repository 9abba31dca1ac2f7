"""Signals that come while the terminal is being drawn."""

from __future__ import annotations

import signal

import pytest

from caw_core.cli.signals import TerminatedError, raising_on_termination, signals_held


def test_ctrl_c_takes_effect_after_what_it_must_not_cut() -> None:
    done = []

    def draw() -> None:
        with signals_held():
            signal.raise_signal(signal.SIGINT)
            done.append("all")

    with pytest.raises(KeyboardInterrupt):
        draw()
    assert done == ["all"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_termination_takes_effect_after_what_it_must_not_cut() -> None:
    done = []

    def draw() -> None:
        with raising_on_termination(), signals_held():
            signal.raise_signal(signal.SIGTERM)
            done.append("all")

    with pytest.raises(TerminatedError):
        draw()
    assert done == ["all"]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_what_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals_held():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
