"""A process that writes one session with the author's storage; the checks start and kill it.

``python -m caw_testkit.conformance.storage_writer CLASS_FILE CLASS FOLDER SESSION_ID PLAN [SKEW]``

A line on stdout says what has been done: ``leased`` or ``busy HOLDER``, then ``running I``, ``tool
I`` and ``ended I`` once `persist_turn` has returned for that state of turn I. PLAN is ``hold``
(take the lease and no more), ``begin`` (one turn that does not end), ``step`` (one turn for each
line on stdin), ``run`` (turn after turn), ``publish`` (one event for each line on stdin, with
``published I``) or ``follow`` (without a lease: ``following``, and then ``seen TURN.NUMBER`` for
each event that is published). Python's clock in the process goes SKEW seconds before that of the
others. The process ends when its stdin does.
"""

from __future__ import annotations

import functools
import importlib
import itertools
import os
import sys
import threading
import time
import types
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, cast

import attrs

from caw_core.blocks import TextBlock
from caw_core.errors import SessionBusyError
from caw_core.events import TextDelta
from caw_core.storage import LiveEvent
from caw_testkit.conformance.storage_samples import head, running_turn, simple_turn

if TYPE_CHECKING:
    from caw_core.trajectory import Turn
    from caw_testkit.conformance.storage_opened import OpenedStorage
    from caw_testkit.conformance.storage_suite import StorageSuite

_PACKAGE = "caw_conformance_class"
_LONG_WAIT = 600.0
"""Longer than any check has patience, so that a wait that nothing ends shows."""


def states_of(index: int) -> tuple[Turn, Turn, Turn]:
    """Return what is stored of a turn: as it begins, with tool calls, and at its end."""
    seen = running_turn(index)
    text = TextBlock(text=f"answer {index} " + "x" * 20_000)
    final = simple_turn(index, output=(*seen.output[:2], text))
    return attrs.evolve(seen, output=()), seen, final


def main() -> None:
    """Do as the arguments say."""
    file, class_name, folder, session_id, plan, *skew = sys.argv[1:]
    if skew:
        _set_clock(float(skew[0]))
    suite = _load(file, class_name)()
    storage = suite.open_storage(Path(folder))
    if plan == "follow":
        _follow(storage, session_id)
    if "lease_session" in suite.capabilities:
        try:
            storage.lease(session_id)
        except SessionBusyError as error:
            _say(f"busy {error.holder}")
            return
    _say("leased")
    if plan in ("hold", "begin"):
        if plan == "begin":
            storage.persist_turn(head(session_id), running_turn(0))
            _say("running 0")
        sys.stdin.read()
    elif plan == "publish":
        _publish(storage, session_id)
    else:
        _write(storage, session_id, by_line=plan == "step")


def _write(storage: OpenedStorage, session_id: str, *, by_line: bool) -> None:
    if not by_line:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    info = head(session_id)
    for index in itertools.count():
        if by_line and not sys.stdin.readline():
            return
        for word, turn in zip(("running", "tool", "ended"), states_of(index), strict=True):
            storage.persist_turn(info, turn)
            _say(f"{word} {index}")


def _publish(storage: OpenedStorage, session_id: str) -> None:
    for number, _ in enumerate(sys.stdin):
        event = LiveEvent(turn=0, number=number, event=TextDelta(text=f"piece {number}"))
        storage.publish_events(session_id, [event])
        _say(f"published {number}")


def _follow(storage: OpenedStorage, session_id: str) -> NoReturn:
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    # What is there already has been read before the line is said.
    after = ""
    for event in storage.read_events(session_id):
        after = event.cursor
    _say("following")
    while True:
        for event in storage.read_events(session_id, after, 100, _LONG_WAIT):
            after = event.cursor
            _say(f"seen {after}")


def _set_clock(skew: float) -> None:
    # Before the storage is imported, so that it has no other one.
    right, right_ns = time.time, time.time_ns
    time.time = lambda: right() + skew
    time.time_ns = lambda: right_ns() + int(skew * 1e9)


def _load(file: str, class_name: str) -> type[StorageSuite]:
    # In a package of its own, so that it can import what lies beside it, as pytest lets it.
    package = types.ModuleType(_PACKAGE)
    package.__path__ = [str(Path(file).parent)]
    sys.modules[_PACKAGE] = package
    module = importlib.import_module(f"{_PACKAGE}.{Path(file).stem}")
    return cast("type[StorageSuite]", functools.reduce(getattr, class_name.split("."), module))


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _end_with_stdin() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
