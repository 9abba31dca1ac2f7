"""What storing, listing and reading cost, with the plain driver's write as the limit beside it.

    python3 dev.py bench storage [--backend sqlite] [--turns 10000] [--sessions 100000] [--json]

A turn is 19 tool calls and a text, 20 kB in all. ``append`` is `persist_turn` for a turn that has
ended, after the one for its start, which is a row of its own; ``bare`` writes the same JSON as text
in one row (or line) with the driver alone, as durably. Both take turns, so that a machine that is
slow for a while is slow for both. ``late`` is the same in a session that has ``--turns`` turns,
taking turns with ``early``, in one that was just begun.

Lists are of ``--sessions`` sessions without turns, read as the core does. A storage's part is in a
file of its own, ``_storage_NAME.py``, which has ``started(folder)``: a context manager that gives a
`Backend`, or raises `Unavailable`.
"""

from __future__ import annotations

import importlib
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import attrs
from _report import Row, Target, arguments, report
from persist_growth import make_turn

from caw_core.record_plugins import RecordPlugins
from caw_core.storage import SessionQuery, TurnRange
from caw_core.trajectory import SessionInfo, Turn

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

PART = "_storage_"
NAMES = sorted(path.stem.removeprefix(PART) for path in Path(__file__).parent.glob(f"{PART}*.py"))
APPENDS = 300
READS = 30
LAST = 20
FOLDERS = 100
IN_FOLDER = 10

MOST_APPEND = 1.5
MOST_GROWTH = 1.5
MOST_PAGE_MS = 50.0
MOST_LOAD_MS = 20.0


class Unavailable(Exception):  # noqa: N818 - it is no error
    """What a backend needs, such as a server's program, is not there."""


class Backend(Protocol):
    """A store of its own in a new folder."""

    def open(self, *, durable: bool = True) -> Any:
        """Open the storage; one that is not durable may be faster, and fills the store."""

    def bare(self) -> AbstractContextManager[Callable[[str], object]]:
        """Give a function that writes a text with the plain driver, durably, in one row."""


def main() -> None:
    """Measure and report."""
    given = arguments(__doc__, backend=("all", *NAMES), turns=10_000, sessions=100_000)
    if given.sessions < FOLDERS * IN_FOLDER or given.turns < LAST:
        sys.exit(f"--sessions must be at least {FOLDERS * IN_FOLDER}, and --turns {LAST}")
    rows: list[Row] = []
    targets: list[Target] = []
    for name in NAMES if given.backend == "all" else [given.backend]:
        with tempfile.TemporaryDirectory() as folder:
            try:
                started = importlib.import_module(PART + name).started(Path(folder))
                with started as backend:
                    measure(name, backend, given.turns, given.sessions, rows, targets)
            except Unavailable as reason:
                print(f"{name} is left out: {reason}", file=sys.stderr)
    if not rows:
        sys.exit("nothing was measured")
    report("storages", rows, targets, as_json=given.json)


def measure(
    name: str,
    backend: Backend,
    turns: int,
    sessions: int,
    rows: list[Row],
    targets: list[Target],
) -> None:
    """Measure one storage."""
    filling = backend.open(durable=False)
    fill_session(filling, turns)
    plugin = backend.open()
    start, end, bare = append(plugin, backend)
    early, late = growth(plugin, turns)
    last = load_last(plugin)
    fill_sessions(filling, sessions)
    page, filtered = first_page(plugin)
    found = {
        "bare write": bare,
        "append": end,
        "append, the turn's start": start,
        "append, early": early,
        f"append, late, turn {turns}": late,
        f"last {LAST} of {turns} turns": last,
        f"first page of {sessions} sessions": page,
        "first page of one folder's": filtered,
    }
    rows += [Row(name=f"{name}: {what}", samples=tuple(times)) for what, times in found.items()]
    for what, ours, limit, most in (
        ("append beside bare", end, bare, MOST_APPEND),
        ("late beside early", late, early, MOST_GROWTH),
    ):
        value = ratio(ours, limit)
        targets.append(Target(name=f"{name}: {what}", value=value, holds=value <= most))
    for what, times, most in (
        ("first page", page, MOST_PAGE_MS),
        (f"last {LAST} turns", last, MOST_LOAD_MS),
    ):
        value = statistics.median(times)
        target = Target(name=f"{name}: {what}", value=value, holds=value < most, unit="ms")
        targets.append(target)


# ------------------------------------------------------------------------------------- the rows


def append(plugin: Any, backend: Backend) -> tuple[list[float], list[float], list[float]]:
    """Return what a turn's start, its end, and the bare write of the same took."""
    writer = Writer(plugin, "append")
    starts: list[float] = []
    ends: list[float] = []
    bares: list[float] = []
    with backend.bare() as write:
        for index in range(APPENDS):
            turn = make_turn(index)
            text = document_of(turn)
            bares.append(timed(lambda: write(text)))  # noqa: B023 - called at once
            starts.append(timed(lambda: writer.begin(turn)))  # noqa: B023 - called at once
            ends.append(timed(lambda: writer.end(turn)))  # noqa: B023 - called at once
    writer.lease.release()
    return starts, ends, bares


def growth(plugin: Any, turns: int) -> tuple[list[float], list[float]]:
    """Return what the end of a turn takes in a new session, and in the long one."""
    writers = Writer(plugin, "early"), Writer(plugin, "long")
    times: tuple[list[float], list[float]] = [], []
    for index in range(APPENDS):
        for writer, first, taken in zip(writers, (0, turns), times, strict=True):
            turn = make_turn(first + index)
            writer.begin(turn)
            taken.append(timed(lambda: writer.end(turn)))  # noqa: B023 - called at once
    for writer in writers:
        writer.lease.release()
    return times


def load_last(plugin: Any) -> list[float]:
    """Return what the last turns of the long session take to read."""
    records = RecordPlugins([("storage", plugin)])
    wanted = TurnRange(last=LAST)

    def load() -> None:
        record = records.load_trajectory("long", wanted)
        if record is None or len(record.turns) != LAST:
            sys.exit("the turns that were stored are not there")

    return [timed(load) for _ in range(READS)]


def first_page(plugin: Any) -> tuple[list[float], list[float]]:
    """Return what the first page takes, and that of one folder in a hundred's."""
    records = RecordPlugins([("storage", plugin)])

    def page(query: SessionQuery) -> None:
        found = records.list_sessions(query)
        if found is None or len(found.sessions) != query.limit:
            sys.exit("the sessions that were stored are not listed")

    every, some = SessionQuery(), SessionQuery(cwd="/folder/7", limit=IN_FOLDER)
    return (
        [timed(lambda: page(every)) for _ in range(READS)],
        [timed(lambda: page(some)) for _ in range(READS)],
    )


# -------------------------------------------------------------------------------- what they need


@attrs.define
class Writer:
    """Writes one session as the core does: under its lease, each turn as it starts and ends."""

    plugin: Any
    session_id: str
    lease: Any = attrs.field(init=False)
    info: SessionInfo = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.info = SessionInfo(session_id=self.session_id, provider="codex", cwd="/folder")
        self.lease = self.plugin.lease_session(session_id=self.session_id)

    def begin(self, turn: Turn) -> None:
        """Store a turn as it starts."""
        begun = attrs.evolve(turn, status="running", output=(), stop_reason=None)
        self.plugin.persist_turn(session=self.info, turn=begun)

    def end(self, turn: Turn) -> None:
        """Store a turn that has ended."""
        self.plugin.persist_turn(session=self.info, turn=turn)


def fill_session(plugin: Any, turns: int) -> None:
    """Store the long session."""
    writer = Writer(plugin, "long")
    for index in range(turns):
        writer.end(make_turn(index))
    writer.lease.release()


def fill_sessions(plugin: Any, sessions: int) -> None:
    """Store so many heads."""
    for number in range(sessions):
        cwd = f"/folder/{number % FOLDERS}"
        info = SessionInfo(
            session_id=f"s{number}", provider="codex", cwd=cwd, metadata={"n": number}
        )
        plugin.persist_session(session=info)


def ratio(ours: list[float], limit: list[float]) -> float:
    """Return how often the limit ours is, from the differences of those that were timed together.

    A disk that others use is fast or slow for a while; the median of the differences does not
    depend on which of the two met it more often.
    """
    added = statistics.median(x - y for x, y in zip(ours, limit, strict=True))
    return 1 + added / statistics.median(limit)


def document_of(turn: Turn) -> str:
    """Return a turn's document as text."""
    return json.dumps(turn.to_dict(), ensure_ascii=False, separators=(",", ":"))


def timed(call: Callable[[], object]) -> float:
    """Return how long a call takes, in milliseconds."""
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * 1e3


if __name__ == "__main__":
    # By the name under which the backends import it, so that `Unavailable` is one class.
    importlib.import_module("storage").main()
