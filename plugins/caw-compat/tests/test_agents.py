"""What agents and sessions do that needs no agent's program."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from typing import TYPE_CHECKING, Any

import pytest

import caw
from caw import (
    Agent,
    AgentSpec,
    Display,
    FastStats,
    MCPServer,
    ModelTier,
    Session,
    SessionStore,
    TextBlock,
    ToolGroup,
    Turn,
    set_global_display,
    set_provider_order,
)
from caw_core.errors import ConfigError, ResumeHandleError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def own_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("CAW_HOME", str(tmp_path / "caw"))
    for name in ("CAW_PROVIDER", "CAW_MODEL", "CAW_EFFORT", "CAW_LOG", "CAW_AUTOWAIT"):
        monkeypatch.delenv(name, raising=False)
    yield
    set_provider_order(None)


def document(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text()))


# ------------------------------------------------------------------------------------- providers


def test_claude_is_taken_when_nothing_is_said() -> None:
    assert Agent().provider.name == "claude_code"


def test_order_counts_before_the_variable_and_a_name_before_both(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CAW_PROVIDER", "opencode, codex")
    assert Agent().provider.name == "opencode"
    set_provider_order([("codex", ModelTier.FAST), "claude"])
    assert caw.get_provider_order() == ["codex", "claude"]
    assert caw.get_provider_models() == {"codex": ModelTier.FAST}
    assert Agent().provider.name == Agent(provider="auto").provider.name == "codex"
    assert Agent(provider="cc").provider.name == "claude_code"


def test_misspelt_name_in_an_order_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="no provider 'ecko' is installed"):
        Agent(provider=["echo", "ecko"]).start_session()


def test_handle_of_another_provider_is_refused_by_an_agent_that_names_one() -> None:
    with Agent(provider="echo").start_session() as session:
        session.send("hello")
        handle = session.resume_handle
    with pytest.raises(ValueError, match="echo"):
        Agent(provider="codex").resume_session(handle)
    with Agent().resume_session(handle) as resumed:
        assert resumed.send("again").result.endswith("echo: again")


# ---------------------------------------------------------------------------------------- options


def test_unknown_option_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match="did you mean 'model'"):
        Agent(provider="echo", modle="x")
    with pytest.raises(ValueError, match="timeout"):
        Agent(provider="echo").start_session(timeout=3)


def test_sandbox_is_a_permission_now() -> None:
    with pytest.warns(DeprecationWarning, match="permissions='auto-edit'"):
        agent = Agent(provider="echo", sandbox="workspace-write")
    with agent.start_session() as session:
        assert session.core.info.permissions == "auto-edit"


def test_list_of_forbidden_tools_is_refused() -> None:
    with pytest.raises(ValueError, match="ToolGroup"):
        Agent(provider="claude", disallowed_tools=["Bash"])


def test_agent_may_do_anything_unless_told_otherwise_as_it_always_might() -> None:
    with Agent(provider="echo").start_session() as session:
        assert session.core.info.permissions == "full"
    with Agent(provider="echo", permissions="read-only").start_session() as session:
        assert session.core.info.permissions == "read-only"


def test_setters_count_for_the_sessions_after_them() -> None:
    agent = Agent("echo", None, "one", "m1", "low", ToolGroup.READER, name="n", description="d")
    agent.set_system_prompt("two")
    agent.set_model("m2")
    agent.set_reasoning("high")
    agent.set_tools(ToolGroup.ALL)
    agent.add_mcp_server(MCPServer("files", command="x", env={"TOKEN": "secret"}))
    agent.add_subagent(AgentSpec("helper"))
    agent.metadata["ticket"] = 7
    spec = agent.get_spec()
    assert (spec.name, spec.description, spec.system_prompt) == ("n", "d", "two")
    assert (spec.model, spec.reasoning, spec.tools) == ("m2", "high", ToolGroup.ALL)
    assert [server.name for server in spec.mcp_servers] == ["files"]
    assert [nested.name for nested in spec.subagents] == ["helper"]
    agent = Agent("echo", system_prompt="one", metadata={"ticket": 7})
    agent.set_system_prompt("two")
    with agent.start_session(metadata={"step": 1}) as session:
        assert session.send("!system").result == "two"
    assert session.trajectory.metadata == {"ticket": 7, "step": 1}


def test_environment_gives_model_and_effort(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAW_MODEL", "echo-large")
    with Agent(provider="echo").start_session() as session:
        assert session.trajectory.model == "echo-large"


def test_tier_means_what_the_wrappers_file_says(tmp_path: Path) -> None:
    (tmp_path / "caw").mkdir()
    (tmp_path / "caw/config.json").write_text('{"models": {"echo": {"fast": "echo-9"}}}')
    with Agent(provider="echo", model=ModelTier.FAST).start_session() as session:
        assert session.trajectory.model == "echo-9"


def test_tier_means_what_the_wrappers_file_at_home_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from caw import config

    monkeypatch.delenv("CAW_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / ".caw").mkdir()
    (tmp_path / ".caw/config.json").write_text('{"models": {"echo": {"fast": "echo-9"}}}')
    assert config.get_model("echo", "fast") == "echo-9"
    for provider in ("echo", ["echo"]):
        with Agent(provider=provider, model=ModelTier.FAST).start_session() as session:
            assert session.trajectory.model == "echo-9"


# ---------------------------------------------------------------------------------------- records


def test_files_of_trajectories_are_there_after_each_turn(tmp_path: Path) -> None:
    run = tmp_path / "out/run.json"
    agent = Agent(provider="echo", data_dir=str(tmp_path / "data"))
    agent.add_mcp_server(MCPServer("files", command="x", env={"TOKEN": "secret"}))
    with agent.start_session(traj_path=run) as session:
        session.send("one")
        assert session.session_dir is not None
        for path in (run, session.session_dir / "trajectory.json"):
            assert document(path)["turns"][-1]["input"] == "one"
        before = run.stat().st_ino
        session.send("two ✓")
        # A turn adds to the file; the whole is not written anew.
        assert run.stat().st_ino == before
        assert document(run) == session.trajectory.to_dict()
        assert not document(run)["completed_at"]
    assert document(run) == session.trajectory.to_dict()
    assert document(run)["completed_at"]
    assert run.read_text() == json.dumps(session.trajectory.to_dict(), indent=2) + "\n"
    assert document(run)["mcp_servers"][0]["env"] == {"TOKEN": "***"}
    assert "secret" not in (session.session_dir / "traj.jsonl").read_text()
    if os.name == "posix":
        assert run.stat().st_mode & 0o777 == 0o600


def test_file_that_somebody_else_wrote_meanwhile_is_whole_again(tmp_path: Path) -> None:
    run = tmp_path / "run.json"
    with Agent(provider="echo").start_session(traj_path=run) as session:
        session.send("one")
        run.write_text("{}")
        session.send("two")
        assert document(run)["turns"][1]["input"] == "two"


def test_loaded_trajectory_is_read_only_and_can_be_resumed(tmp_path: Path) -> None:
    with Agent(provider="echo", data_dir=tmp_path).start_session() as session:
        session.send("one")
    session.save_trajectory(tmp_path / "deep/saved.json")
    loaded = Session.load_trajectory(tmp_path / "deep/saved.json")
    assert loaded.trajectory.to_dict() == session.trajectory.to_dict()
    assert loaded.resume_handle == session.resume_handle
    for forbidden in (lambda: loaded.send("x"), loaded.end):
        with pytest.raises(RuntimeError, match="read-only"):
            forbidden()


def test_bare_session_id_is_resumed_where_its_record_is(tmp_path: Path) -> None:
    with Agent(provider="echo", data_dir=tmp_path).start_session() as session:
        session.send("one")
        session_id = session.trajectory.session_id
    with Agent(provider="echo", data_dir=tmp_path).resume_session(session_id) as resumed:
        assert resumed.trajectory.num_turns == 1
    for agent in (Agent(provider="echo"), Agent(provider="echo", data_dir=tmp_path / "no")):
        with pytest.raises(FileNotFoundError, match=session_id):
            agent.resume_session(session_id)
    with pytest.raises(ResumeHandleError):
        Agent(provider="echo", data_dir=tmp_path).resume_session("../../elsewhere")


def test_async_sends_are_answered_in_order() -> None:
    async def main() -> list[str]:
        with Agent(provider="echo").start_session() as session:
            tasks = [asyncio.create_task(session.send_async(f"{n}")) for n in range(20)]
            return [turn.result for turn in await asyncio.gather(*tasks)]

    assert asyncio.run(main()) == [f"echo: {n}" for n in range(20)]


def test_fast_stats_read_what_sessions_used(tmp_path: Path) -> None:
    for _ in range(2):
        with Agent(provider="echo", data_dir=tmp_path).start_session() as session:
            session.send("one two")
    found = list(FastStats.iter_directory(tmp_path))
    assert {each.path and each.path.name for each in found} == {"trajectory.json"}
    (stats,) = (each for each in found if each.session_id == session.trajectory.session_id)
    assert stats == FastStats.from_trajectory(session.trajectory, path=stats.path)
    assert FastStats.directory_total_cost(tmp_path) == 0
    (tmp_path / "other.traj.json").write_text('{"name": "no trajectory"}')
    assert FastStats.from_path(tmp_path / "other.traj.json") is None


def test_store_of_scripts_own_is_read_by_caw(tmp_path: Path) -> None:
    trajectory = caw.Trajectory("echo", session_id="by-hand", turns=[Turn("hi", [TextBlock("ho")])])
    with pytest.warns(DeprecationWarning, match="data_dir"):
        store = SessionStore(tmp_path, "by-hand")
    store.write_metadata(trajectory)
    store.append_turn(trajectory.turns[0], trajectory, raw_output="{}")
    store.finalize(trajectory)
    from caw_core import Agent as CoreAgent

    record = CoreAgent("echo", data_dir=tmp_path).load_trajectory("by-hand")
    assert record is not None
    assert record.turns[0].result == "ho"
    with pytest.warns(DeprecationWarning, match="data_dir"), pytest.raises(ConfigError):
        SessionStore(tmp_path, "../elsewhere")


# ---------------------------------------------------------------------------- display and logger


def test_handlers_of_a_derived_display_get_whole_blocks() -> None:
    class Noting(Display):
        def __init__(self) -> None:
            super().__init__("full")
            self.notes: list[str] = []

        def on_user_message(self, message: str) -> None:
            self.notes.append(f"user {message}")

        def on_text(self, block: TextBlock) -> None:
            self.notes.append(f"text {block.text}")

        def on_turn_end(self, result: str, usage: caw.UsageStats, duration_ms: int) -> None:
            self.notes.append(f"end {result} {usage.total_tokens}")

    display = Noting()
    set_global_display(display)
    try:
        assert caw.get_global_display() is display
        Agent(provider="echo").completion("hello")
    finally:
        set_global_display(None)
    assert display.notes == ["user hello", "text echo: hello", "end echo: hello 3"]


def test_derived_display_is_called_in_each_mode_and_shows_what_it_does_not_handle(
    capfd: pytest.CaptureFixture[str],
) -> None:
    class Counting(Display):
        texts = 0

        def on_text(self, block: TextBlock) -> None:
            self.texts += 1
            super().on_text(block)

    shown = []
    for mode in ("off", "result", "short"):
        display = Counting(mode)
        set_global_display(display)
        try:
            Agent(provider="echo").completion("hello")
        finally:
            set_global_display(None)
        assert display.texts == 1
        shown.append([line.split(" duration")[0] for line in capfd.readouterr().err.splitlines()])
    assert shown[:2] == [[], ["echo: hello"]]
    kinds = [line.split("]")[0] for line in shown[2]]
    assert kinds == ["[Metadata", "[User", "[Assistant", "[Metadata", "[Metadata"]
    assert "[Assistant] echo: hello" in shown[2]


def test_nothing_is_shown_on_stdout(capfd: pytest.CaptureFixture[str]) -> None:
    set_global_display(Display("full"))
    try:
        Agent(provider="echo").completion("hello")
    finally:
        set_global_display(None)
    out, err = capfd.readouterr()
    assert out == ""
    assert "echo: hello" in err


def test_logger_gets_a_line_for_each_thing() -> None:
    class Lines:
        def __init__(self) -> None:
            self.lines: list[str] = []

        def info(self, message: str) -> None:
            self.lines.append(message)

        warn = error = info

    logger = Lines()
    assert isinstance(logger, caw.AgentLogger)
    Agent(provider="echo", logger=logger).completion("hello")
    assert logger.lines[:2] == ["user hello", "assistant echo: hello"]
    assert logger.lines[2].startswith("turn_end ")
    assert len(logger.lines) == 3


def test_logger_of_pythons_own_is_taken_too(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "mine"):
        Agent(provider="echo", logger=logging.getLogger("mine")).completion("hello")
    assert [vars(record)["event"] for record in caplog.records if record.name == "mine"] == [
        "user",
        "assistant",
        "turn_end",
    ]


def test_object_that_is_no_logger_is_refused() -> None:
    stranger: Any = object()
    with pytest.raises(ValueError, match="warn"):
        Agent(provider="echo", logger=stranger).completion("hello")
