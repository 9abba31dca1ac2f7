"""Providers that were written for the wrapper go on working."""

from __future__ import annotations

import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from caw import (
    Agent,
    MCPServer,
    Provider,
    ProviderSession,
    Session,
    TextBlock,
    ToolUse,
    Trajectory,
    Turn,
    UsageStats,
    installed_providers,
    register_provider,
)
from caw.models import ContentBlock, ModelTier
from caw_core.errors import LimitError, ProviderError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class OldSession(ProviderSession):
    """Answers by itself: a text, a tool call, a text."""

    def __init__(self, before: int = 0, **settings: Any) -> None:
        self.settings = settings
        self.before = before
        self._turns: list[Turn] = []
        self._callback: Callable[[list[ContentBlock]], None] | None = None

    def set_step_callback(self, callback: Callable[[list[ContentBlock]], None] | None) -> None:
        self._callback = callback

    def send(self, message: str) -> Turn:
        if message == "fail":
            raise RuntimeError("the program broke")
        call = ToolUse("call-1", "shell", {"command": "ls"})
        blocks: list[ContentBlock] = [TextBlock("I look.")]
        for block in (call, TextBlock(self._answer(message))):
            if self._callback is not None:
                self._callback(list(blocks))
            blocks.append(block)
        call.output, call.is_error = "no such folder", True
        turn = Turn(message, blocks, UsageStats(3, 4, cost_usd=0.5), 7)
        self._turns.append(turn)
        return turn

    def _answer(self, message: str) -> str:
        if message == "limit":
            return "You have reached your limit."
        if message == "settings":
            return " ".join(f"{name}={value}" for name, value in sorted(self.settings.items()))
        return f"{self.before + len(self._turns)}: {message}"

    def detect_usage_limit(self, turn: Turn) -> int | None:
        return 30 if "reached your limit" in turn.result else None

    def end(self) -> Trajectory:
        return self.trajectory

    @property
    def trajectory(self) -> Trajectory:
        return Trajectory("old", turns=list(self._turns), metadata={"old_key": "key-1", "x": 1})

    @property
    def last_raw_output(self) -> str | None:
        return '{"type": "raw"}'

    @property
    def resume_key(self) -> str | None:
        return "key-1" if self._turns else None


class OldProvider(Provider):
    """A provider as the wrapper's documentation has them."""

    name = "old"
    resumed: ClassVar[list[tuple[str, str]]] = []

    def start_session(self, mcp_servers: list[MCPServer], **kwargs: Any) -> OldSession:
        kwargs.pop("session_id")
        return OldSession(**kwargs, servers=[server.name for server in mcp_servers])

    def resume_session(
        self,
        mcp_servers: list[MCPServer],
        *,
        session_id: str,
        resume_key: str,
        trajectory: Trajectory | None = None,
        **kwargs: Any,
    ) -> OldSession:
        self.resumed.append((session_id, resume_key))
        return OldSession(before=trajectory.num_turns if trajectory else 0, **kwargs)

    def resume_key_from_trajectory(self, trajectory: Trajectory) -> str | None:
        return trajectory.metadata.get("old_key")

    def resolve_model(self, tier: ModelTier) -> str | None:
        return f"old-{tier.value}"


@pytest.fixture(autouse=True)
def old() -> Iterator[None]:
    with pytest.warns(DeprecationWarning, match=r"caw_core\.hookspecs"):
        registration = register_provider("old", OldProvider)
    with registration:
        yield


def test_turn_arrives_as_the_provider_made_it() -> None:
    with Agent(provider="old").start_session() as session:
        turn = session.send("hello")
    assert [type(block).__name__ for block in turn.output] == ["TextBlock", "ToolUse", "TextBlock"]
    (call,) = turn.tool_calls
    assert (call.name, call.arguments, call.output) == (
        "shell",
        {"command": "ls"},
        "no such folder",
    )
    assert call.is_error
    assert (turn.result, turn.usage) == ("0: hello", UsageStats(3, 4, cost_usd=0.5))
    assert session.trajectory.agent == "old"


def test_settings_and_servers_reach_it() -> None:
    agent = Agent(provider="old", system_prompt="be brief", model="m", reasoning="high")
    agent.add_mcp_server(MCPServer("files", command="files-server"))
    turn = agent.completion("settings").turns[0]
    assert turn.result == "model=m reasoning=high servers=['files'] system_prompt=be brief"


def test_tier_means_what_the_provider_says() -> None:
    turn = Agent(provider="old", model=ModelTier.FAST).completion("settings").turns[0]
    assert turn.result == "model=old-fast servers=[]"


def test_session_is_resumed_with_and_without_a_record(tmp_path: Path) -> None:
    with Agent(provider="old", data_dir=tmp_path).start_session() as session:
        with pytest.raises(RuntimeError, match="Send at least one message"):
            _ = session.resume_handle
        session.send("one")
        handle, session_id = session.resume_handle, session.trajectory.session_id
    with Agent(provider="old", data_dir=tmp_path).resume_session(handle) as resumed:
        assert resumed.send("two").result == "1: two"
    assert resumed.trajectory.num_turns == 2
    with Agent().resume_session(handle) as resumed:
        assert resumed.send("three").result == "0: three"
    assert resumed.trajectory.num_turns == 1
    assert OldProvider.resumed[-2:] == [(session_id, "key-1")] * 2


def test_what_it_keeps_in_its_record_is_in_ours(tmp_path: Path) -> None:
    agent = Agent(provider="old", data_dir=tmp_path, metadata={"x": "the script's"})
    with agent.start_session(traj_path=tmp_path / "run.json") as session:
        session.send("one")
        handle = session.resume_handle
    assert session.trajectory.metadata == {"x": "the script's", "old_key": "key-1"}
    loaded = Session.load_trajectory(tmp_path / "run.json")
    assert loaded.trajectory.to_dict() == session.trajectory.to_dict()
    assert loaded.resume_handle == handle
    assert session.session_dir is not None
    raw = session.session_dir / "turns/000_raw_output.jsonl"
    assert raw.read_text() == '{"type": "raw"}\n'


def test_failure_is_a_runtime_error_with_what_was_seen() -> None:
    with Agent(provider="old").start_session() as session:
        with pytest.raises(RuntimeError, match=r"^the program broke$") as raised:
            session.send("fail")
        assert isinstance(raised.value, ProviderError)
        assert session.send("hello").result == "0: hello"


def test_usage_limit_ends_the_turn_as_the_wrapper_did_where_nobody_waits(tmp_path: Path) -> None:
    session = Agent(provider="old", auto_wait=False, data_dir=tmp_path).start_session()
    with pytest.warns(DeprecationWarning, match="caw_core raises LimitError"):
        turn = session.send("limit")
    assert turn.result == "You have reached your limit."
    trajectory = session.end()
    assert trajectory.is_usage_limited
    assert not trajectory.is_complete
    again = Agent(provider="old", auto_wait=False).start_session()
    with again, pytest.raises(LimitError):
        again.core.send("limit")


@pytest.mark.skipif(sys.platform == "win32", reason="the program is a script with #!")
def test_it_is_among_the_installed_ones_once_its_program_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert installed_providers() == []
    program = tmp_path / "old"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    ((name, provider),) = installed_providers()
    assert (name, type(provider)) == ("old", OldProvider)
    assert provider.check_health().installed


def test_class_that_is_one_of_ours_keeps_all_that_ours_can() -> None:
    from caw import ClaudeCodeProvider
    from caw_core import Agent as CoreAgent

    with register_provider("my-claude", ClaudeCodeProvider):
        assert "interrupt" in CoreAgent("my-claude").provider_info.capabilities


def test_unknown_provider_is_a_value_error() -> None:
    name = f"none-{uuid.uuid4().hex}"
    with pytest.raises(ValueError, match=name):
        Agent(provider=name).completion("x")
