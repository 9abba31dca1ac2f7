"""Sessions of each real agent: resumed elsewhere, found, many at once; and how the agent is."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from caw_core.errors import AuthError
from caw_testkit.modelserver import echo, fail, reply, text

from .conftest import WAIT

if TYPE_CHECKING:
    from pathlib import Path

    from caw_testkit.modelserver import RecordedRequest
    from caw_testkit.modelserver.steps import Reply

    from .conftest import Trial

SYSTEM = "You speak like a lighthouse keeper."

RESUME = """
import json, sys
from caw_core import Agent
given = json.load(sys.stdin)
handle = given.pop("handle")
with Agent(given.pop("provider"), **given).resume_session(handle) as session:
    turn = session.send("in another process")
    print(json.dumps([turn.result, session.trajectory.num_turns]))
"""


def resumed_elsewhere(trial: Trial, handle: str, **settings: Any) -> list[Any]:
    """Resume a session in a new process; return its answer and how many turns it knows."""
    given = trial.settings(**settings)
    # What the core fills in from the record is what is tested; deadlines are no JSON.
    del given["deadlines"]
    given |= {"provider": trial.kind.name, "handle": handle, "cwd": str(trial.cwd)}
    done = subprocess.run(
        [sys.executable, "-c", RESUME],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=WAIT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: list[Any] = json.loads(done.stdout)
    return answer


@pytest.mark.feature("system_prompt")
@pytest.mark.feature("reasoning")
@pytest.mark.feature("resume")
def test_system_prompt_and_effort_hold_on_every_turn_and_in_another_process(
    trial: Trial, tmp_path: Path
) -> None:
    trial.server.respond(echo)
    model = trial.kind.models[0]
    settings = {"model": model, "reasoning": "low", "system_prompt": SYSTEM}
    records = str(tmp_path / "records")
    with trial.session(data_dir=records, **settings) as session:
        session.send("one")
        session.send("two")
        handle = session.resume_handle
    answer = resumed_elsewhere(trial, handle, data_dir=records)
    assert answer == ["echo: in another process", 3]
    said = [
        sum(text.count(SYSTEM) for text in request.system()) for request in trial.server.requests
    ]
    assert said == [1, 1, 1]
    assert [trial.kind.effort(request) for request in trial.server.requests] == ["low"] * 3
    assert trial.server.requests[-1].user_texts()[-3:] == ["one", "two", "in another process"]


@pytest.mark.feature("resume")
def test_session_goes_on_without_any_storage(trial: Trial) -> None:
    trial.server.respond(echo)
    with trial.session() as session:
        session.send("one")
        handle = session.resume_handle
    with trial.agent().resume_session(handle) as session:
        assert session.send("two").result == "echo: two"
        assert session.trajectory.num_turns == 1
    assert trial.server.requests[-1].user_texts()[-2:] == ["one", "two"]


@pytest.mark.feature("find_sessions")
def test_session_of_the_agents_own_store_is_found_and_taken_over(
    trial: Trial, tmp_path: Path
) -> None:
    trial.server.script(reply(trial.kind.run("printf hi")), reply(text("done")))
    with trial.session() as session:
        session.send("about apples")
    trial.server.respond(echo)
    agent = trial.agent(data_dir=tmp_path / "records")
    [native] = agent.find_sessions()
    assert (native.provider, native.cwd) == (trial.kind.name, str(trial.cwd))
    assert native.updated_at
    assert trial.agent().find_sessions(tmp_path) == []
    with agent.resume_session(native) as taken:
        [first] = taken.trajectory.turns
        assert (first.input, first.result) == ("about apples", "done")
        assert [use.output for use in first.tool_calls] == ["hi"]
        assert taken.send("and pears").result == "echo: and pears"
    assert trial.server.requests[-1].user_texts()[-2:] == ["about apples", "and pears"]


@pytest.mark.feature("interactive")
@pytest.mark.skipif(sys.platform == "win32", reason="a POSIX terminal")
def test_python_goes_on_after_the_agents_own_interface(trial: Trial, tmp_path: Path) -> None:
    from caw_testkit.interactive_host import HandedTerminal

    trial.server.respond(echo)
    # The one folder that the user of this home trusts; with "full" some ask whether that is meant.
    trial.cwd = trial.home.cwd
    rule = "You speak like a lighthouse keeper."
    given = trial.settings(permissions="ask", data_dir=tmp_path / "records", system_prompt=rule)
    with HandedTerminal(trial.kind.name, given, tmp_path, prompt="one") as terminal:
        terminal.sees("echo: one").says("two").sees("echo: two")
        result = terminal.says("/exit").result()
    before, after = result["settings"]
    assert (result["exit_code"], before) == (0, after)
    agent = trial.agent(data_dir=tmp_path / "records")
    with agent.resume_session(result["resume_handle"]) as session:
        assert session.session_id == result["session_id"]
        assert session.send("three").result == "echo: three"
        said = [(turn.input, turn.result) for turn in session.trajectory.turns]
    prompts = ["one", "two", "three"]
    assert said == [(words, f"echo: {words}") for words in prompts]
    sent = trial.server.requests[-1].user_texts()
    assert [words for words in sent if words in prompts] == prompts
    for request in trial.server.requests:
        assert sum(words.count(rule) for words in request.system()) == 1


@pytest.mark.feature("many_sessions")
def test_many_sessions_run_at_once_in_as_few_processes_as_the_agent_can(trial: Trial) -> None:
    # Each claude is a process of a quarter of a gigabyte.
    count = 20 if trial.kind.shared_process else 4
    together = threading.Barrier(count)

    def answer(request: RecordedRequest) -> Reply:
        together.wait(WAIT)
        return echo(request)

    trial.server.respond(answer)
    agent = trial.agent()
    with ExitStack() as stack, ThreadPoolExecutor(count) as pool:
        sessions = list(pool.map(lambda _: agent.start_session(), range(count)))
        for session in sessions:
            stack.enter_context(session)
        prompts = [f"number {number}" for number in range(count)]
        turns = list(pool.map(lambda one, said: one.send(said), sessions, prompts))
        assert [turn.result for turn in turns] == [f"echo: {said}" for said in prompts]
        assert len(trial.processes()) == (1 if trial.kind.shared_process else count)
        assert len({session.resume_handle for session in sessions}) == count


@pytest.mark.feature("health")
def test_health_is_seen_without_a_request_and_probed_with_one(trial: Trial) -> None:
    trial.server.respond(lambda _: reply(text("ok")))
    agent = trial.agent()
    idle = agent.check_health()
    assert (idle.ok, idle.probed, trial.server.requests) == (True, False, [])
    assert idle.readiness.version
    assert idle.readiness.tested
    assert idle.readiness.credentials
    probed = agent.check_health(live=True)
    assert (probed.ok, probed.probed) == (True, True)
    assert probed.turn
    assert probed.turn.result == "ok"


@pytest.mark.feature("health")
def test_health_tells_what_a_probe_met(trial: Trial) -> None:
    trial.server.respond(lambda _: fail(401, "bad key"))
    health = trial.agent().check_health(live=True)
    assert (health.ok, health.readiness.ready) == (False, True)
    assert isinstance(health.error, AuthError)
