"""What a session can do when its provider can: steer, fork, models, attachments, take over."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from caw_core import (
    Agent,
    Attachment,
    McpServer,
    ModelInfo,
    ModelTier,
    NativeSession,
    PluginRegistry,
    Prompt,
    ProviderInfo,
    ResumeRequest,
    StartRequest,
    ToolGroup,
    Trajectory,
    Turn,
    hookimpl,
)
from caw_core.blocks import SteerBlock, TextBlock
from caw_core.errors import AuthError, ConfigError, UnsupportedError
from caw_core.event_buffer import LIMIT
from caw_core.events import Event, TextDelta, TextDone
from caw_core.provider import NATIVE
from tests.conftest import MemoryStorage, Stage

WAIT = 20.0
ALL = frozenset(
    {"steer", "fork", "models", "set_model", "images", "files", "structured", "record_resume"},
)


class AbleSession:
    """Answers with all prompts so far; ``wait`` holds the turn until something is steered in."""

    def __init__(self, request: StartRequest, history: list[str]) -> None:
        self.request = request
        self.history = history
        self.model = request.model
        self.resume_key: str | None = request.session_id
        self.steered: list[str] = []
        self.last: Prompt | None = None
        self._go_on = threading.Event()
        self.full = threading.Event()

    def prompt(self, prompt: Prompt) -> Iterator[Event]:
        self.last = prompt
        self.history.append(prompt.text)
        if prompt.text == "fail":
            message = "no"
            raise AuthError(message)
        if prompt.text == "flood":
            for number in range(3 * LIMIT):
                if number == LIMIT - 1:  # the turn's beginning is an event too
                    self.full.set()
                yield TextDelta(text="x")
            return
        if prompt.text == "wait":
            yield TextDone(text="before", block_id="1")
            self._go_on.wait(WAIT)
            self._go_on.clear()
            yield TextDone(text="after", block_id="2")
            return
        yield TextDelta(text=f"{self.model}: {'|'.join(self.history)}")

    def interrupt(self) -> None:
        self._go_on.set()

    def close(self) -> None:
        self._go_on.set()

    def steer(self, prompt: Prompt) -> bool:
        self.steered.append(prompt.text)
        self._go_on.set()
        return prompt.text != "too late"

    def fork(self, request: StartRequest) -> AbleSession:
        return AbleSession(request, list(self.history))

    def models(self) -> list[ModelInfo]:
        return [ModelInfo(name="big", is_default=True), ModelInfo(name="small")]

    def set_model(self, model: str | None, reasoning: str | None) -> None:
        del reasoning
        self.model = model or self.model


class AbleProvider:
    """Opens `AbleSession`s; what it declares is up to the test."""

    caw_api = "1.0"

    def __init__(self, capabilities: frozenset[str] = ALL) -> None:
        self.capabilities = capabilities
        self.sessions: list[AbleSession] = []

    @hookimpl
    def provider_info(self) -> ProviderInfo:
        names = ("model", "tools", "mcp_servers", "additional_dirs", "system_prompt")
        return ProviderInfo(
            name="able",
            capabilities=self.capabilities,
            options=dict.fromkeys(names, NATIVE),
            tiers={"strongest": "big"},
            auto="never",
        )

    @hookimpl
    def start_session(self, request: StartRequest) -> AbleSession:
        self.sessions.append(AbleSession(request, []))
        return self.sessions[-1]

    @hookimpl
    def resume_session(self, request: ResumeRequest) -> AbleSession:
        turns = request.trajectory.turns if request.trajectory else ()
        self.sessions.append(AbleSession(request, [turn.input for turn in turns]))
        return self.sessions[-1]

    @hookimpl
    def find_sessions(self, cwd: Path, env: Mapping[str, str | None]) -> list[NativeSession]:
        return [NativeSession(provider="able", resume_key="native-1", cwd=str(cwd), env=env)]

    @hookimpl
    def read_session(self, native: NativeSession) -> Trajectory:
        turn = Turn(index=0, input="from the terminal", output=(TextBlock(text="yes"),))
        return Trajectory(session_id="", provider="able", cwd=native.cwd, turns=(turn,))


@pytest.fixture
def provider() -> AbleProvider:
    return AbleProvider()


@pytest.fixture
def registry(provider: AbleProvider) -> PluginRegistry:
    registry = PluginRegistry(autoload=False)
    registry.register_provider("able", provider)
    return registry


@pytest.fixture
def agent(registry: PluginRegistry) -> Agent:
    return Agent("able", registry=registry)


def test_steering_is_delivered_into_the_running_turn(agent: Agent, provider: AbleProvider) -> None:
    with agent.start_session() as session:
        stream = session.stream("wait")
        events = iter(stream)
        while next(events).type != "text_done":
            pass
        receipt = session.steer("and hurry")
        turn = stream.result()
    assert (receipt.outcome, receipt.stream) == ("delivered", None)
    assert provider.sessions[0].steered == ["and hurry"]
    assert turn.result == "after"
    assert [block.text for block in turn.output if isinstance(block, SteerBlock)] == ["and hurry"]


def test_steering_that_comes_too_late_is_queued(agent: Agent) -> None:
    with agent.start_session() as session:
        stream = session.stream("wait")
        events = iter(stream)
        while next(events).type != "text_done":
            pass
        receipt = session.steer("too late")
        assert receipt.outcome == "queued"
        assert receipt.stream is not None
        stream.result()
        assert receipt.stream.result().index == 1


def test_whoever_reads_the_stream_can_steer_while_more_events_wait_than_fit(
    agent: Agent,
    provider: AbleProvider,
) -> None:
    with agent.start_session() as session:
        stream = session.stream("flood")
        assert provider.sessions[0].full.wait(WAIT)
        assert session.steer("enough").outcome == "delivered"
        assert stream.result().status == "completed"


def test_provider_that_cannot_steer_queues(provider: AbleProvider, agent: Agent) -> None:
    provider.capabilities = ALL - {"steer"}
    with agent.start_session() as session:
        stream = session.stream("wait")
        events = iter(stream)
        while next(events).type != "text_done":
            pass
        receipt = session.steer("more")
        provider.sessions[0].interrupt()
        assert (receipt.outcome, receipt.reason) == (
            "queued",
            "able takes nothing while a turn runs",
        )
        assert receipt.stream is not None
        assert receipt.stream.result().input == "more"


def test_steering_without_a_turn_is_rejected(agent: Agent) -> None:
    with agent.start_session() as session:
        assert session.steer("hello?").outcome == "rejected"


@pytest.mark.parametrize("capabilities", [ALL, ALL - {"fork"}])
def test_fork_has_the_history_and_goes_its_own_way(
    provider: AbleProvider,
    registry: PluginRegistry,
    capabilities: frozenset[str],
) -> None:
    provider.capabilities = capabilities
    memory = MemoryStorage()
    agent = Agent("able", registry=registry, storage=memory, metadata={"a": 1})
    with agent.start_session() as session:
        session.send("one")
        with session.fork(metadata={"b": 2}) as fork:
            fork.send("two")
            session.send("three")
            assert fork.trajectory.result == "None: one|two"
            assert session.trajectory.result == "None: one|three"
            assert fork.session_id != session.session_id
            assert fork.trajectory.forked_from == session.session_id
            assert fork.metadata == {"a": 1, "b": 2}
            assert fork.resume_handle != session.resume_handle
    assert [turn.input for turn in memory.turns[fork.session_id].values()] == ["one", "two"]


def test_provider_that_cannot_fork_says_so(provider: AbleProvider, agent: Agent) -> None:
    provider.capabilities = frozenset()
    with agent.start_session() as session, pytest.raises(UnsupportedError, match="cannot fork"):
        session.fork()


def test_model_changes_between_turns(agent: Agent) -> None:
    with agent.start_session() as session:
        assert [model.name for model in session.models()] == ["big", "small"]
        session.set_model("small")
        assert session.send("one").result == "small: one"
        session.set_model(ModelTier.STRONGEST)
        assert session.send("two").result == "big: one|two"
        assert session.trajectory.model == "big"


def test_tier_takes_the_providers_model(registry: PluginRegistry, provider: AbleProvider) -> None:
    with Agent("able", registry=registry, model=ModelTier.STRONGEST).start_session():
        assert provider.sessions[0].request.model == "big"
    with pytest.raises(UnsupportedError, match="no model is set for the tier 'fast'"):
        Agent("able", registry=registry, model=ModelTier.FAST).start_session()


def test_attachment_goes_with_the_prompt_and_only_its_name_into_the_record(
    agent: Agent,
    provider: AbleProvider,
    tmp_path: Path,
) -> None:
    (tmp_path / "a.png").write_bytes(b"123")
    attachment = Attachment.from_path(tmp_path / "a.png")
    with agent.start_session() as session:
        turn = session.send(Prompt(text="look", attachments=(attachment,)))
    assert provider.sessions[0].last is not None
    assert provider.sessions[0].last.attachments[0].data_url == "data:image/png;base64,MTIz"
    assert turn.attachments[0]["name"] == "a.png"
    assert "MTIz" not in str(turn.to_dict())


def test_attachment_that_the_agent_cannot_take_is_refused(
    agent: Agent,
    provider: AbleProvider,
) -> None:
    provider.capabilities = frozenset({"files"})
    image = Attachment(name="a.png", mime_type="image/png", data=b"1")
    with agent.start_session() as session, pytest.raises(UnsupportedError, match="images"):
        session.send(Prompt(text="look", attachments=(image,)))


def test_missing_attachment_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot attach .*gone\.txt"):
        Attachment.from_path(tmp_path / "gone.txt")


def test_conversation_of_the_agents_own_is_taken_over(
    registry: PluginRegistry,
    provider: AbleProvider,
    tmp_path: Path,
) -> None:
    memory = MemoryStorage()
    agent = Agent("able", registry=registry, storage=memory, cwd=tmp_path, env={"A": "b"})
    (native,) = agent.find_sessions()
    assert (native.cwd, native.env) == (str(tmp_path), {"A": "b"})
    with agent.resume_session(native) as session:
        assert session.send("and now?").result == "None: from the terminal|and now?"
        assert [turn.input for turn in session.trajectory.turns] == [
            "from the terminal",
            "and now?",
        ]
    assert isinstance(provider.sessions[0].request, ResumeRequest)
    assert provider.sessions[0].request.resume_key == "native-1"
    assert len(memory.turns[session.session_id]) == 2


def test_health_probe_asks_once(agent: Agent, provider: AbleProvider) -> None:
    assert (agent.check_health().ok, agent.check_health().probed) == (True, False)
    assert provider.sessions == []
    health = agent.check_health(live=True)
    assert (health.ok, health.probed, health.turn is not None) == (True, True, True)


def test_tool_servers_get_their_references_when_a_session_opens(
    registry: PluginRegistry,
    provider: AbleProvider,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = McpServer(
        name="docs",
        url="https://example.test/mcp",
        headers={"Authorization": "Bearer ${DOCS_TOKEN}"},
    )
    agent = Agent("able", registry=registry, mcp_servers=[server])
    with pytest.raises(ConfigError, match="refers to DOCS_TOKEN, which is not set"):
        agent.start_session()
    monkeypatch.setenv("DOCS_TOKEN", "s3cret")
    with agent.start_session() as session:
        (given,) = provider.sessions[0].request.mcp_servers
        assert given.headers == {"Authorization": "Bearer s3cret"}
        assert "s3cret" not in repr(given) + repr(session.trajectory.to_dict())


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"name": "a b", "command": "x"}, "name is letters"),
        ({"name": "a"}, "needs a command or a url"),
        ({"name": "a", "command": "x", "url": "http://y"}, "and not both"),
        ({"name": "a", "url": "file:///etc"}, "http or https"),
        ({"name": 5, "command": "x"}, "name is a str, not int"),
        ({"name": "a", "command": ["x"]}, "command is a str, not list"),
        ({"name": "a", "url": b"http://x"}, "url is a str, not bytes"),
        ({"name": "a", "command": "x", "args": "abc"}, "args are a list, not str"),
        ({"name": "a", "command": "x", "args": 5}, "args are a list, not int"),
        ({"name": "a", "command": "x", "args": ["y", 5]}, "args hold texts, .* of type int"),
        ({"name": "a", "command": "x", "env": {"A": 5}}, "env hold texts, .* of type int"),
        ({"name": "a", "command": "x", "env": ["A=5"]}, "env is a mapping, not list"),
        ({"name": "a", "url": "http://x", "headers": {5: "x"}}, "headers hold texts, .* type int"),
        ({"name": "a", "command": "x", "trusted": "no"}, "trusted is True or False, not 'no'"),
        ({"name": "a", "command": "x", "call_seconds": 0}, "call_seconds is a number above 0"),
        ({"name": "a", "command": "x", "call_seconds": True}, "call_seconds is a number above 0"),
    ],
)
def test_tool_server_that_no_agent_could_use_is_refused(arguments: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        McpServer(**arguments)


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ({"text": 5}, "text is a str, not int"),
        ({"text": "x", "attachments": 5}, "attachments is a tuple of Attachment, not int"),
        ({"text": "x", "attachments": ["a.png"]}, "attachments is a tuple of Attachment"),
        ({"text": "x", "output_schema": 5}, "output_schema is a JSON Schema as mapping, not int"),
        ({"text": "x", "commands": "yes"}, "commands is True or False, not str"),
    ],
)
def test_prompt_of_other_kinds_is_refused_by_its_member(members: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        Prompt(**members)


def test_tool_groups_reach_the_provider(registry: PluginRegistry, provider: AbleProvider) -> None:
    with Agent("able", registry=registry, tools=ToolGroup.ALL - ToolGroup.EXEC).start_session():
        assert ToolGroup.EXEC not in (provider.sessions[0].request.tools or ToolGroup.EXEC)


def test_restriction_that_the_provider_cannot_keep_raises(
    registry: PluginRegistry,
) -> None:
    class Plain(AbleProvider):
        """Says nothing of restrictions."""

        @hookimpl
        def provider_info(self) -> ProviderInfo:
            return ProviderInfo(name="plain", auto="never")

    registry.register_provider("plain", Plain)
    for option in ({"tools": ToolGroup.READER}, {"permissions": "read-only"}):
        with pytest.raises(UnsupportedError, match="cannot honour"):
            Agent("plain", registry=registry, **option).start_session()  # type: ignore[arg-type]


@pytest.mark.parametrize("choice", [(5, None), ("", None), (None, 5), (None, "")])
def test_model_that_is_no_name_is_refused_and_nothing_changes(stage: Stage, choice: Any) -> None:
    model, reasoning = choice
    agent = stage.agent(info={"capabilities": frozenset({"set_model"})})
    with agent.start_session() as session:
        with pytest.raises(ConfigError, match=r"(model|reasoning) is a str, not int|have names"):
            session.set_model(model, reasoning=reasoning)
        assert (session.trajectory.model, session.trajectory.reasoning) == ("", "")
