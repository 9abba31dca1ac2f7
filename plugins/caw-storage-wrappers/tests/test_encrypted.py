"""Nothing of a session is readable without the key, and with it everything is as it was."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from caw_core import Agent, Store
from caw_core.errors import ConfigError, TrajectoryError
from caw_core.storage import SessionQuery
from caw_storage_wrappers.keys import ENVELOPE, KeyRing, new_key

CANARY = "canary-in-the-coal-mine"


def url(folder: Path, wrapper: str = "encrypt+") -> str:
    return wrapper + folder.absolute().as_uri().replace("file:", "jsonl:", 1)


def files(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> str:
    text = new_key("k1")
    monkeypatch.setenv("CAW_STORAGE_KEYS", text)
    return text


def talk(folder: Path, session_id: str = "s", words: str = CANARY, **options: Any) -> None:
    agent = Agent(
        "echo", storage=url(folder), system_prompt=f"{CANARY}, the system prompt", **options
    )
    with agent.start_session(session_id=session_id) as session:
        session.send(words)
        session.send(f'!tool shell {{"command": "{CANARY}"}} => {CANARY}\n!think {CANARY}\nbye')
        session.annotate(metadata={CANARY: CANARY}, tags=[CANARY])


def test_nothing_is_readable_on_the_disk(tmp_path: Path, key: str) -> None:
    agent = Agent("echo", storage=url(tmp_path), keep_raw=True, cwd=tmp_path)
    with agent.start_session(session_id="s") as session:
        session.send(CANARY)
        assert CANARY.encode() not in files(tmp_path)
    talk(tmp_path, "t")
    found = files(tmp_path)
    assert CANARY.encode() not in found
    assert b"resume_key" not in found
    assert ENVELOPE.encode() in found
    assert key.partition(":")[2].encode() not in found


def test_with_the_key_everything_is_as_it_was(tmp_path: Path, key: str) -> None:
    talk(tmp_path)
    record = Store(url(tmp_path)).load("s")
    assert record is not None
    assert record.turns[0].input == CANARY
    assert record.turns[1].tool_calls[0].output == CANARY
    assert (record.metadata, record.tags) == ({CANARY: CANARY}, (CANARY,))
    assert record.system_prompt.startswith(CANARY)
    assert record.is_complete
    assert record.extra == {}
    assert record.turns[0].extra == {}
    with Agent("echo", storage=url(tmp_path)).resume_session("s") as session:
        session.send("more")
        assert session.trajectory.num_turns == 3


def test_lists_filter_and_find_by_what_is_sealed(tmp_path: Path, key: str) -> None:
    for number in range(6):
        agent = Agent("echo", storage=url(tmp_path), metadata={"odd": bool(number % 2)})
        with agent.start_session(session_id=f"s{number}") as session:
            session.send(f"prompt {number}")
    store = Store(url(tmp_path))
    found = list(store.sessions(SessionQuery(limit=2, metadata={"odd": True})))
    assert [each.info.session_id for each in found] == ["s5", "s3", "s1"]
    assert [each.title for each in found] == ["prompt 5", "prompt 3", "prompt 1"]
    page = store.list(SessionQuery(limit=2, metadata={"odd": True}))
    assert len(page.sessions) == 2
    (hit,) = store.search("PROMPT 4").hits
    assert hit.info.session_id == "s4"


def test_running_session_can_be_watched_with_the_key_alone(tmp_path: Path, key: str) -> None:
    talk(tmp_path)
    kinds = [each.event.type for each in Store(url(tmp_path)).watch("s")]  # type: ignore[union-attr]  # no gap
    assert (kinds[0], kinds[-1]) == ("turn_started", "turn_ended")
    sealed = [each.event.type for each in Store(url(tmp_path, "")).watch("s")]  # type: ignore[union-attr]  # no gap
    assert set(sealed) == {"vendor"}


def test_other_key_is_told_by_its_id(
    tmp_path: Path, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk(tmp_path)
    monkeypatch.setenv("CAW_STORAGE_KEYS", new_key("k2"))
    with pytest.raises(ConfigError, match="'k1', which is not among the keys"):
        Store(url(tmp_path)).load("s")
    monkeypatch.setenv("CAW_STORAGE_KEYS", new_key("k1"))
    with pytest.raises(TrajectoryError, match="another key of that id, or changed since"):
        Store(url(tmp_path)).load("s")


@pytest.mark.parametrize("swapped", ["of another turn", "of another session"])
def test_sealed_turn_opens_in_its_own_place_alone(tmp_path: Path, key: str, swapped: str) -> None:
    talk(tmp_path, "s")
    talk(tmp_path, "t")
    inner = Store(url(tmp_path, ""))
    mine, other = inner.load("s"), inner.load("t")
    assert mine is not None
    assert other is not None
    source = mine.turns[1] if swapped == "of another turn" else other.turns[0]
    document = mine.turns[0].to_dict() | {"caw_sealed": source.extra["caw_sealed"]}
    (sink,) = inner.records.storages
    forged = type(source).from_dict(document)
    inner.records.persist_turn(sink, mine.info, forged, 1)
    with pytest.raises(TrajectoryError, match="another key of that id, or changed since"):
        Store(url(tmp_path)).load("s")


def test_record_from_before_there_was_encryption_is_read(tmp_path: Path, key: str) -> None:
    with Agent("echo", storage=url(tmp_path, "")).start_session(session_id="s") as session:
        session.send("in clear")
    store = Store(url(tmp_path))
    (summary,) = store.sessions()
    assert summary.title == "in clear"
    with Agent("echo", storage=url(tmp_path)).resume_session("s") as session:
        session.send(CANARY)
    record = store.load("s")
    assert record is not None
    assert [turn.input for turn in record.turns] == ["in clear", CANARY]
    assert CANARY.encode() not in files(tmp_path)


def rotate(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "caw_storage_wrappers", "rotate", url(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_keys_are_rotated_and_the_old_one_can_go(
    tmp_path: Path, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk(tmp_path, "s")
    talk(tmp_path, "t")
    before = [Store(url(tmp_path)).load(name) for name in "st"]
    newer = new_key("k2")
    monkeypatch.setenv("CAW_STORAGE_KEYS", f"{newer},{key}")
    assert "2 of 2 sessions were sealed anew" in rotate(tmp_path).stderr
    assert "0 of 2 sessions were sealed anew" in rotate(tmp_path).stderr
    monkeypatch.setenv("CAW_STORAGE_KEYS", newer)
    store = Store(url(tmp_path))
    assert [store.load(name) for name in "st"] == before
    assert {each.title for each in store.sessions()} == {CANARY}


def test_rotation_leaves_what_is_open_and_says_so(tmp_path: Path, key: str) -> None:
    with Agent("echo", storage=url(tmp_path)).start_session(session_id="s") as session:
        session.send("x")
        done = rotate(tmp_path)
    assert done.returncode == 1
    assert "1 sessions are left" in done.stderr


@pytest.mark.parametrize("key_id", ["k1", "k2"])
def test_rotation_without_the_key_that_sealed_says_so(
    tmp_path: Path, key: str, monkeypatch: pytest.MonkeyPatch, key_id: str
) -> None:
    talk(tmp_path)
    monkeypatch.setenv("CAW_STORAGE_KEYS", new_key(key_id))
    done = rotate(tmp_path)
    assert done.returncode == 1
    assert "0 of 1 sessions were sealed anew" in done.stderr
    assert "1 sessions are left" in done.stderr


def test_rotation_goes_on_after_what_does_not_open(
    tmp_path: Path, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk(tmp_path, "s")
    monkeypatch.setenv("CAW_STORAGE_KEYS", new_key("lost"))
    talk(tmp_path, "t")
    monkeypatch.setenv("CAW_STORAGE_KEYS", f"{new_key('k2')},{key}")
    assert "1 of 2 sessions were sealed anew" in rotate(tmp_path).stderr


def test_rotation_keeps_the_order_of_the_list(
    tmp_path: Path, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("first", "second", "third"):
        talk(tmp_path, name)
    monkeypatch.setenv("CAW_STORAGE_KEYS", f"{new_key('k2')},{key}")
    rotate(tmp_path)
    listed = [each.info.session_id for each in Store(url(tmp_path)).sessions()]
    assert listed == ["third", "second", "first"]


def test_copy_tells_of_sessions_that_do_not_open(
    tmp_path: Path, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk(tmp_path)
    monkeypatch.setenv("CAW_STORAGE_KEYS", new_key("k1"))
    (result,) = Store(url(tmp_path)).copy_to(Store(url(tmp_path / "other", "")))
    assert (result.session_id, result.outcome) == ("s", "failed")
    assert "does not open it" in result.reason


@pytest.mark.parametrize("key_id", ["", "a,b", "a:b", "a b", "a" * 33])
def test_id_that_no_key_can_have_is_refused(key_id: str) -> None:
    with pytest.raises(ConfigError, match="the id of a key"):
        new_key(key_id)


def test_new_key_is_printed() -> None:
    command = [sys.executable, "-m", "caw_storage_wrappers", "new-key", "mine"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert KeyRing([text]).current == "mine"


@pytest.mark.parametrize(
    "keys",
    ["", ",", "k1", "k1:short", ":AAAA", "k1:" + "A" * 42 + "!", "a b:" + "A" * 43, "k1:é"],
)
def test_what_is_no_key_is_refused_without_being_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: str
) -> None:
    monkeypatch.setenv("CAW_STORAGE_KEYS", keys)
    with pytest.raises(ConfigError, match="new-key") as caught:
        Store(url(tmp_path))
    assert "short" not in str(caught.value)


def test_two_keys_with_one_id_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAW_STORAGE_KEYS", f"{new_key('a')},{new_key('a')}")
    with pytest.raises(ConfigError, match="two keys with the id 'a'"):
        Store(url(tmp_path))


@pytest.mark.parametrize("source", ["", "CAW", "file:x", "keyring:x", "env:", "env:CAW_NO_SUCH"])
def test_source_of_keys_that_is_none_is_refused(tmp_path: Path, source: str) -> None:
    with pytest.raises(ConfigError, match="encrypt_key"):
        KeyRing.named(source)


def test_keys_can_come_from_a_variable_of_another_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTHER", new_key())
    monkeypatch.delenv("CAW_STORAGE_KEYS", raising=False)
    assert list(Store(url(tmp_path) + "?encrypt_key=env:OTHER").sessions()) == []


def test_envelope_of_a_newer_version_is_refused() -> None:
    keys = KeyRing([new_key()])
    with pytest.raises(TrajectoryError, match="envelope 'caw2'"):
        keys.open(keys.seal(b"x", "c").replace("caw1", "caw2"), "c")
