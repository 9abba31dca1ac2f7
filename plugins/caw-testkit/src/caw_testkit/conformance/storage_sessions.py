"""Checks of whole sessions: what `caw_core.Agent` does with the storage, in threads and loops."""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from caw_core.errors import CawError, ConfigError, SessionBusyError
from caw_core.trajectory import Trajectory
from caw_testkit.conformance.base import broken, needs
from caw_testkit.conformance.played import played_agent
from caw_testkit.conformance.storage_samples import head, running_turn, simple_turn
from caw_testkit.conformance.storage_suite import StorageSuite, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_THREADS = 8
_TURNS = 10
_WARM_UP = 20
_SESSIONS = 200
_GROWTH = 10
"""How many descriptors or threads more are no leak: pools fill up."""


class SessionChecks(StorageSuite):
    """Agents, threads, event loops, and what is left open."""

    @needs("persist_session")
    def test_whole_session_is_kept(self, store: Store) -> None:
        """Head, turns and end of a session that an agent held are in the record."""
        with played_agent(store.storage.plugin).start_session(metadata={"a": 1}) as session:
            session.send("one")
            session.send("two")
        expected = session.trajectory
        if not expected.is_complete:
            broken(f"The session did not end well: {expected!r:.300}", "See the error above.")
        store.reopened().must_hold(expected, after="a whole session")

    @needs("persist_session")
    def test_session_is_resumed_by_its_id(self, store: Store) -> None:
        """A storage makes the id alone enough, in a later process too."""
        with played_agent(store.storage.plugin).start_session(session_id="mine") as session:
            session.send("one")
        later = store.reopened()
        advice = "Keep every turn, and the head that comes with persist_turn: it has the key."
        try:
            with played_agent(later.plugin).resume_session("mine") as session:
                session.send("two")
        except CawError as error:
            broken(f"The session cannot be resumed: {error}", advice)
        stored = later.record("mine")
        inputs = [turn.input for turn in stored.turns]
        if (inputs, stored.resume_key) != (["one", "two"], "played-key"):
            broken(f"After a resume the record has {inputs}, {stored.resume_key!r}.", advice)

    def test_session_id_that_is_taken_is_refused(self, store: Store) -> None:
        """Two conversations in one record would be neither."""
        store.storage.write(head("mine"), simple_turn(0))
        agent = played_agent(store.reopened().plugin)
        try:
            agent.start_session(session_id="mine").end()
        except ConfigError:
            return
        broken("A second session of an id was begun.", "Return its record from load_trajectory.")

    @needs("lease_session")
    def test_second_agent_is_refused_until_the_first_has_ended(self, store: Store) -> None:
        """The end of a session gives its lease back."""
        first = played_agent(store.storage.plugin).start_session(session_id="mine")
        first.send("one")
        durable = "durable" in self.capabilities
        agent = played_agent((store.open() if durable else store.storage).plugin)
        try:
            agent.resume_session("mine").end()
        except SessionBusyError:
            pass
        else:
            broken("Two agents have one session open.", "Refuse the second lease_session.")
        first.end()
        agent.resume_session("mine").end()

    def test_threads_write_different_sessions_at_once(self, store: Store) -> None:
        """The core calls a storage from a thread for each turn, with no lock around."""
        problems = _in_threads(
            [lambda number=number: _write_session(store, number) for number in range(_THREADS)]  # type: ignore[misc]  # mypy infers no type for a default
        )
        if problems:
            broken(
                f"{len(problems)} of {_THREADS} threads failed, one with {problems[0]!r:.500}",
                "Make the plugin safe to call from several threads: a connection for each "
                "thread, or a lock.",
            )
        later = store.reopened()
        for number in range(_THREADS):
            turns = [simple_turn(index) for index in range(_TURNS)]
            later.must_have_turns(f"thread-{number}", turns, after="writing in threads")

    def test_two_event_loops_use_one_storage(self, store: Store) -> None:
        """Sessions of two loops, one after the other and at once, share the plugin.

        Whatever is bound to the loop in which it was made fails in the other.
        """
        agent = played_agent(store.storage.plugin)

        async def converse(session_id: str) -> Trajectory:
            async with await agent.start_session_async(session_id=session_id) as session:
                await session.send_async("one")
                await session.send_async("two")
            return session.trajectory

        records: list[Trajectory] = [asyncio.run(converse("loop-0"))]

        def run(name: str) -> None:
            records.append(asyncio.run(converse(name)))

        problems = _in_threads([lambda: run("loop-1"), lambda: run("loop-2")])
        if problems:
            broken(f"In a second event loop: {problems[0]!r:.500}", "Keep nothing of a loop.")
        later = store.reopened()
        for record in records:
            later.must_have_turns(record.session_id, record.turns, after="two event loops")

    def test_descriptors_and_threads_do_not_grow(self, store: Store) -> None:
        """A service opens sessions for months in one process."""
        if not Path("/dev/fd").exists():
            pytest.skip("this system does not tell the descriptors of a process")
        before = (0, 0)
        for number in range(_SESSIONS):
            if number == _WARM_UP:
                before = _open_things()
            info = head(f"many-{number}")
            store.storage.write(info, running_turn(0), simple_turn(0))
            if "persist_session" in self.capabilities:
                store.storage.write_head(info)
            store.storage.load(info.session_id)
            store.storage.release()
        after = _open_things()
        if any(now - then > _GROWTH for then, now in zip(before, after, strict=True)):
            broken(
                f"Descriptors and threads grew from {before} to {after} in {_SESSIONS} sessions.",
                "Close with each call, or with the release of the lease, what it opened.",
            )

    @needs("session_dir")
    def test_session_dir_is_the_sessions_own(self, store: Store) -> None:
        """It is absolute, there once something is stored, and no other session's."""
        store.storage.write(head("a"), simple_turn(0))
        store.storage.write(head("b"), simple_turn(0))
        folder, other = store.storage.session_dir("a"), store.storage.session_dir("b")
        if not folder.is_absolute() or not folder.is_dir() or folder == other:
            broken(f"The folders of 'a' and 'b' are {folder} and {other}.", "One for each.")
        store.storage.session_dir("never-stored")
        if store.reopened().load("never-stored") is not None:
            broken("Asking for a folder made a session.", "Only name it.")

    @needs("session_dir")
    def test_files_are_their_owners_alone(self, store: Store) -> None:
        """Records hold prompts, answers and the agent's resume key."""
        if os.name != "posix":
            pytest.skip("modes are POSIX")
        store.storage.write(head("a", resume_key="secret"), simple_turn(0))
        folder = store.storage.session_dir("a")
        paths = [folder, *folder.rglob("*")]
        shared = [path for path in paths if stat.S_IMODE(path.lstat().st_mode) & 0o077]
        if shared:
            broken(f"Others may read {shared[0]}.", "Files 0600, folders 0700, whatever the umask.")


def _write_session(store: Store, number: int) -> None:
    for index in range(_TURNS):
        store.storage.write(head(f"thread-{number}"), running_turn(index), simple_turn(index))


def _in_threads(calls: Sequence[Callable[[], None]]) -> list[BaseException]:
    start = threading.Barrier(len(calls))
    problems: list[BaseException] = []

    def run(call: Callable[[], None]) -> None:
        try:
            start.wait()
            call()
        except BaseException as error:  # noqa: BLE001 - a failed check too; the caller shows it
            problems.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return problems


def _open_things() -> tuple[int, int]:
    return len(list(Path("/dev/fd").iterdir())), threading.active_count()
