"""Which step answers which request, and what ``verify`` says."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from caw_testkit.modelserver import (
    ModelServer,
    RecordedRequest,
    Reply,
    Usage,
    echo,
    fail,
    mentions,
    reply,
    text,
)

if TYPE_CHECKING:
    from .conftest import Ask, Got

PATH = "/v1/chat/completions"


def chat(prompt: str) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": prompt}]}


def answer(got: Got) -> str:
    return str(got.json["choices"][0]["message"]["content"])


def test_steps_are_used_in_order(server: ModelServer, ask: Ask) -> None:
    server.script(reply(text("1")), reply(text("2")))
    server.script(reply(text("3")))
    assert [answer(ask(PATH, chat("hi"))) for _ in range(3)] == ["1", "2", "3"]
    server.verify()


def test_an_unscripted_request_is_told_so_and_fails_verify(server: ModelServer, ask: Ask) -> None:
    got = ask(PATH, chat("surprise"))
    assert got.status == 400
    assert "nothing is scripted" in got.json["error"]["message"]
    with pytest.raises(AssertionError, match=r"unscripted request: #0 POST.*'surprise'"):
        server.verify()


def test_an_unused_step_fails_verify(server: ModelServer, ask: Ask) -> None:
    server.script(reply(text("used")), reply(text("left over")))
    ask(PATH, chat("hi"))
    with pytest.raises(AssertionError, match=r"unused step 2 of 2: .*left over"):
        server.verify()


def test_an_unknown_path_fails_verify_and_takes_no_step(server: ModelServer, ask: Ask) -> None:
    server.script(reply(text("kept")))
    assert ask("/v1/embeddings", {}).status == 404
    assert answer(ask(PATH, chat("hi"))) == "kept"
    with pytest.raises(AssertionError, match=r"POST /v1/embeddings .*does not know this path"):
        server.verify()


def test_a_step_that_raises_fails_verify_with_its_traceback(server: ModelServer, ask: Ask) -> None:
    def check(request: RecordedRequest) -> Reply:
        assert request.model == "other", "wrong model"
        return reply()

    server.script(check)
    got = ask(PATH, chat("hi"))
    assert got.status == 400
    assert "wrong model" in got.json["error"]["message"]
    with pytest.raises(AssertionError, match=r"(?s)in check.*wrong model"):
        server.verify()


def test_a_predicate_that_raises_fails_verify(server: ModelServer, ask: Ask) -> None:
    server.script(reply(), when=lambda request: request.body["missing"] == 1)
    assert ask(PATH, chat("hi")).status == 400
    with pytest.raises(AssertionError, match="KeyError"):
        server.verify()


def test_a_step_must_be_an_answer(server: ModelServer) -> None:
    with pytest.raises(TypeError, match=r"step 2 is Text.*wrap parts in reply"):
        server.script(reply(), text("bare"))  # type: ignore[arg-type]


def test_sessions_have_queues_of_their_own(server: ModelServer, ask: Ask) -> None:
    server.script(reply(text("a1")), reply(text("a2")), when=mentions("session A"))
    server.script(reply(text("b1")), when=mentions("session B"))
    server.script(reply(text("other")))
    assert answer(ask(PATH, chat("session B"))) == "b1"
    assert answer(ask(PATH, chat("session A"))) == "a1"
    assert answer(ask(PATH, chat("whoever"))) == "other"
    assert answer(ask(PATH, chat("session A"))) == "a2"
    server.verify()


def test_a_session_that_asks_too_often_takes_no_step_of_another(
    server: ModelServer, ask: Ask
) -> None:
    server.script(reply(text("a1")), when=mentions("session A"))
    server.script(reply(text("other")))
    ask(PATH, chat("session A"))
    assert ask(PATH, chat("session A")).status == 400
    assert answer(ask(PATH, chat("whoever"))) == "other"


def test_a_responder_comes_after_the_steps(server: ModelServer, ask: Ask) -> None:
    server.script(reply(text("first")))
    server.respond(echo)
    assert [answer(ask(PATH, chat("hi"))) for _ in range(3)] == ["first", "echo: hi", "echo: hi"]
    server.verify()


def test_an_aside_takes_no_step_and_is_recorded_apart(server: ModelServer, ask: Ask) -> None:
    server.aside(mentions("title please"), reply(text("A title")))
    server.script(reply(text("real")))
    assert answer(ask(PATH, chat("title please"))) == "A title"
    assert answer(ask(PATH, chat("hi"))) == "real"
    assert [request.last_user_text() for request in server.requests] == ["hi"]
    assert [request.last_user_text() for request in server.asides] == ["title please"]
    assert server.usage == Usage()
    server.verify()


def test_the_known_asides_need_no_script(server: ModelServer, ask: Ask) -> None:
    assert ask("/", method="HEAD").data == b""
    assert ask("/v1/models", method="GET").json["data"] == []
    assert ask("/v1/messages/count_tokens", {"messages": []}).json["input_tokens"] > 0
    assert ask(PATH, {"messages": [{"role": "system", "content": "You are a title generator."}]})
    assert [request.api for request in server.asides] == [
        "other",
        "models",
        "count_tokens",
        "chat",
    ]
    assert server.requests == []
    server.verify()


def test_an_added_aside_goes_before_a_known_one(server: ModelServer, ask: Ask) -> None:
    server.aside(lambda request: request.api == "models", fail(401))
    assert ask("/v1/models", method="GET").status == 401


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (
            "/v1/messages",
            {"max_tokens": 1, "messages": [{"role": "user", "content": "quota"}]},
        ),
        (
            "/v1/messages",
            {"system": [{"type": "text", "text": "Generate a concise, sentence-case title (3"}]},
        ),
        ("/v1/responses", {"input": "Generate a concise, single-line task title of at most 36"}),
    ],
)
def test_the_side_requests_of_the_programs_are_known(
    server: ModelServer, ask: Ask, path: str, body: dict[str, Any]
) -> None:
    assert ask(path, body).status == 200
    assert [request.usage for request in server.asides] == [Usage.zero()]
    server.verify()


def test_a_server_without_known_asides_refuses_them() -> None:
    with ModelServer(known_asides=()) as bare:
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{bare.url}/v1/models", timeout=5)  # noqa: S310 - loopback
        assert bare.asides == []
        with pytest.raises(AssertionError, match="GET /v1/models"):
            bare.verify()


def test_clear_begins_anew(server: ModelServer, ask: Ask) -> None:
    server.script(reply())
    ask("/nowhere", {})
    server.clear()
    assert server.requests == []
    server.verify()


def test_waiting_for_requests_has_a_limit(server: ModelServer) -> None:
    with pytest.raises(TimeoutError, match=r"0 of 1 requests came within 0\.05 s"):
        server.wait_for_requests(1, timeout=0.05)


def test_a_server_that_does_not_run_has_no_url() -> None:
    server = ModelServer()
    with pytest.raises(RuntimeError, match="does not run"):
        _ = server.url
    server.stop()
    with server, pytest.raises(RuntimeError, match="runs already"):
        server.start()
