"""Checks of failures: a storage that cannot tell says so, and an id cannot lead it elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest

from caw_core.errors import CawError, ConfigError, StorageError, TrajectoryError
from caw_core.events import TextDelta
from caw_core.storage import LiveEvent, SearchQuery, SessionQuery
from caw_core.trajectory import Trajectory
from caw_testkit.conformance.base import broken, needs
from caw_testkit.conformance.storage_samples import head, simple_turn
from caw_testkit.conformance.storage_suite import StorageSuite, Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from caw_testkit.conformance.storage_opened import OpenedStorage

_HOSTILE = {
    "empty": "",
    "dot": ".",
    "parent": "..",
    "path upwards": "../outside",
    "absolute path": "/outside",
    "path": "a/b",
    "Windows path": "..\\outside",
    "drive": "C:outside",
    "two dots inside": "a..b",
    "hidden": ".hidden",
    "option": "-rf",
    "NUL": "a\0b",
    "line break": "a\n",
    "pattern": "%",
    "glob": "*",
    "quote": "' OR 1=1; --",
    "blank": " ",
    "not ASCII": "\u00e9",
    "surrogate": "\ud800",
    "too long": "a" * 129,
}

_TURNS = 8

_ADVICE = (
    "Turn what the driver raises into caw_core.errors.StorageError (for a damaged record "
    "caw_core.errors.TrajectoryError), with 'raise … from error'."
)


class FailureChecks(StorageSuite):
    """Failure is never absence, and hostile ids stay outside."""

    def test_store_that_is_down_is_never_an_absent_session(self, store: Store) -> None:
        """Whoever takes a failure for absence starts afresh and writes over what is there."""
        old, new = store.storage, self._opened_out_of_reach(store)
        if new is not None:
            _must_refuse(lambda: new.load("session-1"), "load_trajectory")
            _must_refuse(lambda: new.load("never-stored"), "load_trajectory of another session")
            _must_refuse(lambda: new.write(head(), simple_turn(1)), "persist_turn")
        # One that was opened before may have the record at hand still.
        try:
            answer = old.load("session-1")
        except (StorageError, TrajectoryError):
            return
        if answer is None:
            broken("load_trajectory returned None once the store was out of reach.", _ADVICE)

    @needs("list_sessions")
    def test_store_that_is_down_is_never_an_empty_list(self, store: Store) -> None:
        """An empty list is read as "there is nothing here", and acted upon."""
        new = self._opened_out_of_reach(store)
        if new is not None:
            _must_refuse(lambda: new.list_sessions(SessionQuery()), "list_sessions")

    @needs("delete_session")
    def test_store_that_is_down_is_never_a_deletion(self, store: Store) -> None:
        """Who deletes for a good reason must hear that the record is still there."""
        new = self._opened_out_of_reach(store)
        if new is not None:
            _must_refuse(lambda: new.delete("session-1"), "delete_session")

    @needs("search_sessions")
    def test_store_that_is_down_is_never_a_search_without_hits(self, store: Store) -> None:
        """What was not looked through may hold what is looked for."""
        new = self._opened_out_of_reach(store)
        if new is not None:
            _must_refuse(lambda: new.search(SearchQuery(text="prompt")), "search_sessions")

    @needs("read_events")
    def test_store_that_is_down_is_never_a_session_at_rest(self, store: Store) -> None:
        """Whoever follows it must hear that there may be more."""
        new = self._opened_out_of_reach(store)
        if new is not None:
            _must_refuse(lambda: new.read_events("session-1"), "read_events")

    def test_damaged_store_is_never_an_absent_session(self, store: Store) -> None:
        """A record that cannot be understood is an error, and no turn of it is left out."""
        new = self._opened_damaged(store)
        if new is None:
            return
        try:
            answer = new.load("session-1")
        except (StorageError, TrajectoryError):
            return
        except Exception as error:  # noqa: BLE001 - any other one is the finding
            broken(f"A damaged record raises {type(error).__name__}: {error}", _ADVICE)
        if answer is None or answer.num_turns < _TURNS:
            left = "None" if answer is None else f"{answer.num_turns} of {_TURNS} turns"
            broken(f"load_trajectory returned {left} for a damaged record.", _ADVICE)

    @needs("list_sessions")
    def test_damaged_session_is_not_left_out_of_the_list(self, store: Store) -> None:
        """It is listed, named in ``unreadable``, or the list is refused; never passed over."""
        new = self._opened_damaged(store)
        if new is None:
            return
        try:
            page = new.list_sessions(SessionQuery())
        except (StorageError, TrajectoryError):
            return
        except Exception as error:  # noqa: BLE001 - any other one is the finding
            broken(f"A damaged record makes list_sessions raise {error!r}", _ADVICE)
        if not page.sessions and not page.unreadable:
            broken("A damaged session is not in the list.", "Name it in SessionPage.unreadable.")

    @pytest.mark.parametrize("kind", _HOSTILE)
    def test_hostile_id_is_refused(self, store: Store, kind: str) -> None:
        """An id comes from a handle or a command line, and becomes a path or a key.

        The core checks it too; a storage is also called by others.
        """
        name = _HOSTILE[kind]
        expected = Trajectory.of(head("victim"), (simple_turn(0),))
        store.storage.write(expected.info, *expected.turns)
        store.release()
        before = _everything(store.folder.parent)
        info = attrs.evolve(head(), session_id=name)
        event = LiveEvent(turn=0, number=0, event=TextDelta(text="x"))
        calls: dict[str, Callable[[], object]] = {
            "load_trajectory": lambda: store.storage.load(name),
            "persist_turn": lambda: store.storage.persist_turn(info, simple_turn(0)),
            "persist_session": lambda: store.storage.persist_session(info),
            "delete_session": lambda: store.storage.delete(name),
            "lease_session": lambda: store.storage.lease(name),
            "session_dir": lambda: store.storage.session_dir(name),
            "publish_events": lambda: store.storage.publish_events(name, [event]),
            "read_events": lambda: store.storage.read_events(name),
            "share_turns": lambda: store.storage.share_turns(info, "victim", 1),
        }
        if "share_turns" in self.capabilities:
            child = head("child", forked_from=name)
            _must_refuse_id(lambda: store.storage.share_turns(child, name, 1), "share_turns", name)
        always = {"load_trajectory", "persist_turn"}
        for hook, call in calls.items():
            if hook in always | self.capabilities:
                _must_refuse_id(call, hook, name)
        new = _everything(store.folder.parent) - before
        if new:
            broken(f"The id {name!r} made {sorted(new)}.", "Check it before anything is made.")
        store.reopened().must_hold(expected, after=f"calls with the id {name!r}")

    def _opened_out_of_reach(self, store: Store) -> OpenedStorage | None:
        store.storage.write(head(), simple_turn(0))
        store.release()
        if not self.make_unreachable(store.folder):
            self._skip_or_explain("make_unreachable")
        return _opened_or_refused(store)

    def _opened_damaged(self, store: Store) -> OpenedStorage | None:
        store.storage.write(head(), *(simple_turn(index) for index in range(_TURNS)))
        store.release()
        if not self.damage(store.folder):
            self._skip_or_explain("damage")
        return _opened_or_refused(store)

    def _skip_or_explain(self, method: str) -> None:
        if "durable" not in self.capabilities:
            pytest.skip(f"the store is not in its folder, and {method} is not overridden")
        broken(
            "The storage keeps nothing in the folder, so the suite cannot harm it.",
            f"Override {method} in {type(self).__name__}; it must return True.",
        )


def _opened_or_refused(store: Store) -> OpenedStorage | None:
    try:
        return store.open()
    except CawError:
        # To refuse the store as soon as it is opened is as good.
        return None


def _must_refuse(call: Callable[[], object], what: str) -> None:
    try:
        answer = call()
    except (StorageError, TrajectoryError):
        return
    except Exception as error:  # noqa: BLE001 - any other one is the finding
        broken(f"{what}: a store out of reach raises {type(error).__name__}: {error}", _ADVICE)
    broken(f"{what} returned {answer!r:.200} though the store is out of reach.", _ADVICE)


def _must_refuse_id(call: Callable[[], object], hook: str, name: str) -> None:
    advice = "Call caw_core.handles.check_session_id(session_id) first."
    try:
        answer = call()
    except ConfigError:
        return
    except Exception as error:  # noqa: BLE001 - any other one is the finding
        broken(f"{hook} with the id {name!r} raises {type(error).__name__}: {error}", advice)
    broken(f"{hook} took the id {name!r} and returned {answer!r:.200}.", advice)


def _everything(folder: Path) -> set[str]:
    paths = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    # SQLite's own, which come and go.
    return {path for path in paths if not path.endswith(("-wal", "-shm", "-journal"))}
