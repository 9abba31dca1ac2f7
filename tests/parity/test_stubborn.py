"""Commands that will not end, with each real agent."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import psutil
import pytest

from caw_testkit.modelserver import echo, reply

from .conftest import WAIT, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Trial

STAYS = "trap '' TERM; echo $$ >> pids; while :; do sleep 1; done"
"""Ignores SIGTERM and holds its stdout, which is that of the agent's tool."""


def processes(file: Path) -> list[psutil.Process]:
    """Return the processes whose ids are in *file*, once there are two."""
    wait_until(lambda: file.exists() and file.read_text().count("\n") == 2)
    return [psutil.Process(int(line)) for line in file.read_text().split()]


@pytest.mark.feature("interrupt")
def test_interrupt_ends_a_tree_that_ignores_sigterm_and_holds_stdout(trial: Trial) -> None:
    (trial.cwd / "stay.sh").write_text(STAYS)
    trial.server.script(reply(trial.kind.run("sh stay.sh & sh stay.sh")))
    trial.server.respond(echo)
    with trial.session() as session:
        turn = threading.Thread(target=session.send, args=("go",))
        turn.start()
        tree = processes(trial.cwd / "pids")
        session.interrupt()
        turn.join(WAIT)
        assert not psutil.wait_procs(tree, timeout=WAIT)[1]
        assert session.send("next").result == "echo: next"
    assert session.trajectory.turns[0].status == "interrupted"
