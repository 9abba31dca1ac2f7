"""Answers in a given form, by the real claude's own means."""

from __future__ import annotations

import os
import queue
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from caw_core import Agent, Prompt
from caw_core.errors import ConfigError, StructuredOutputError
from caw_core.events import Notice
from caw_testkit.modelserver import big, call, echo, reply, text

from .conftest import ask, fold, pid_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_core import Session
    from caw_core.agent_turns import AgentTurn
    from caw_provider_claude_code.session import ClaudeCodeSession
    from caw_testkit.homes import ProgramHome
    from caw_testkit.modelserver import ModelServer
    from caw_testkit.programs import Program

    from .conftest import Desk

pytestmark = pytest.mark.real_claude

NUMBER: dict[str, Any] = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
}
WORD: dict[str, Any] = {"type": "object", "properties": {"w": {"type": "string"}}}


@attrs.frozen
class Counted:
    n: int


def answer(**value: Any) -> Any:
    return reply(call("StructuredOutput", value))


def asks_for_a_form(server: ModelServer) -> list[bool]:
    return ["StructuredOutput" in request.tools for request in server.requests]


def notices(events: list[Any]) -> list[str]:
    return [event.message for event in events if isinstance(event, Notice)]


def structured(session: ClaudeCodeSession, prompt: str, schema: dict[str, Any]) -> list[Any]:
    return list(session.prompt(Prompt(text=prompt, output_schema=schema)))


@pytest.fixture(params=["live", "spawn"])
def session(
    request: pytest.FixtureRequest, claude_program: Program, claude_home: ProgramHome
) -> Iterator[Session]:
    agent = Agent(
        "claude_code",
        cwd=claude_home.cwd,
        env={**dict.fromkeys(os.environ), **claude_home.env},
        options={"binary": str(claude_program.path), "protocol": request.param},
        permissions="full",
    )
    with agent.start_session() as session:
        yield session


def test_answer_has_the_form_and_the_prompt_is_as_it_was(
    session: Session, model_server: ModelServer
) -> None:
    model_server.script(reply(text("hello")), answer(n=3), reply(text("bye")))
    assert session.send("hi").result == "hello"
    given = session.json("how many?", schema=Counted)
    assert given.value == Counted(n=3)
    assert (given.turn.structured, given.turn.result) == ({"n": 3}, '{"n":3}')
    assert given.turn.tool_calls == ()
    assert session.send("more").result == "bye"
    assert asks_for_a_form(model_server) == [False, True, False]
    assert model_server.requests[1].user_texts()[-2:] == ["hi", "how many?"]
    assert model_server.requests[2].last_user_text() == "more"
    assert session.trajectory.usage.total_tokens == model_server.usage.total_tokens


def test_answer_that_claude_refuses_is_asked_for_again_in_the_same_turn(
    session: Session, model_server: ModelServer
) -> None:
    model_server.script(answer(n="x"), reply(text('{"n": 6}')), answer(n=6))
    given = session.json("how many?", schema=NUMBER)
    assert (given.value, given.turn.index) == ({"n": 6}, 0)
    assert session.trajectory.num_turns == 1


def test_model_that_never_gives_the_form_fails_with_its_words_kept(
    session: Session, model_server: ModelServer
) -> None:
    model_server.respond(lambda _: reply(text("I would rather not")))
    with pytest.raises(StructuredOutputError) as caught:
        session.json("how many?", schema=NUMBER, repairs=0)
    assert caught.value.text == "I would rather not"
    model_server.script(answer(n=1))
    assert session.json("again?", schema=NUMBER).value == {"n": 1}


def test_process_is_changed_only_when_the_form_changes(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.script(answer(n=1), answer(n=2), answer(w="x"), reply(text("plain")))
    session = desk.start(system_prompt="CAW-SYSTEM")
    first = session.pid
    pids = []
    for schema in (NUMBER, dict(NUMBER), WORD):
        structured(session, "go", schema)
        pids.append(session.pid)
    ask(session, "go")
    pids.append(session.pid)
    assert pids[0] == pids[1]
    assert len({first, *pids}) == 4
    assert all("CAW-SYSTEM" in " ".join(one.system()) for one in model_server.requests)


def test_form_is_asked_for_in_words_while_something_runs_in_the_background(
    desk: Desk, model_server: ModelServer
) -> None:
    server = {"command": "echo $$ > server; sleep 1000", "run_in_background": True}
    model_server.script(reply(call("Bash", server)), reply(text("runs")))
    model_server.script(reply(text('Here it is: {"n": 4}')))
    session = desk.start()
    ask(session, "start it")
    pid_in(desk.home.cwd / "server")
    pid = session.pid
    events = structured(session, "how many?", NUMBER)
    assert fold(events).structured == {"n": 4}
    assert any("in the background" in notice for notice in notices(events))
    assert session.pid == pid
    assert '"integer"' in model_server.requests[-1].last_user_text()


def test_form_stays_while_something_runs_in_the_background_and_that_is_told(
    desk: Desk, model_server: ModelServer
) -> None:
    server = {"command": "while ! test -e go; do sleep 0.02; done", "run_in_background": True}
    model_server.script(reply(call("Bash", server)), answer(n=1))
    model_server.script(reply(text("plain")), answer(n=2))
    session = desk.start()
    structured(session, "go", NUMBER)
    pid = session.pid
    events = ask(session, "and now?")
    assert (fold(events).text, fold(events).structured) == ("plain", None)
    assert any("earlier prompt" in notice for notice in notices(events))
    assert session.pid == pid
    model_server.script(answer(n=3))
    begun: queue.SimpleQueue[AgentTurn] = queue.SimpleQueue()
    session._request.agent_turns.attach(begun.put)
    (desk.home.cwd / "go").touch()
    assert fold(list(begun.get(timeout=30).events)).tool_calls == ()
    model_server.respond(echo)
    assert fold(ask(session, "free")).result == "echo: free"
    assert session.pid != pid


def test_option_has_the_form_asked_for_in_words(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(reply(text('{"n": 4}')))
    session = desk.start(options={"structured_output": "prompt"})
    pid = session.pid
    events = structured(session, "how many?", NUMBER)
    assert (fold(events).structured, notices(events), session.pid) == ({"n": 4}, [], pid)
    with pytest.raises(ConfigError, match="tool, prompt"):
        desk.start(options={"structured_output": "telepathy"})


def test_schema_that_is_too_long_for_an_argument_is_put_into_the_prompt(
    desk: Desk, model_server: ModelServer
) -> None:
    long = {**NUMBER, "description": big(150_000).text}
    model_server.script(reply(text('{"n": 5}')))
    session = desk.start(options={"protocol": "spawn"})
    events = structured(session, "how many?", long)
    assert fold(events).structured == {"n": 5}
    assert any("too long" in notice for notice in notices(events))
