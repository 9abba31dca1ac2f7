"""Conversations with the real model. What it says is never looked at, only that it says it."""

from __future__ import annotations

import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import pytest

from caw_core.blocks import TextBlock
from caw_core.errors import (
    ConfigError,
    ContextLimitError,
    ModelError,
    NotResumableError,
    SessionStateError,
)
from caw_core.events import (
    Event,
    Notice,
    Progress,
    TextDelta,
    TextDone,
    TurnEnded,
    UsageReported,
)
from caw_core.provider import Prompt, ProviderSession, ResumeRequest, StartRequest
from caw_core.trajectory import Trajectory, Turn
from caw_provider_local import LocalProvider
from caw_provider_local.pool import ModelKey, ModelPool

if TYPE_CHECKING:
    from pathlib import Path

    from caw_core.usage import UsageStats

Make = Callable[..., StartRequest]
LONG = "one two three four " * 150


def usage_of(events: Iterable[Event]) -> UsageStats:
    return next(event.usage for event in events if isinstance(event, UsageReported))


def read_tokens(events: Iterable[Event]) -> int:
    usage = usage_of(events)
    return usage.input_tokens + usage.cache_read_tokens


def text_of(events: Iterable[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def ask(session: ProviderSession, text: str) -> list[Event]:
    return list(session.prompt(Prompt(text=text)))


def test_answer_comes_in_pieces_that_make_up_the_whole(
    provider: LocalProvider, make_request: Make
) -> None:
    session = provider.start_session(request=make_request(max_tokens=20))
    events = ask(session, "Write one sentence about rain.")
    session.close()
    [whole] = [event.text for event in events if isinstance(event, TextDone)]
    assert whole == text_of(events) != ""
    assert isinstance(events[-1], TurnEnded)


def test_pieces_come_before_the_answer_is_complete(
    provider: LocalProvider, make_request: Make
) -> None:
    session = provider.start_session(request=make_request(max_tokens=2000))
    stream = session.prompt(Prompt(text="Count from one to a thousand."))
    assert any(isinstance(event, TextDelta) for event in stream)
    session.interrupt()
    assert list(stream)[-1] == TurnEnded(stop_reason="cancelled")
    session.close()


def test_answer_that_meets_max_tokens_says_so(provider: LocalProvider, make_request: Make) -> None:
    session = provider.start_session(request=make_request(max_tokens=2, temperature=0))
    events = ask(session, "Count from one to a thousand.")
    session.close()
    assert events[-1] == TurnEnded(stop_reason="max_tokens")
    assert usage_of(events).output_tokens == 2
    assert not [event for event in events if isinstance(event, Notice)]


def test_second_turn_holds_the_first(provider: LocalProvider, make_request: Make) -> None:
    session = provider.start_session(request=make_request(max_tokens=20))
    first = ask(session, "Hello.")
    second = ask(session, "Hello.")
    session.close()
    assert read_tokens(second) > read_tokens(first) + usage_of(first).output_tokens
    assert usage_of(second).cache_read_tokens > 0


def test_system_prompt_is_read_on_each_turn(provider: LocalProvider, make_request: Make) -> None:
    with_system = provider.start_session(request=make_request(max_tokens=1, system_prompt=LONG))
    without = provider.start_session(request=make_request(max_tokens=1))
    for _ in range(2):
        # The template has a short system prompt of its own where none is given.
        assert read_tokens(ask(with_system, "Hi")) > read_tokens(ask(without, "Hi")) + 500
    with_system.close()
    without.close()


def test_resumed_session_reads_what_the_record_says(
    provider: LocalProvider, make_request: Make
) -> None:
    session = provider.start_session(request=make_request(max_tokens=20))
    first = ask(session, "Hello.")
    record = Trajectory(
        session_id="s-1",
        provider="local",
        turns=(Turn(index=0, input="Hello.", output=(TextBlock(text=text_of(first)),)),),
    )
    resumed = provider.resume_session(
        request=ResumeRequest(
            session_id="s-1",
            cwd=make_request().cwd,
            max_tokens=20,
            resume_key="s-1",
            trajectory=record,
        )
    )
    assert read_tokens(ask(resumed, "And?")) == read_tokens(ask(session, "And?"))
    assert resumed.resume_key == session.resume_key == "s-1"
    resumed.close()
    session.close()


def test_resume_without_a_record_is_refused(provider: LocalProvider, tmp_path: Path) -> None:
    request = ResumeRequest(session_id="s-1", cwd=tmp_path, resume_key="s-1")
    with pytest.raises(NotResumableError, match="data_dir or storage"):
        provider.resume_session(request=request)


def test_resume_key_is_there_from_the_first_prompt_on(
    provider: LocalProvider, make_request: Make
) -> None:
    session = provider.start_session(request=make_request(max_tokens=1))
    assert session.resume_key is None
    ask(session, "Hi")
    session.close()
    record = Trajectory(session_id="s-1", provider="local")
    assert provider.resume_key_from_trajectory(trajectory=record) is None
    record = Trajectory(session_id="s-1", provider="local", turns=(Turn(index=0, input="Hi"),))
    assert provider.resume_key_from_trajectory(trajectory=record) == session.resume_key


def test_interrupt_before_the_first_event_counts(
    provider: LocalProvider, make_request: Make
) -> None:
    session = provider.start_session(request=make_request())
    stream = session.prompt(Prompt(text="Hello."))
    session.interrupt()
    assert list(stream) == [TurnEnded(stop_reason="cancelled")]
    session.close()


def test_interrupt_ends_a_turn_whose_prompt_is_still_being_read(
    provider: LocalProvider, make_request: Make
) -> None:
    session = provider.start_session(request=make_request())
    events = []
    for event in session.prompt(Prompt(text=LONG)):
        events.append(event)
        if isinstance(event, Progress):
            session.interrupt()
    assert events[-1] == TurnEnded(stop_reason="cancelled")
    assert text_of(events) == ""
    assert 0 < read_tokens(events) < 500
    session.close()


def test_session_goes_on_after_an_interrupt(provider: LocalProvider, make_request: Make) -> None:
    session = provider.start_session(request=make_request(max_tokens=5))
    for event in session.prompt(Prompt(text=LONG)):
        if isinstance(event, Progress):
            session.interrupt()
    events = ask(session, "Hello.")
    session.close()
    assert isinstance(events[-1], TurnEnded)
    assert events[-1].stop_reason != "cancelled"
    assert read_tokens(events) > 500


def test_interrupt_without_a_turn_does_nothing(provider: LocalProvider, make_request: Make) -> None:
    session = provider.start_session(request=make_request(max_tokens=1))
    session.interrupt()
    assert ask(session, "Hi")[-1] != TurnEnded(stop_reason="cancelled")
    session.interrupt()
    assert ask(session, "Hi")[-1] != TurnEnded(stop_reason="cancelled")
    session.close()


def test_leaving_a_stream_early_keeps_the_session_usable(
    provider: LocalProvider, make_request: Make
) -> None:
    session = provider.start_session(request=make_request(max_tokens=200))
    stream = session.prompt(Prompt(text="Count from one to a thousand."))
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert isinstance(ask(session, "Hello.")[-1], TurnEnded)
    session.close()


def test_prompt_that_does_not_fit_says_by_how_much_and_changes_nothing(
    provider: LocalProvider, make_request: Make
) -> None:
    session = provider.start_session(request=make_request(max_tokens=5, options={"n_ctx": 256}))
    with pytest.raises(ContextLimitError, match="256"):
        ask(session, LONG)
    assert read_tokens(ask(session, "Hi")) < 256
    session.close()


@pytest.mark.parametrize("text", ["", " ", "\0", "\U0001f600 漢字 é", "a\x1b[31m\r\nb"])
def test_odd_prompts_are_answered(provider: LocalProvider, make_request: Make, text: str) -> None:
    session = provider.start_session(request=make_request(max_tokens=3))
    assert isinstance(ask(session, text)[-1], TurnEnded)
    session.close()


def test_lone_surrogates_are_replaced_with_a_warning(
    provider: LocalProvider, make_request: Make
) -> None:
    session = provider.start_session(request=make_request(max_tokens=3))
    first, *_, last = ask(session, "a\ud800b")
    session.close()
    assert isinstance(first, Notice)
    assert first.level == "warning"
    assert isinstance(last, TurnEnded)


def test_two_sessions_at_once_are_both_answered(
    provider: LocalProvider, make_request: Make
) -> None:
    sessions = [
        provider.start_session(request=make_request(session_id=name, max_tokens=20))
        for name in ("a", "b")
    ]
    endings: dict[int, Event] = {}

    def run(number: int) -> None:
        endings[number] = ask(sessions[number], "Hello.")[-1]

    threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    for session in sessions:
        session.close()
    assert all(isinstance(endings[number], TurnEnded) for number in range(2))


def test_sessions_share_a_model_until_the_last_is_closed(
    model_path: Path, make_request: Make
) -> None:
    pool = ModelPool()
    provider = LocalProvider(pool=pool)
    key = ModelKey(path=model_path, n_ctx=4096, threads=1)
    one, two = (provider.start_session(request=make_request(max_tokens=1)) for _ in range(2))
    assert not pool.is_loaded(key)
    ask(one, "Hi")
    ask(two, "Hi")
    one.close()
    one.close()
    assert pool.is_loaded(key)
    two.close()
    assert not pool.is_loaded(key)


def test_closed_session_refuses_prompts(provider: LocalProvider, make_request: Make) -> None:
    session = provider.start_session(request=make_request())
    session.close()
    with pytest.raises(SessionStateError):
        session.prompt(Prompt(text="Hi"))


def test_closing_ends_the_running_turn(provider: LocalProvider, make_request: Make) -> None:
    session = provider.start_session(request=make_request(max_tokens=2000))
    stream = session.prompt(Prompt(text="Count from one to a thousand."))
    next(stream)
    session.close()
    assert list(stream)[-1] == TurnEnded(stop_reason="cancelled")


def test_model_can_be_a_file(provider: LocalProvider, make_request: Make, model_path: Path) -> None:
    session = provider.start_session(request=make_request(model=str(model_path), max_tokens=1))
    events = ask(session, "Hi")
    session.close()
    assert [e.model for e in events if isinstance(e, UsageReported)] == [model_path.name]


def test_unknown_model_names_what_there_is(make_request: Make) -> None:
    with pytest.raises(ModelError, match=r"'smollm2-135m'.*\.gguf") as caught:
        LocalProvider().start_session(request=make_request(model="gpt-5"))
    assert caught.value.model == "gpt-5"


def test_file_that_is_no_model_is_an_error_of_the_turn(make_request: Make, tmp_path: Path) -> None:
    (tmp_path / "bad.gguf").write_text("nothing")
    session = LocalProvider().start_session(request=make_request(model="bad.gguf"))
    with pytest.raises(ModelError, match="could not be loaded"):
        ask(session, "Hi")
    session.close()


@pytest.mark.parametrize(
    "wrong",
    [
        {"options": {"threads": True}},
        {"options": {"threads": 0}},
        {"options": {"threads": "2"}},
        {"options": {"n_ctx": 12}},
        {"options": {"n_ctx": 4096.0}},
        {"max_tokens": 0},
        {"temperature": -1},
        {"temperature": float("nan")},
    ],
)
def test_values_without_sense_are_refused(make_request: Make, wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        LocalProvider().start_session(request=make_request(**wrong))


def test_library_listens_only_to_those_who_have_the_key(model_path: Path) -> None:
    pool = ModelPool()
    key = ModelKey(path=model_path, n_ctx=256, threads=1)
    address = pool.acquire(key).address
    assert address.startswith("http://127.0.0.1:")
    for path, status in [("/v1/models", 401), ("/slots", 401), ("/props", 401), ("/", 404)]:
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(address + path)  # noqa: S310 - checked above
        assert caught.value.code == status
        caught.value.close()
    request = urllib.request.Request(address + "/v1/chat/completions", data=b"{}")  # noqa: S310 - as above
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)  # noqa: S310 - checked above
    assert caught.value.code == 401
    caught.value.close()
    pool.release(key)


PROGRAM = """
import sys, threading
from pathlib import Path
from caw_core.provider import Prompt, StartRequest
from caw_provider_local import LocalProvider
session = LocalProvider().start_session(
    request=StartRequest(session_id="s", cwd=Path.cwd(), max_tokens=400)
)
"""


def run(program: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM + program], capture_output=True, check=False, timeout=120
    )


@pytest.mark.usefixtures("model_path")
def test_nothing_is_written_to_the_terminal() -> None:
    done = run("list(session.prompt(Prompt(text='Say hello.'))); session.close()")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.usefixtures("model_path")
@pytest.mark.parametrize("prompt", ["Count from one to a thousand.", LONG])
def test_process_can_end_in_the_middle_of_a_turn(prompt: str) -> None:
    done = run(
        f"stream = session.prompt(Prompt(text={prompt!r})); next(stream)\n"
        "threading.Thread(target=list, args=(stream,), daemon=True).start()\n"
    )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.usefixtures("model_path")
def test_memory_goes_back_with_the_last_session() -> None:
    done = run(
        "import psutil\n"
        "rss = lambda: psutil.Process().memory_info().rss\n"
        "list(session.prompt(Prompt(text='Say hello.')))\n"
        "before = rss(); session.close(); print(before - rss())\n"
    )
    assert int(done.stdout) > 100_000_000
