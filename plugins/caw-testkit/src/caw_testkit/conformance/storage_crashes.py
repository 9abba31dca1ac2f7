"""Checks of crashes: what was acknowledged is there after a SIGKILL at any moment."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from caw_core.errors import CawError
from caw_testkit.conformance.base import broken, needs
from caw_testkit.conformance.storage_leases import wait_for_lease
from caw_testkit.conformance.storage_opened import answer_of
from caw_testkit.conformance.storage_processes import WriterProcess
from caw_testkit.conformance.storage_samples import head, simple_turn
from caw_testkit.conformance.storage_suite import StorageSuite, Store
from caw_testkit.conformance.storage_writer import states_of

if TYPE_CHECKING:
    import pytest

    from caw_core.trajectory import Trajectory
    from caw_testkit.conformance.storage_opened import OpenedStorage

_ROUNDS = 5
"""How often a check kills: it stays short where starting a process takes long."""

_LINES = 3
"""How many lines the writer says for each turn."""


class CrashChecks(StorageSuite):
    """The writer is killed, again and again, and somebody else looks at what it left."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Make as many series as the class wants `kills`, half of them for each check."""
        if "series" in metafunc.fixturenames:
            metafunc.parametrize("series", range(-(-self.kills // (2 * _ROUNDS))))

    @needs("durable")
    def test_no_turn_is_lost_when_the_writer_is_killed_between_turns(
        self, store: Store, series: int
    ) -> None:
        """A turn has been stored when persist_turn has returned, not some time later."""
        for number in range(_ROUNDS):
            name = f"between-{series}-{number}"
            with WriterProcess(store, name, "step") as writer:
                writer.line()
                for _ in range(number % 3 + 1):
                    writer.step()
                writer.kill()
            self._must_have(store.reopened(), name, number % 3 + 1)
        self._must_go_on(store, f"between-{series}-{_ROUNDS - 1}")

    @needs("durable")
    def test_no_turn_is_lost_when_the_writer_is_killed_inside_a_turn(
        self, store: Store, series: int
    ) -> None:
        """The write that was cut off is the only one that may be missing, and it breaks nothing."""
        moments = random.Random(series)  # noqa: S311 - the same moments in every run
        for number in range(_ROUNDS):
            name = f"inside-{series}-{number}"
            with WriterProcess(store, name, "run") as writer:
                writer.line()
                begun = time.monotonic()
                said = [writer.line() for _ in range(_LINES * moments.randrange(1, 4))]
                # Somewhere inside the turn that runs now, which will take as long as one before.
                time.sleep(moments.random() * (time.monotonic() - begun) * _LINES / len(said))
                said += writer.kill()
            ended = sum(line.startswith("ended ") for line in said)
            self._must_have(store.reopened(), name, ended)
        self._must_go_on(store, f"inside-{series}-{_ROUNDS - 1}")

    def _must_have(self, storage: OpenedStorage, session_id: str, ended: int) -> None:
        advice = "Make each write durable before persist_turn returns, and in one step."
        answer = answer_of(storage, session_id)
        if isinstance(answer, CawError):
            broken(f"A kill left a record that cannot be read: {answer}", advice)
        turns = answer.turns if answer else ()
        finals = tuple(states_of(index)[-1] for index in range(max(ended, len(turns))))
        if turns[:ended] != finals[:ended]:
            states = [turn.status for turn in turns]
            broken(
                f"{ended} turns were acknowledged before the kill; the record has {states}.", advice
            )
        for turn, final in zip(turns[ended:], finals[ended:], strict=True):
            if turn != final and (turn.status, turn.input) != ("unknown", final.input):
                broken(f"The turn that was cut off came back as {turn!r:.300}.", advice)

    def _must_go_on(self, store: Store, session_id: str) -> None:
        record: Trajectory | None = store.reopened().load(session_id)
        turns = record.turns if record else ()
        if "lease_session" in self.capabilities:
            wait_for_lease(store, session_id)
        storage = store.reopened()
        after = simple_turn(len(turns))
        storage.write(head(session_id), after)
        storage.must_have_turns(session_id, (*turns, after), after="a kill and one more turn")
