"""An application's tests against cassettes of the real programs, without those programs."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from caw_core import Agent, allow, deny
from caw_core.errors import ConfigError, ProviderError
from caw_core.events import PermissionAsked, TextDelta, ToolStarted
from caw_testkit.cassettes import CassetteMismatchError, read_cassette

TAPES = Path(__file__).parents[2] / "caw-testkit" / "tests" / "tapes"
PROVIDERS = ("claude_code", "codex", "opencode")

each_provider = pytest.mark.parametrize("name", PROVIDERS)


@pytest.fixture(autouse=True)
def no_programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("CAW_CLAUDE_CODE_PATH", "CAW_CODEX_PATH", "CAW_OPENCODE_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CAW_HOME", str(tmp_path / "caw"))


def replaying(name: str, *, options: dict[str, Any] | None = None, **settings: Any) -> Agent:
    cassette = {"cassette": TAPES / f"{name}.jsonl"}
    return Agent("replay", options={**cassette, **(options or {})}, **settings)


@each_provider
def test_turns_are_answered_as_they_were(name: str) -> None:
    with replaying(f"{name}-text").start_session() as session:
        assert session.send("Say hello.").result == "Hello there."
        turn = session.send("In German: größer, 例.")
    assert turn.result == "Grüß Gott, 例 \U0001f9ea."
    assert turn.usage.output_tokens > 0


@each_provider
def test_text_streams(name: str) -> None:
    with (
        replaying(f"{name}-text").start_session() as session,
        session.stream("Say hello.") as stream,
    ):
        pieces = [event.text for event in stream if isinstance(event, TextDelta)]
    assert "".join(pieces) == "Hello there."


@each_provider
def test_failure_is_the_error_that_it_was(name: str) -> None:
    with replaying(f"{name}-failure").start_session() as session:
        with pytest.raises(ProviderError, match="this was asked for"):
            session.send("Fail.")
        assert session.send("And now?").result == "Now it works."


@each_provider
def test_session_resumes_from_its_record(name: str, tmp_path: Path) -> None:
    agent = replaying(f"{name}-text", data_dir=tmp_path / "records")
    with agent.start_session() as session:
        session.send("Say hello.")
    with agent.resume_session(session.resume_handle) as resumed:
        assert resumed.send("In German: größer, 例.").result.startswith("Grüß Gott")
    assert [turn.index for turn in resumed.trajectory.turns] == [0, 1]


@each_provider
def test_resume_that_was_recorded_is_played(name: str) -> None:
    with replaying(f"{name}-resume").start_session() as session:
        session.send("Say hello.")
        assert session.send("Are you still there?").result == "Still here."


@each_provider
def test_session_resumes_from_the_handle_alone_by_its_prompt(name: str) -> None:
    agent = replaying(f"{name}-text")
    with agent.start_session() as session:
        session.send("Say hello.")
    with agent.resume_session(session.resume_handle) as resumed:
        assert resumed.send("In German: größer, 例.").result.startswith("Grüß Gott")


@each_provider
def test_permission_is_asked_again(name: str) -> None:
    asked: list[str] = []

    def decide(request: Any) -> Any:
        asked.append(request.tool)
        return allow()

    with replaying(f"{name}-permission", on_permission=decide).start_session() as session:
        turn = session.send("Make a file.")
    assert asked
    assert [use.status for use in turn.tool_calls] == ["completed"]


@each_provider
def test_other_answer_than_the_recorded_one_is_told(name: str) -> None:
    agent = replaying(f"{name}-permission", on_permission=lambda _: deny())
    with agent.start_session() as session, pytest.raises(CassetteMismatchError) as caught:
        session.send("Make a file.")
    assert caught.value.frame > 0
    assert f"{name}-permission.jsonl" in str(caught.value)


@each_provider
def test_recorded_interrupt_happens_by_itself(name: str) -> None:
    with replaying(f"{name}-interrupt").start_session() as session:
        assert session.send("Wait.").status == "interrupted"
        assert session.send("And now?").result == "Now I am free."


@each_provider
def test_recorded_interrupt_can_be_left_to_the_application(name: str) -> None:
    agent = replaying(f"{name}-interrupt", options={"wait_for_interrupt": True})
    with agent.start_session() as session:
        with session.stream("Wait.") as stream:
            for event in stream:
                if isinstance(event, ToolStarted):
                    session.interrupt()
        assert session.trajectory.turns[0].status == "interrupted"
        assert session.send("And now?").result == "Now I am free."


@each_provider
def test_interrupt_that_was_not_recorded_ends_the_turn_and_no_more(name: str) -> None:
    release = threading.Event()

    def decide(_: Any) -> bool:
        release.wait()
        return False

    with replaying(f"{name}-permission", on_permission=decide).start_session() as session:
        with session.stream("Make a file.") as stream:
            for event in stream:
                if isinstance(event, PermissionAsked):
                    session.interrupt()
        release.set()
        assert session.trajectory.turns[0].status == "interrupted"
        assert session.send("And now?").result == "Still here."


def test_other_prompt_is_told_with_both_and_the_line() -> None:
    with (
        replaying("codex-text").start_session() as session,
        pytest.raises(
            CassetteMismatchError, match=r"'Say hello\.'.*'Say something else\.'"
        ) as caught,
    ):
        session.send("Say something else.")
    cassette = read_cassette(TAPES / "codex-text.jsonl")
    assert caught.value.frame == next(f.number for f in cassette.frames if f.kind == "prompt")


def test_session_goes_on_after_another_prompt() -> None:
    with replaying("codex-text").start_session() as session:
        with pytest.raises(CassetteMismatchError):
            session.send("Say something else.")
        assert session.send("Say hello.").result == "Hello there."


def test_other_prompt_passes_where_any_does() -> None:
    with replaying("codex-text", options={"match": "any"}).start_session() as session:
        assert session.send("Say something else.").result == "Hello there."


def test_prompt_after_the_last_one_is_told() -> None:
    with replaying("codex-tool").start_session() as session:
        session.send("Run echo.")
        with pytest.raises(CassetteMismatchError, match="no further prompt"):
            session.send("Run it again.")


def test_two_sessions_play_one_cassette_at_the_same_time() -> None:
    agent = replaying("opencode-text")
    with agent.start_session() as one, agent.start_session() as other:
        assert one.send("Say hello.").result == other.send("Say hello.").result
        assert one.resume_handle != other.resume_handle


def test_settings_of_the_application_are_accepted() -> None:
    agent = replaying(
        "codex-text", strict=True, model="another", system_prompt="Be kind.", permissions="ask"
    )
    assert agent.completion("Say hello.").result == "Hello there."


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({}, "takes one of"),
        ({"cassette": "a", "record": "b"}, "takes one of"),
        ({"cassette": 3}, "a path"),
        ({"cassette": "nowhere.jsonl"}, "cannot be read"),
        ({"cassette": "x", "match": "some"}, "one of order"),
    ],
)
def test_wrong_options_are_told(options: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        Agent("replay", options=options).start_session()


def test_cassette_that_is_not_there_makes_it_not_ready(tmp_path: Path) -> None:
    assert replaying("codex-text").check_ready().ready
    missing = Agent("replay", options={"cassette": tmp_path / "none"})
    assert not missing.check_ready().ready
