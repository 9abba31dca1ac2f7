"""Secret values do not reach what outlives the moment."""

from __future__ import annotations

import gc
import json
import logging
from pathlib import Path

import pytest

import caw_core.agent  # noqa: F401 - it sets up the logger
from caw_core.blocks import TextBlock, ToolUse
from caw_core.errors import PersistError, ProcessError
from caw_core.mcp import McpServer
from caw_core.provider import StartRequest
from caw_core.redaction import REDACTED, Redactor, is_secret_name, session_secrets
from caw_core.trajectory import Turn

SECRET = 'sk-"quoted"/and more'


def test_text_without_secrets_is_the_same_object() -> None:
    text = "nothing to see" * 10
    assert Redactor([SECRET]).text(text) is text


@pytest.mark.parametrize("form", [SECRET, json.dumps(SECRET), "sk-%22quoted%22%2Fand%20more"])
def test_secret_is_found_in_each_of_its_forms(form: str) -> None:
    clean = Redactor([SECRET]).text(f"before {form} after")
    assert clean.replace('"', "") == f"before {REDACTED} after"


def test_longer_secret_goes_before_one_that_begins_it() -> None:
    assert Redactor(["12345678", "1234567890"]).text("1234567890") == REDACTED


def test_short_values_are_left_alone() -> None:
    assert Redactor(["1", "true", "1234567"]).text("1 true 1234567") == "1 true 1234567"


PLAIN = "0123456789abcdef"
BORDERED = "ab-middle-ab"


@pytest.mark.parametrize("place", range(len(PLAIN) + 8))
def test_text_is_cut_beside_a_secret_and_never_within(place: int) -> None:
    redactor, text = Redactor([PLAIN]), f"1234{PLAIN}5678"
    before, after = redactor.cut_before(text, place), redactor.cut_after(text, place)
    within = 4 < place < 4 + len(PLAIN)
    assert (before, after) == ((4, 4 + len(PLAIN)) if within else (place, place))


@pytest.mark.parametrize("there", range(1, len(PLAIN)))
def test_secret_that_is_not_whole_yet_stays_together(there: int) -> None:
    redactor, text = Redactor([PLAIN]), f"1234{PLAIN[:there]}"
    assert redactor.certain_length(text) == 4
    for place in range(4, len(text) + 1):
        assert redactor.cut_before(text, place) == redactor.cut_after(text, place) == 4


def test_end_of_a_whole_secret_is_not_taken_for_the_beginning_of_another() -> None:
    redactor, text = Redactor([BORDERED]), f"1234{BORDERED}"
    assert redactor.certain_length(text) == len(text)
    assert redactor.cut_before(text, len(text)) == len(text)
    assert redactor.cut_before(text, len(text) - 1) == 4


def test_cut_finds_its_way_out_of_secrets_that_overlap() -> None:
    redactor, text = Redactor(["aaaaaaaa"]), "." + "a" * 100 + "."
    assert (redactor.cut_before(text, 50), redactor.cut_after(text, 50)) == (1, 101)


def test_everything_in_a_turn_is_reached() -> None:
    call = ToolUse(
        id="1",
        name="bash",
        arguments={"command": f"curl -H {SECRET}", "more": [{SECRET: 1}]},
        output=SECRET,
        extra={"raw": (SECRET,)},
    )
    turn = Turn(index=0, input=SECRET, output=(TextBlock(text=SECRET), call))
    clean = Redactor([SECRET]).value(turn)
    assert "sk-" not in repr(clean)
    assert repr(clean).count(REDACTED) == 5
    cleaned = clean.output[1]
    assert isinstance(cleaned, ToolUse)
    assert cleaned.extra == {"raw": (REDACTED,)}
    assert turn.input == SECRET


def test_blocks_that_hold_no_secret_stay_the_same_objects() -> None:
    kept = TextBlock(text="plain", extra={"a": [1, {"b": None}]})
    turn = Turn(index=0, input=SECRET, output=(kept, TextBlock(text=SECRET)))
    assert Redactor([SECRET]).value(turn).output[0] is kept


def test_error_loses_secrets_in_its_text_its_facts_and_its_causes() -> None:
    error = ProcessError(f"ended: {SECRET}", exit_code=1, stderr_tail=f"key {SECRET}")
    error.__cause__ = ValueError(SECRET)
    group = PersistError("not stored", [error])
    Redactor([SECRET]).error(group)
    assert str(error) == f"ended: {REDACTED}"
    assert error.stderr_tail == f"key {REDACTED}"
    assert str(error.__cause__) == REDACTED
    assert error.exit_code == 1


def test_log_records_lose_secrets_while_somebody_knows_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = logging.getLogger("caw.test_redaction")
    redactor = Redactor([SECRET])
    try:
        raise ValueError(SECRET)
    except ValueError:
        log.exception("it said %s", SECRET)
    assert SECRET not in caplog.text
    assert caplog.text.count(REDACTED) == 2
    del redactor
    gc.collect()
    log.warning("%s", SECRET)
    assert SECRET in caplog.text


def test_log_records_without_secrets_keep_their_parts(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("caw.test_redaction")
    redactor = Redactor([SECRET])
    log.warning("%s of %d", "one", 2)
    assert caplog.records[0].args == ("one", 2)
    assert redactor.text("") == ""


@pytest.mark.parametrize(
    "name", ["ANTHROPIC_API_KEY", "GH_TOKEN", "PGPASSWORD", "client_secret", "AWS_SESSION_TOKEN"]
)
def test_names_that_say_secret(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["PATH", "PWD", "SSH_AUTH_SOCK", "AWS_ACCESS_KEY_ID", "HOME"])
def test_names_that_do_not(name: str) -> None:
    assert not is_secret_name(name)


def test_secrets_of_a_session_come_from_environment_servers_and_references() -> None:
    written = (
        McpServer(name="a", command="x", env={"MODE": "production", "PLACE": "${P}"}),
        McpServer(
            name="b",
            url="https://x",
            headers={"Authorization": "Bearer b-token", "Accept": "text/html"},
        ),
    )
    resolved = (
        McpServer(name="a", command="x", env={"MODE": "production", "PLACE": "referred"}),
        written[1],
    )
    request = StartRequest(
        session_id="s",
        cwd=Path(),
        env={"MY_TOKEN": "mine", "NO_KEY": None},
        mcp_servers=resolved,
    )
    found = set(
        session_secrets({"HOST_KEY": "theirs", "NO_KEY": "gone", "LANG": "C"}, request, written)
    )
    assert found == {"mine", "theirs", "referred", "Bearer b-token", "b-token"}


def secrets_of(url: str) -> set[str]:
    server = McpServer(name="a", url=url)
    request = StartRequest(session_id="s", cwd=Path(), mcp_servers=(server,))
    return set(session_secrets({}, request, [server]))


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("https://example.org/mcp?page=one#key=two", set()),
        ("https://someone:pass@example.org/a@b", {"someone", "pass"}),
        ("https://a-token@example.org", {"a-token"}),
        ("https://a%40b:p%2fq@example.org", {"a%40b", "a@b", "p%2fq", "p/q"}),
        ("https://x/?mode=fast&api_key=a-key&api%2Dtoken=b+c", {"a-key", "b+c", "b c"}),
        ("https://x?access_token=one;password=two=three", {"one", "two=three"}),
        ("http://[half?key=of-an-address", {"of-an-address"}),
    ],
)
def test_secrets_in_the_address_of_a_tool_server(url: str, secrets: set[str]) -> None:
    assert secrets_of(url) == secrets
