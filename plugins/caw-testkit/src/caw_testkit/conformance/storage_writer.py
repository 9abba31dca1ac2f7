"""A process that writes one session with the author's storage; the checks start and kill it.

``python -m caw_testkit.conformance.storage_writer CLASS_FILE CLASS FOLDER SESSION_ID PLAN``

A line on stdout says what has been done: ``leased`` or ``busy HOLDER``, then ``running I``, ``tool
I`` and ``ended I`` once `persist_turn` has returned for that state of turn I. PLAN is ``hold``
(take the lease and no more), ``step`` (one turn for each line on stdin) or ``run`` (turn after
turn). The process ends when its stdin does.
"""

from __future__ import annotations

import functools
import importlib.util
import itertools
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, cast

import attrs

from caw_core.blocks import TextBlock
from caw_core.errors import SessionBusyError
from caw_testkit.conformance.storage_samples import head, running_turn, simple_turn

if TYPE_CHECKING:
    from caw_core.trajectory import Turn
    from caw_testkit.conformance.storage_suite import StorageSuite

_MODULE = "caw_conformance_class"


def states_of(index: int) -> tuple[Turn, Turn, Turn]:
    """Return what is stored of a turn: as it begins, with tool calls, and at its end."""
    seen = running_turn(index)
    text = TextBlock(text=f"answer {index} " + "x" * 20_000)
    final = simple_turn(index, output=(*seen.output[:2], text))
    return attrs.evolve(seen, output=()), seen, final


def main() -> None:
    """Do as the arguments say."""
    file, class_name, folder, session_id, plan = sys.argv[1:]
    suite = _load(file, class_name)()
    storage = suite.open_storage(Path(folder))
    if "lease_session" in suite.capabilities:
        try:
            storage.lease(session_id)
        except SessionBusyError as error:
            _say(f"busy {error.holder}")
            return
    _say("leased")
    if plan == "hold":
        sys.stdin.read()
        return
    if plan == "run":
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    info = head(session_id)
    for index in itertools.count():
        if plan == "step" and not sys.stdin.readline():
            return
        for word, turn in zip(("running", "tool", "ended"), states_of(index), strict=True):
            storage.persist_turn(info, turn)
            _say(f"{word} {index}")


def _load(file: str, class_name: str) -> type[StorageSuite]:
    spec = importlib.util.spec_from_file_location(_MODULE, file)
    if spec is None or spec.loader is None:
        msg = f"{file} cannot be imported"
        raise ImportError(msg)
    module = importlib.util.module_from_spec(spec)
    sys.modules[_MODULE] = module
    spec.loader.exec_module(module)
    return cast("type[StorageSuite]", functools.reduce(getattr, class_name.split("."), module))


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _end_with_stdin() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
