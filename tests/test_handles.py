from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caw_core.errors import ResumeHandleError
from caw_core.handles import ResumeHandle, check_session_id, is_session_id, new_session_id

GOOD = {"version": 1, "provider": "codex", "session_id": "s-1", "resume_key": "thread 7"}

keys = st.text(min_size=1, max_size=50).filter(lambda key: key.isprintable() and key[0] != "-")


@given(keys)
def test_handle_survives_the_round_trip(key: str) -> None:
    handle = ResumeHandle(provider="p", session_id=new_session_id(), resume_key=key)
    assert ResumeHandle.decode(handle.encode()) == handle


def test_handle_does_not_show_its_key() -> None:
    assert "thread 7" not in repr(ResumeHandle.decode(json.dumps(GOOD)))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"version": 99}, "version 99"),
        ({"version": None}, "version None"),
        ({"version": True}, "version True"),
        ({"version": "1"}, "version '1'"),
        ({"provider": ""}, "provider"),
        ({"provider": 5}, "provider"),
        ({"session_id": "../../etc"}, "session id"),
        ({"session_id": 5}, "session id"),
        ({"session_id": "x" * 500}, "session id"),
        ({"resume_key": "--yolo"}, "begins with '-'"),
        ({"resume_key": ""}, "missing"),
        ({"resume_key": None}, "missing"),
        ({"resume_key": "a\nb"}, "control"),
        ({"resume_key": "a\0b"}, "control"),
        ({"resume_key": "k" * 5000}, "too long"),
    ],
)
def test_handle_that_could_do_harm_is_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ResumeHandleError, match=says):
        ResumeHandle.decode(json.dumps(GOOD | change))


@pytest.mark.parametrize("missing", ["version", "provider", "session_id", "resume_key"])
def test_missing_part_is_named(missing: str) -> None:
    with pytest.raises(ResumeHandleError, match=missing):
        ResumeHandle.decode(json.dumps({key: GOOD[key] for key in GOOD if key != missing}))


@pytest.mark.parametrize("text", ["{", "null", "[]", '"x"', "7", "{}", "[" * 100_000])
def test_text_that_is_no_handle_is_refused(text: str) -> None:
    with pytest.raises(ResumeHandleError):
        ResumeHandle.decode(text)


def test_later_members_of_a_handle_are_no_error() -> None:
    assert ResumeHandle.decode(json.dumps(GOOD | {"more": 1})).session_id == "s-1"


def test_refusal_does_not_repeat_the_key() -> None:
    with pytest.raises(ResumeHandleError) as caught:
        ResumeHandle.decode(json.dumps(GOOD | {"resume_key": "-s3cret"}))
    assert "s3cret" not in str(caught.value)


@given(st.text(max_size=200))
def test_session_id_is_always_one_plain_name(text: str) -> None:
    if is_session_id(text):
        assert text.isascii()
        assert not set(text) & set("/\\:\0 ")
        assert not text.startswith(".")
        assert ".." not in text
        assert check_session_id(text) == text
    else:
        with pytest.raises(ResumeHandleError):
            check_session_id(text)


def test_fresh_ids_are_session_ids_and_differ() -> None:
    ids = {new_session_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(map(is_session_id, ids))
