"""A session's secrets are in nothing that it leaves behind."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from caw_core import Agent, McpServer, StartRequest, hookimpl
from caw_core.errors import ProcessError
from caw_core.events import RawOutput, TextDelta, ToolFinished, ToolStarted
from caw_core.provider import NATIVE
from caw_core.redaction import REDACTED

from .conftest import MemoryStorage, PlayedProvider, PlayedSession, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_core.events import Event

GIVEN = "canary-of-the-environment"
HOSTS = "canary-of-the-host"
HEADER = "canary-of-a-header"
REFERRED = "canary-by-reference"
ALL = (GIVEN, HOSTS, HEADER, REFERRED)
GIVABLE = {"env": NATIVE, "mcp_servers": NATIVE}


def spill(session: PlayedSession, _: str) -> Iterator[Event]:
    """Say every secret in every way that a provider has."""
    secrets = " ".join((*ALL, session.resume_key or ""))
    yield RawOutput(line=f'{{"env": "{secrets}"}}')
    yield TextDelta(text=f"the environment is {secrets}")
    yield ToolStarted(call_id="1", name="bash", arguments={"command": secrets})
    yield ToolFinished(call_id="1", output=secrets)
    logging.getLogger("caw.played").warning("seen: %s", secrets)
    msg = f"it broke: {secrets}"
    raise ProcessError(msg, exit_code=1, stderr_tail=secrets)


@pytest.fixture
def agent(stage: Stage, memory: MemoryStorage, monkeypatch: pytest.MonkeyPatch) -> Agent:
    monkeypatch.setenv("HOST_TOKEN", HOSTS)
    monkeypatch.setenv("PLACE", REFERRED)
    return stage.agent(
        spill,
        info={"options": GIVABLE},
        storage=[memory],
        keep_raw=True,
        env={"SOME_API_KEY": GIVEN},
        mcp_servers=[
            McpServer(name="web", url="http://127.0.0.1:1", headers={"X-Auth": HEADER}),
            McpServer(name="own", command="serve", env={"PLACE": "${PLACE}"}),
        ],
    )


def test_record_log_error_and_raw_output_of_a_turn_hold_no_secret(
    agent: Agent, memory: MemoryStorage, caplog: pytest.LogCaptureFixture
) -> None:
    with agent.start_session() as session, pytest.raises(ProcessError) as caught:
        session.send(f"use {GIVEN}")
    key = session.trajectory.resume_key
    turn = session.trajectory.turns[0]
    left = {
        "record": repr(memory.turns),
        "log": caplog.text,
        "error": f"{caught.value} {caught.value.stderr_tail}",
        "error of the turn": repr(turn.error),
        "raw output": repr(turn.raw_output),
    }
    for place, text in left.items():
        assert REDACTED in text, place
        for secret in (*ALL, key):
            assert str(secret) not in text, place


def test_turn_in_memory_is_what_the_agent_said(agent: Agent) -> None:
    with agent.start_session() as session, pytest.raises(ProcessError):
        session.send("go")
    assert GIVEN in repr(session.trajectory.turns[0].output)


class Refusing(PlayedProvider):
    """Opens nothing, and says too much about why."""

    @hookimpl
    def start_session(self, request: StartRequest) -> PlayedSession:
        """Refuse."""
        msg = f"401 for {request.env['SOME_API_KEY']}"
        raise ProcessError(msg)


def test_session_that_cannot_open_tells_no_secret(stage: Stage) -> None:
    stage.registry.register_provider("refusing", Refusing(name="refusing", options=GIVABLE))
    agent = Agent("refusing", registry=stage.registry, env={"SOME_API_KEY": GIVEN})
    with pytest.raises(ProcessError, match=r"^401 for \[redacted\]$"):
        agent.start_session()


def test_block_without_secrets_is_handed_to_storages_as_the_same_object(
    stage: Stage, memory: MemoryStorage
) -> None:
    with stage.agent(storage=[memory]).start_session() as session:
        turn = session.send("hi")
    assert memory.turns[session.session_id][0].output[0] is turn.output[0]
