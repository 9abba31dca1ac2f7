"""Checks of forks: a record begins with another's turns and keeps them, whatever comes."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from caw_core.errors import CawError
from caw_core.storage import SessionQuery, TurnRange
from caw_core.trajectory import Trajectory
from caw_testkit.conformance.base import broken, needs
from caw_testkit.conformance.storage_cost import cost_of, must_cost_the_same
from caw_testkit.conformance.storage_opened import answer_of
from caw_testkit.conformance.storage_samples import head, running_turn, simple_turn
from caw_testkit.conformance.storage_suite import StorageSuite, Store

if TYPE_CHECKING:
    from caw_core.trajectory import SessionInfo, Turn

_SHORT, _LONG = 150, 900


class SharingChecks(StorageSuite):
    """``share_turns``."""

    @needs("share_turns")
    def test_fork_begins_with_its_parents_turns(self, store: Store) -> None:
        """Those below ``stop``, and its own turns follow them."""
        store.storage.write(head("parent"), *_turns(4))
        child = _fork("child", "parent")
        store.storage.fork(child, "parent", 3)
        store.storage.must_hold(Trajectory.of(child, _turns(3)), after="share_turns")
        later = store.reopened()
        later.must_hold(Trajectory.of(child, _turns(3)), after="share_turns and reopening")
        own = simple_turn(3, input="another way")
        later.write(child, running_turn(3), own)
        expected = Trajectory.of(child, (*_turns(3), own))
        store.reopened().must_hold(expected, after="a turn of the fork's own")
        store.storage.must_have_turns("parent", _turns(4), after="a turn of its fork's")

    @needs("share_turns")
    def test_what_the_parent_does_later_is_its_own(self, store: Store) -> None:
        """The fork has what was there when it was made."""
        store.storage.write(head("parent"), *_turns(2))
        child = _fork("child", "parent")
        store.storage.fork(child, "parent", 2)
        store.storage.write(head("parent", model="another"), simple_turn(2), simple_turn(3))
        store.reopened().must_hold(Trajectory.of(child, _turns(2)), after="more of its parent")

    @needs("share_turns")
    def test_running_parent_can_be_shared(self, store: Store) -> None:
        """A fork is made while the parent goes on, whose lease somebody else may hold."""
        store.storage.write(head("parent"), *_turns(2), running_turn(2))
        forking = store.open() if "durable" in self.capabilities else store.storage
        child = _fork("child", "parent")
        forking.fork(child, "parent", 2)
        store.storage.write(head("parent"), simple_turn(2))
        later = store.reopened()
        later.must_hold(Trajectory.of(child, _turns(2)), after="sharing turns of a running session")
        later.must_have_turns("parent", _turns(3), after="going on after a fork")

    @needs("share_turns")
    def test_sharing_twice_is_sharing_once(self, store: Store) -> None:
        """The core repeats a call that failed, and cannot know whether it had an effect."""
        store.storage.write(head("parent"), *_turns(3))
        child = _fork("child", "parent")
        for _ in range(2):
            store.storage.fork(child, "parent", 2)
        expected = Trajectory.of(child, _turns(2))
        store.reopened().must_hold(expected, after="share_turns twice")

    @needs("share_turns")
    def test_absent_parent_is_not_shared(self, store: Store) -> None:
        """The core then stores the turns one by one; what is not there must not be promised."""
        child = _fork("child", "never-stored")
        store.storage.lease("child") if "lease_session" in self.capabilities else None
        with contextlib.suppress(CawError):
            if store.storage.share_turns(child, "never-stored", 2):
                broken("share_turns of an absent session returned True.", "Return False.")
        if store.storage.load("never-stored") is not None:
            broken("Sharing turns of an absent session made it.", "Only look for it.")

    @needs("share_turns", "delete_session")
    def test_deletion_of_the_parent_leaves_the_forks_turns(self, store: Store) -> None:
        """Also where the parent's name is given to another session then."""
        store.storage.write(head("parent"), *_turns(3))
        child = _fork("child", "parent")
        store.storage.fork(child, "parent", 2)
        store.release()
        if not store.storage.delete("parent"):
            broken("A session with a fork was not deleted.", "Return True.")
        expected = Trajectory.of(child, _turns(2))
        later = store.reopened()
        if later.load("parent") is not None:
            broken("A session with a fork was deleted and can be loaded.", "Delete it.")
        later.must_hold(expected, after="deleting its parent")
        later.write(head("parent"), simple_turn(0, input="new"))
        store.reopened().must_hold(expected, after="deleting its parent and another of that name")
        store.storage.must_have_turns(
            "parent", [simple_turn(0, input="new")], after="beginning it anew"
        )

    @needs("share_turns", "delete_session")
    def test_deletion_of_the_fork_leaves_the_parents_turns(self, store: Store) -> None:
        """And those of another fork; its own name is free then."""
        parent = head("parent")
        store.storage.write(parent, *_turns(3))
        other = _fork("other", "parent")
        for info in (_fork("child", "parent"), other):
            store.storage.fork(info, "parent", 2)
        store.release()
        store.storage.delete("child")
        later = store.reopened()
        if later.load("child") is not None:
            broken("A fork was deleted and can be loaded.", "Delete its head and what it shares.")
        later.must_hold(Trajectory.of(parent, _turns(3)), after="deleting its fork")
        later.must_hold(Trajectory.of(other, _turns(2)), after="deleting another fork")
        new = Trajectory.of(head("child"), (simple_turn(0, input="new"),))
        later.write(new.info, *new.turns)
        store.reopened().must_hold(new, after="deleting a fork and beginning it anew")

    @needs("share_turns", "delete_session")
    def test_fork_of_a_fork_keeps_its_turns(self, store: Store) -> None:
        """Those of both, in whatever order the older ones are deleted."""
        store.storage.write(head("parent"), *_turns(3))
        child, grandchild = _fork("child", "parent"), _fork("grandchild", "child")
        early = _fork("early", "child")
        store.storage.fork(child, "parent", 2)
        own = [simple_turn(index, input=f"child's {index}") for index in (2, 3)]
        store.storage.write(child, *own)
        store.storage.fork(grandchild, "child", 3)
        store.storage.fork(early, "child", 1)
        mine = simple_turn(3, input="grandchild's")
        store.storage.write(grandchild, mine)
        expected = [
            Trajectory.of(child, (*_turns(2), *own)),
            Trajectory.of(grandchild, (*_turns(2), own[0], mine)),
            Trajectory.of(early, _turns(1)),
        ]
        for name in ("", "child", "parent"):
            store.release()
            if name and not store.storage.delete(name):
                broken(f"The session {name!r}, which has forks, was not deleted.", "Return True.")
            for record in expected:
                if record.session_id != name:
                    what = f"deleting {name!r}" if name else "forking a fork"
                    store.reopened().must_hold(record, after=what)
            expected = [record for record in expected if record.session_id != name]

    @needs("share_turns", "delete_session")
    def test_fork_of_a_deleted_session_is_deleted_too(self, store: Store) -> None:
        """Nothing is left then that an absent session could be taken for."""
        store.storage.write(head("parent"), *_turns(2))
        store.storage.fork(_fork("child", "parent"), "parent", 2)
        store.release()
        for name in ("parent", "child"):
            store.storage.delete(name)
        for name in ("parent", "child"):
            answer = answer_of(store.reopened(), name)
            if answer is not None:
                broken(f"{name!r} was deleted and is {answer!r:.200}.", "Delete all of it.")
            if store.storage.delete(name):
                broken(f"{name!r} was deleted twice.", "Return False for an absent session.")

    @needs("share_turns", "list_sessions")
    def test_fork_is_listed_with_the_turns_that_it_shares(self, store: Store) -> None:
        """Number, title and status count them as its own."""
        store.storage.write(head("parent"), *_turns(2), simple_turn(2, status="failed"))
        store.storage.fork(_fork("child", "parent"), "parent", 2)
        store.storage.fork(_fork("other", "parent"), "parent", 3)
        store.storage.write(_fork("other", "parent"), simple_turn(3))
        later = store.reopened()
        page = later.list_sessions(SessionQuery())
        found = {
            each.info.session_id: (each.num_turns, each.title, each.status)
            for each in page.sessions
        }
        wanted = {
            "parent": (3, "prompt 0", "failed"),
            "child": (2, "prompt 0", "completed"),
            "other": (4, "prompt 0", "completed"),
        }
        if found != wanted:
            broken(f"The list shows {found}, expected {wanted}.", "Count the shared turns too.")

    @needs("share_turns", "turn_range")
    def test_range_of_a_fork_goes_over_both(self, store: Store) -> None:
        """Where its own turns begin is no border for whoever reads them."""
        store.storage.write(head("parent"), *_turns(4))
        child = _fork("child", "parent")
        store.storage.fork(child, "parent", 3)
        own = (simple_turn(3, input="mine"), simple_turn(4, input="mine"))
        store.storage.write(child, *own)
        later = store.reopened()
        turns = (*_turns(3), *own)
        for wanted in (
            TurnRange(last=3),
            TurnRange(start=1, stop=4),
            TurnRange(start=3),
            TurnRange(stop=2),
            TurnRange(last=0),
        ):
            found = later.load_range("child", wanted)
            if found is None or found.turns != wanted.of(turns):
                places = [turn.index for turn in found.turns] if found else None
                broken(f"{wanted} of a fork gave {places}.", "Read its own turns and the shared.")

    @needs("share_turns")
    def test_sharing_costs_the_same_however_long_the_parent_is(self, store: Store) -> None:
        """A fork is made in the middle of work, and shares what is there instead of copying it."""
        names = iter(range(8))

        def share(stop: int) -> None:
            store.storage.fork(_fork(f"child-{next(names)}", "parent"), "parent", stop)

        store.storage.write(head("parent"), *_turns(_SHORT))
        small = cost_of(lambda: share(_SHORT))
        store.storage.write(head("parent"), *_turns(_LONG)[_SHORT:])
        large = cost_of(lambda: share(_LONG))
        must_cost_the_same(
            small,
            large,
            what=f"share_turns of {_SHORT} turns and of {_LONG}",
            advice="Write where the turns are, and copy none.",
        )


def _turns(count: int) -> tuple[Turn, ...]:
    return tuple(simple_turn(index) for index in range(count))


def _fork(name: str, parent: str) -> SessionInfo:
    return head(name, forked_from=parent)
