"""One conversation and several real agents: the next one where the first cannot, and a handoff."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from caw_core import Agent, Deadlines
from caw_core.errors import LimitError
from caw_core.events import ProviderChanged
from caw_testkit.homes import claude_home, codex_home, opencode_home
from caw_testkit.modelserver import call, echo, fail, reply, text

from .agents import whole_body
from .conftest import WAIT, runs, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from caw_testkit.modelserver import ModelServer, RecordedRequest
    from caw_testkit.programs import Program

    from .conftest import Trial

MakeAgent = Any


def three_programs(test: Callable[..., None]) -> Callable[..., None]:
    """Mark a test as one that needs them all."""
    for program in ("claude", "codex", "opencode"):
        test = getattr(pytest.mark, f"real_{program}")(test)
    return test


ALL = ("claude_code", "codex", "opencode")


def of_claude(request: RecordedRequest) -> bool:
    return "/messages" in request.path


@pytest.fixture
def make(
    model_server: ModelServer,
    claude_program: Program,
    codex_program: Program,
    opencode_program: Program,
    tmp_path: Path,
) -> MakeAgent:
    """Return what makes agents that can reach all three programs, one folder for all."""
    homes = []
    for make_home in (opencode_home, codex_home, claude_home):
        folder = tmp_path / make_home.__name__
        folder.mkdir()
        homes.append(make_home(folder, model_server))
    env: dict[str, str | None] = dict.fromkeys(os.environ)
    for home in homes:
        env |= home.env
    programs = (claude_program, codex_program, opencode_program)
    options = {
        name: {"binary": str(program.path)} for name, program in zip(ALL, programs, strict=True)
    }

    def agent(order: Any, **changes: Any) -> Agent:
        return Agent(
            order,
            cwd=homes[-1].cwd,
            env={**env, **changes.pop("env", {})},
            options=options,
            permissions="full",
            deadlines=Deadlines(start=WAIT, stop=5),
            data_dir=tmp_path / "records",
            **changes,
        )

    return agent


def children(program: Program) -> list[psutil.Process]:
    found = psutil.Process().children(recursive=True)
    return [process for process in found if runs(process, program.path)]


@pytest.mark.feature("provider_order")
def test_agent_that_is_not_logged_in_makes_way_for_the_next(trial: Trial) -> None:
    trial.server.respond(lambda _: fail(401, "bad key"))
    settings = trial.settings()
    options = {trial.kind.name: settings.pop("options")}
    order = [trial.kind.name, "echo"]
    with Agent(order, registry=trial.registry, options=options, **settings).start_session() as one:
        events = list(one.stream("go"))
    [change] = [event for event in events if isinstance(event, ProviderChanged)]
    assert (change.from_provider, change.cause) == (trial.kind.name, "not_logged_in")
    assert one.trajectory.result == "echo: go"


@pytest.mark.feature("handoff")
def test_conversation_is_carried_to_the_agent_and_away_from_it(trial: Trial) -> None:
    trial.server.respond(lambda _: reply(text("fine")))
    settings = trial.settings()
    options = settings.pop("options")
    start = Agent("echo", registry=trial.registry, **settings).start_session()
    start.send("I like marmalade")
    session = start.handoff(trial.kind.name, options=options).session
    assert session.send("What do I like?").result == "fine"
    assert "I like marmalade" in whole_body(trial.server.requests[-1])
    with session.handoff("echo").session as back:
        assert back.send("!history").result.splitlines()[:2] == [
            "I like marmalade",
            "What do I like?",
        ]


@three_programs
@pytest.mark.parametrize(
    ("refusal", "cause"),
    [(fail(401, "bad key"), "not_logged_in"), (fail(503, "overloaded"), "limited")],
    ids=["login", "limit"],
)
def test_claude_that_is_refused_makes_way_for_codex_and_is_gone(
    make: MakeAgent,
    model_server: ModelServer,
    claude_program: Program,
    refusal: Any,
    cause: str,
) -> None:
    def answer(request: RecordedRequest) -> Any:
        return refusal if of_claude(request) else echo(request)

    model_server.respond(answer)
    with make(["claude_code", "codex"]).start_session() as session:
        stream = session.stream("go")
        [change] = [event for event in stream if isinstance(event, ProviderChanged)]
        turn = stream.result()
        wait_until(lambda: not children(claude_program))
        assert session.send("go on").result == "echo: go on"
    assert (change.from_provider, change.to_provider, change.cause) == (
        "claude_code",
        "codex",
        cause,
    )
    assert (turn.result, turn.index, session.provider) == ("echo: go", 0, "codex")
    assert sum(map(of_claude, model_server.requests)) == 1
    record = make("codex").load_trajectory(session.session_id)
    assert (record.provider, record.num_turns) == ("codex", 2)
    assert record.turns[0].extra["provider_changes"][0]["cause"] == cause


@three_programs
def test_claude_without_a_login_is_passed_over_and_told(
    make: MakeAgent, model_server: ModelServer
) -> None:
    model_server.respond(echo)
    agent = make(["claude_code", "codex"], env={"ANTHROPIC_API_KEY": None})
    with agent.start_session() as session:
        events = list(session.stream("go"))
    [change] = [event for event in events if isinstance(event, ProviderChanged)]
    assert (change.cause, session.provider) == ("not_ready", "codex")
    assert "no credentials" in change.reason
    assert not any(map(of_claude, model_server.requests))


@three_programs
def test_limit_after_a_tool_call_stays_where_the_call_was(
    make: MakeAgent, model_server: ModelServer, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    steps = iter([reply(call("Bash", {"command": f"echo x >> {mark}"})), fail(503, "overloaded")])

    def answer(request: RecordedRequest) -> Any:
        return next(steps) if of_claude(request) else echo(request)

    model_server.respond(answer)
    session = make(["claude_code", "codex"], auto_wait=False).start_session()
    with session, pytest.raises(LimitError) as caught:
        session.send("go")
    assert mark.read_text() == "x\n"
    assert all(map(of_claude, model_server.requests))
    assert caught.value.passed_over == ()
    assert caught.value.turn
    assert [tool.name for tool in caught.value.turn.tool_calls] == ["Bash"]


@three_programs
def test_conversation_goes_from_claude_to_codex_to_opencode(
    make: MakeAgent, model_server: ModelServer
) -> None:
    def last_body() -> str:
        return whole_body(model_server.requests[-1])

    model_server.script(
        reply(call("Bash", {"command": "echo from-the-tool"})), reply(text("I like marmalade"))
    )
    first = make(ALL).start_session()
    first.send("What do you like?")
    handed = first.handoff("codex")
    assert (handed.how, handed.kept.turns, handed.kept.tool_calls) == ("native", 1, 1)

    model_server.clear()
    model_server.respond(lambda _: reply(text("fine")))
    second = handed.session
    assert second.send("What did I ask?").result == "fine"
    sent = last_body()
    for words in ("What do you like?", "I like marmalade", "from-the-tool", "function_call_output"):
        assert words in sent

    # What codex was given is codex's own: it holds in another process, too.
    key = second.resume_handle
    second.end()
    again = make(ALL).resume_session(key)
    again.send("And now?")
    assert "marmalade" in last_body()

    handed = again.handoff("opencode")
    assert (handed.how, handed.kept.turns) == ("brief", 3)
    with handed.session as third:
        third.send("Go on.")
        sent = last_body()
        for words in ("What do you like?", "I like marmalade", "from-the-tool", "And now?"):
            assert words in sent
        third.send("And on.")
        assert last_body().count("<earlier-conversation>") == 1
    record = make("opencode").load_trajectory(third.session_id)
    assert [turn.input for turn in record.turns] == [
        "What do you like?",
        "What did I ask?",
        "And now?",
        "Go on.",
        "And on.",
    ]
    used = [made.trajectory.usage.total_tokens for made in (first, again, third)]
    assert sum(used) == 15 * 6


@three_programs
def test_limit_in_the_middle_is_answered_by_another_agent(
    make: MakeAgent, model_server: ModelServer
) -> None:
    def answer(request: RecordedRequest) -> Any:
        late = len(model_server.requests) > 1
        return fail(503, "overloaded") if of_claude(request) and late else echo(request)

    model_server.respond(answer)
    session = make("claude_code", auto_wait=False).start_session()
    session.send("one")
    try:
        session.send("two")
    except LimitError:
        session = session.handoff("codex").session
        turn = session.send("two")
    session.end()
    assert turn.result == "echo: two"
    body = whole_body(model_server.requests[-1])
    assert (body.count('"two"'), body.count('"one"')) == (1, 1)
