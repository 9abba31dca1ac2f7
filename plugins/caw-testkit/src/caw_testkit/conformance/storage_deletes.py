"""Checks of deletion: all of one session, and nothing of another."""

from __future__ import annotations

from caw_core.storage import SessionQuery
from caw_core.trajectory import Trajectory
from caw_testkit.conformance.base import broken, needs
from caw_testkit.conformance.storage_samples import head, simple_turn
from caw_testkit.conformance.storage_suite import StorageSuite, Store


class DeleteChecks(StorageSuite):
    """What is deleted is gone, and its name is free."""

    @needs("delete_session")
    def test_deleted_session_is_gone(self, store: Store) -> None:
        """It is certainly absent then, to everybody, and deleting it again finds nothing."""
        store.storage.write(head(), simple_turn(0), simple_turn(1))
        store.release()
        if not store.storage.delete("session-1"):
            broken("delete_session of a stored session did not return True.", "Return True.")
        for storage in (store.storage, store.reopened()):
            if storage.load("session-1") is not None:
                broken("A deleted session can be loaded.", "Delete head and turns.")
            if storage.delete("session-1"):
                broken("A deleted session was deleted again.", "Return False for an absent one.")

    @needs("delete_session")
    def test_absent_session_is_not_deleted(self, store: Store) -> None:
        """False, no error, and nothing is made by it."""
        if store.storage.delete("never-stored"):
            broken("A session that never was has been deleted.", "Return False.")
        if store.reopened().load("never-stored") is not None:
            broken("Deleting a session made it.", "Write nothing for an absent session.")

    @needs("delete_session")
    def test_deletion_leaves_the_others(self, store: Store) -> None:
        """No prefix and no pattern of an id is another session."""
        names = ("a", "ab", "a.b", "a_b", "axb", "a-1", "a-10")
        records = [Trajectory.of(head(name), (simple_turn(0),)) for name in names]
        for record in records:
            store.storage.write(record.info, *record.turns)
        for name in ("a_b", "a", "a-1"):
            storage = store.reopened()
            storage.delete(name)
            records = [record for record in records if record.session_id != name]
            for record in records:
                storage.must_hold(record, after=f"deleting {name!r}")

    @needs("delete_session")
    def test_name_of_a_deleted_session_is_free(self, store: Store) -> None:
        """A new session of that id begins empty, for whoever deleted it too."""
        store.storage.write(head(), *(simple_turn(index) for index in range(3)))
        store.release()
        store.storage.delete("session-1")
        expected = Trajectory.of(head(metadata={}), (simple_turn(0, input="new"),))
        store.storage.write(expected.info, *expected.turns)
        store.reopened().must_hold(expected, after="deleting a session and beginning it anew")

    @needs("delete_session", "list_sessions")
    def test_deleted_session_is_not_listed(self, store: Store) -> None:
        """Nor is it named as unreadable."""
        for name in ("a", "b"):
            store.storage.write(head(name), simple_turn(0))
        store.release()
        store.storage.delete("a")
        page = store.reopened().list_sessions(SessionQuery())
        if [summary.info.session_id for summary in page.sessions] != ["b"] or page.unreadable:
            broken(f"After deleting 'a' of 'a' and 'b' the list is {page!r:.300}.", "Leave it out.")
