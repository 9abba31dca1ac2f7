"""Checks of what every storage does: a turn that was stored comes back, once and in its place."""

from __future__ import annotations

import contextlib

import attrs

from caw_core.blocks import TextBlock
from caw_core.errors import CawError
from caw_core.trajectory import Trajectory
from caw_testkit.conformance.base import broken, needs
from caw_testkit.conformance.storage_opened import answer_of
from caw_testkit.conformance.storage_samples import head, running_turn, simple_turn
from caw_testkit.conformance.storage_suite import HOOKS, StorageSuite, Store, visible

_NEIGHBOURS = ("a", "a.b", "ab", "a_b", "axb", "a-1", "a-10", "a-2", "0", "00", "a" * 128)
"""Ids that a prefix, a LIKE pattern or a number would take for one another."""


class RecordChecks(StorageSuite):
    """Idempotent re-writes, order and isolation."""

    def test_hooks_and_declared_capabilities_agree(self, store: Store) -> None:
        """Every optional hook that the plugin implements is declared, and the other way round.

        The core calls what is implemented, so what is not declared would run untested.
        """
        found = visible(store.storage.plugin)
        declared = self.capabilities & {*HOOKS, "turn_range"}
        if found != declared:
            broken(
                f"Implemented and not declared: {sorted(found - declared) or 'none'}. "
                f"Declared and not implemented: {sorted(declared - found) or 'none'}.",
                "Change 'capabilities' of the test class, or the plugin.",
            )

    def test_session_that_was_never_stored_is_none(self, store: Store) -> None:
        """None says that there certainly is no such session; opening it must not make it."""
        for _ in range(2):
            if store.storage.load("never-stored") is not None:
                broken("load_trajectory made up a session.", "Return None where there is none.")
        if store.reopened().load("never-stored") is not None:
            broken("Asking for a session made it.", "Reading may not write.")

    def test_turn_comes_back_as_it_was(self, store: Store) -> None:
        """A finished turn is read back exactly, at once and by somebody who comes later."""
        expected = Trajectory.of(head(), (simple_turn(0),))
        store.storage.write(expected.info, *expected.turns)
        store.storage.must_hold(expected, after="one turn")
        store.reopened().must_hold(expected, after="one turn and reopening the storage")

    @needs("persist_session")
    def test_head_without_a_turn_comes_back(self, store: Store) -> None:
        """A session is there from its start on; if its process dies then, it can be found."""
        expected = Trajectory.of(head(system_prompt="Be brief.", resume_key="key"), ())
        store.storage.write_head(expected.info)
        store.reopened().must_hold(expected, after="persist_session alone")

    @needs("persist_session")
    def test_last_head_counts(self, store: Store) -> None:
        """A head is replaced whole: members that are gone are gone, turns stay."""
        turn = simple_turn(0)
        store.storage.write_head(head(metadata={"a": 1, "b": 2}))
        store.storage.write(head(metadata={"a": 1, "b": 2}), turn)
        ended = head(metadata={"b": 3}, completed_at="2026-01-02T04:00:00+00:00")
        for _ in range(2):
            store.storage.write_head(ended)
        store.reopened().must_hold(Trajectory.of(ended, (turn,)), after="a second persist_session")

    def test_head_that_comes_with_a_turn_is_kept(self, store: Store) -> None:
        """``persist_turn`` brings the head as it is now, and nothing else may ever bring it.

        The agent's resume key is known only once it has answered: a storage that passes over this
        head cannot resume a session whose process died.
        """
        store.storage.write(head(), simple_turn(0))
        later = head(resume_key="key of the agent", model="model-2")
        store.storage.write(later, simple_turn(1))
        expected = Trajectory.of(later, (simple_turn(0), simple_turn(1)))
        store.reopened().must_hold(expected, after="a turn with another head")

    def test_same_turn_twice_is_one_turn(self, store: Store) -> None:
        """The core repeats a call that failed, and cannot know whether it had an effect."""
        turns = (simple_turn(0), simple_turn(1))
        store.storage.write(head(), *turns)
        store.storage.write(head(), *turns, attempt=2)
        store.storage.must_have_turns("session-1", turns, after="writing two turns twice")
        later = store.reopened()
        later.write(head(), *turns)
        later.must_have_turns("session-1", turns, after="writing them again after reopening")

    def test_later_state_takes_the_place_of_an_earlier_one(self, store: Store) -> None:
        """Each call brings the turn whole: what the later one lacks is not left over."""
        first = running_turn(0)
        grown = attrs.evolve(first, output=(*first.output[:2], TextBlock(text="It is done.")))
        final = attrs.evolve(simple_turn(0), output=first.output[:1], usage=first.usage)
        store.storage.write(head(), first, first, grown, final)
        store.storage.must_have_turns("session-1", [final], after="running states and the last")
        other = attrs.evolve(final, input="other", output=(), status="failed", stop_reason=None)
        store.storage.write(head(), other)
        store.reopened().must_have_turns("session-1", [other], after="another last state")

    def test_late_snapshot_does_not_overwrite_the_end(self, store: Store) -> None:
        """A running state that arrives after the turn's end is old news, whatever its attempt.

        A write that was held up in a driver or on the network may come last.
        """
        final = simple_turn(0)
        store.storage.write(head(), running_turn(0), final)
        for attempt in (1, 2, 7):
            store.storage.write(head(), running_turn(0), attempt=attempt)
        found = store.reopened().record("session-1").turns
        if found != (final,):
            broken(
                "A turn with status 'running' took the place of one that had ended.",
                "Write a running turn only where the stored one is running too, in one step: "
                "ON CONFLICT (…) DO UPDATE … WHERE the stored status is 'running'.",
            )

    def test_attempt_is_no_version(self, store: Store) -> None:
        """The end of a turn comes with attempt 1 even if a snapshot of it needed three."""
        final = simple_turn(0)
        store.storage.write(head(), running_turn(0), attempt=3)
        store.storage.write(head(), final, attempt=1)
        store.reopened().must_have_turns("session-1", [final], after="attempt 3 and then attempt 1")

    def test_turn_that_never_ended_is_unknown(self, store: Store) -> None:
        """Whoever ran it has died, and effects may have happened: it is no finished turn.

        What was seen of it is there, at least the blocks that were finished.
        """
        running = running_turn(1)
        store.storage.write(head(), simple_turn(0), running)
        stored = store.reopened().record("session-1")
        states = [turn.status for turn in stored.turns]
        if states != ["completed", "unknown"]:
            broken(
                f"A finished and a running turn came back as {', '.join(states) or 'nothing'}.",
                "Have load_trajectory return a stored turn whose status is 'running' with the "
                "status 'unknown'.",
            )
        last = stored.turns[-1]
        if (last.input, last.output[:2]) != (running.input, running.output[:2]):
            broken("What was seen of the running turn is not there.", "Keep each running state.")

    def test_turn_that_never_ended_is_followed_by_others(self, store: Store) -> None:
        """A session goes on after a crash, and the unknown turn stays where it is."""
        store.storage.write(head(), running_turn(0))
        (unknown,) = store.reopened().record("session-1").turns
        later = store.reopened()
        later.write(head(), simple_turn(1))
        later.must_have_turns("session-1", (unknown, simple_turn(1)), after="going on")

    def test_turns_are_in_the_order_of_their_index(self, store: Store) -> None:
        """The order is the index as a number, not as a text and not the order of writing."""
        turns = [simple_turn(index) for index in range(12)]
        for index in (2, 0, 11, 10, 1, 9, 3, 8, 4, 7, 5, 6):
            store.storage.write(head(), turns[index])
        store.reopened().must_have_turns("session-1", turns, after="12 turns in another order")

    def test_hole_stays_a_hole(self, store: Store) -> None:
        """An index is an identity: turns after a lost one keep theirs."""
        turns = (simple_turn(0), simple_turn(2), simple_turn(1000))
        store.storage.write(head(), *turns)
        store.reopened().must_have_turns("session-1", turns, after="turns 0, 2 and 1000")

    def test_sessions_do_not_mix(self, store: Store) -> None:
        """Ids are whole: no prefix, pattern or number of one is another."""
        expected = [
            Trajectory.of(head(name), tuple(simple_turn(n) for n in range(place % 3 + 1)))
            for place, name in enumerate(_NEIGHBOURS)
        ]
        for index in range(3):
            for record in expected:
                store.storage.write(record.info, *record.turns[index : index + 1])
        later = store.reopened()
        for record in expected:
            later.must_hold(record, after="writing sessions with similar ids in turns")
        if later.load("a-") is not None or later.load("A" * 128) is not None:
            broken("An id that was never stored has a record.", "Compare ids byte by byte.")

    def test_ids_that_differ_in_case_do_not_mix(self, store: Store) -> None:
        """Two such sessions are apart, or the second one is refused; never one record of both."""
        expected = Trajectory.of(head("case"), (simple_turn(0),))
        store.storage.write(expected.info, *expected.turns)
        with contextlib.suppress(CawError):
            store.storage.write(head("CASE"), simple_turn(0, input="other"), simple_turn(1))
        answer = answer_of(store.reopened(), "case")
        if answer != expected:
            broken(
                f"After a session 'CASE' was written, 'case' is {answer!r:.200}.",
                "Compare ids byte by byte, or refuse the second one.",
            )

    def test_two_stores_do_not_mix(self, store: Store) -> None:
        """Two URLs are two stores, also in one process."""
        other_folder = store.folder.with_name(store.folder.name + "-2")
        other_folder.mkdir()
        other = Store(self, other_folder)
        store.storage.write(head(), simple_turn(0))
        if other.storage.load("session-1") is not None:
            broken("A session of one store is in another.", "Keep nothing in module globals.")
        other.storage.write(head(), simple_turn(0, input="other"))
        other.release()
        store.reopened().must_have_turns("session-1", [simple_turn(0)], after="using two stores")

    @needs("durable")
    def test_one_storage_reads_while_another_writes(self, store: Store) -> None:
        """Reading needs no lease: ``caw show`` works on a session that is running."""
        store.storage.write(head(), simple_turn(0), running_turn(1))
        states = [turn.status for turn in store.open().record("session-1").turns]
        if states != ["completed", "unknown"]:
            broken(f"Another reader sees {states}.", "Make each call's effect visible to all.")
