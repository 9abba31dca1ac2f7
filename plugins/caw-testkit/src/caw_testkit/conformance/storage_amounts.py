"""Checks with numbers: many processes, many sessions, many turns."""

from __future__ import annotations

import contextlib

from caw_core.storage import SessionQuery, TurnRange
from caw_testkit.conformance.base import broken, needs
from caw_testkit.conformance.played import played_agent
from caw_testkit.conformance.storage_cost import cost_of, must_cost_the_same
from caw_testkit.conformance.storage_lists import walk
from caw_testkit.conformance.storage_processes import WriterProcess
from caw_testkit.conformance.storage_samples import head, simple_turn
from caw_testkit.conformance.storage_suite import StorageSuite, Store
from caw_testkit.conformance.storage_writer import states_of

_PROCESSES = 8
_TURNS = 10
_PAGES = 20


class AmountChecks(StorageSuite):
    """What is right for one must be right for many."""

    @needs("durable")
    def test_processes_write_different_sessions_at_once(self, store: Store) -> None:
        """Each program that uses caw is a process of its own, and a machine runs several."""
        with contextlib.ExitStack() as stack:
            writers = [
                stack.enter_context(WriterProcess(store, f"process-{number}", "step"))
                for number in range(_PROCESSES)
            ]
            for writer in writers:
                writer.line()
            for writer in writers:
                writer.ask(_TURNS)
            for writer in writers:
                writer.wait_for(_TURNS)
        later = store.reopened()
        turns = [states_of(index)[-1] for index in range(_TURNS)]
        for number in range(_PROCESSES):
            what = f"{_PROCESSES} processes that wrote at once"
            later.must_have_turns(f"process-{number}", turns, after=what)

    @needs("list_sessions")
    def test_many_sessions_are_listed_page_by_page(self, store: Store) -> None:
        """Each once, however many there are; `many_sessions` says how many."""
        names = {f"s{number}" for number in range(self.many_sessions)}
        for name in names:
            store.storage.persist_turn(head(name), simple_turn(0))
        limit = -(-len(names) // _PAGES)
        seen = walk(store.reopened(), SessionQuery(limit=limit), pages=_PAGES)
        if len(seen) != len(names) or set(seen) != names:
            missing = len(names - set(seen))
            broken(
                f"Of {len(names)} sessions the pages showed {len(seen)}; {missing} are missing.",
                "Let the cursor name the last session of the page: its time and its id.",
            )

    def test_cost_of_a_turn_does_not_grow(self, store: Store) -> None:
        """The tenth turn and the last one of a long session are stored at the same cost."""
        info = head()
        store.storage.write(info, *map(simple_turn, range(10)))
        # Each call brings a turn that is not there yet, so that no call has nothing to do.
        places = iter(range(10, self.many_turns + 100))
        small = cost_of(lambda: store.storage.write(info, simple_turn(next(places))))
        for _ in range(self.many_turns):
            store.storage.write(info, simple_turn(next(places)))
        large = cost_of(lambda: store.storage.write(info, simple_turn(next(places))))
        must_cost_the_same(
            small,
            large,
            what=f"persist_turn after 10 turns and after {self.many_turns}",
            advice="Touch the row of this turn and the head, and none of the turns before.",
        )

    @needs("persist_session")
    def test_long_session_is_resumed(self, store: Store) -> None:
        """The next turn of a long session has the next index, and none of the others is lost.

        `many_turns` says how long it is.
        """
        info = head("long", provider="played", resume_key="played-key")
        store.storage.write(info, *map(simple_turn, range(self.many_turns)))
        later = store.reopened()
        with played_agent(later.plugin).resume_session("long") as session:
            session.send("one more")
        last = store.reopened().load("long")
        found = TurnRange(last=2).of(last.turns if last else ())
        places = [turn.index for turn in found]
        if (
            last is None
            or last.num_turns != self.many_turns + 1
            or places != [self.many_turns - 1, self.many_turns]
            or found[-1].input != "one more"
        ):
            broken(
                f"After {self.many_turns} turns and one more the record has "
                f"{last.num_turns if last else 'no'} turns, the last ones {places}.",
                "Key each turn by (session_id, turn.index), and lose none.",
            )
