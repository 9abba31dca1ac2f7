"""What of a client's message must agree with a cassette, and what is mapped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from caw_testkit.cassettes.places import Places
from caw_testkit.cassettes.wire import Ids, fresh_id, moved_times, name_of, request_name

ONE = "11111111-2222-4333-8444-555555555555"
OTHER = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ({"id": 3, "method": "turn/start", "params": {}}, "turn/start"),
        ({"id": 0, "result": {"decision": "accept"}}, 'answer to 0 "accept"'),
        ({"id": 0, "error": {}}, "answer to 0"),
        ({"type": "user", "message": {}}, "user"),
        (
            {"type": "control_request", "request": {"subtype": "interrupt"}},
            "control_request interrupt",
        ),
        (
            {
                "type": "control_response",
                "response": {
                    "request_id": "r",
                    "subtype": "success",
                    "response": {"behavior": "deny"},
                },
            },
            'control_response r success "deny"',
        ),
    ],
)
def test_message_is_told_by_its_kind_and_its_decision(message: dict[str, Any], name: str) -> None:
    assert name_of(message) == name


def test_request_is_told_by_its_path_without_the_query() -> None:
    name = request_name("POST", "/permission/1/reply?directory=x", {"reply": "once"})
    assert name == 'POST /permission/1/reply "once"'


def test_ids_of_the_client_are_those_of_now() -> None:
    ids = Ids()
    ids.learn({"uuid": ONE, "request_id": "caw-1"}, {"uuid": OTHER, "request_id": "caw-7"})
    line = json.dumps({"for": f"<{ONE}>", "request_id": "caw-1", "other": "caw-11"})
    now = json.loads(ids.to_client(line))
    assert now == {"for": f"<{OTHER}>", "request_id": "caw-7", "other": "caw-11"}
    assert json.loads(ids.to_cassette(json.dumps({"for": OTHER}))) == {"for": ONE}


def test_number_of_a_request_is_put_into_its_answer_alone() -> None:
    ids = Ids()
    ids.learn({"id": 2, "method": "a"}, {"id": 5, "method": "a"})
    assert json.loads(ids.to_client('{"id":2,"result":{}}')) == {"id": 5, "result": {}}
    assert json.loads(ids.to_client('{"id":2,"method":"b"}')) == {"id": 2, "method": "b"}


def test_fresh_id_looks_as_the_recorded_one() -> None:
    fresh = fresh_id(ONE)
    assert fresh != ONE
    assert fresh[:24] == ONE[:24]
    assert len(fresh) == len(ONE)


def test_times_near_the_recording_are_moved_and_other_numbers_stay() -> None:
    line = '{"created":1700000000500,"cost":1234567890123,"id":"x1700000000500"}'
    moved = moved_times(line, 1_700_000_000_000, 1000)
    assert moved == '{"created":1700000001500,"cost":1234567890123,"id":"x1700000000500"}'


def test_folders_are_named_by_placeholders_and_back() -> None:
    then = Places({"tmp": Path("/tmp"), "home": Path("/home/ann"), "cwd": Path("/home/ann/code")})
    now = Places({"tmp": Path("/var/t"), "home": Path("/u"), "cwd": Path("/u/w")})
    text = "/home/ann/code/a.py /home/ann/.x /tmp/y /var/tmp/z -home-ann-code %2Fhome%2Fann%2Fcode"
    short = then.shortened(text)
    assert short.startswith("{{cwd}}/a.py {{home}}/.x {{tmp}}/y /var/tmp/z ")
    assert now.expanded(short) == "/u/w/a.py /u/.x /var/t/y /var/tmp/z -u-w %2Fu%2Fw"
