"""Files that are the owner's own, and nothing outside the data folder."""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING

import attrs
import pytest

from caw_core.errors import ConfigError, StorageError
from caw_core.storage import SessionQuery
from caw_core.trajectory import SessionInfo, Turn
from caw_storage_jsonl import JsonlStorage

if TYPE_CHECKING:
    from pathlib import Path

TURN = Turn(index=0, input="a", raw_output=("line",))
posix = pytest.mark.skipif(sys.platform == "win32", reason="modes and links are POSIX")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@posix
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o277])
def test_files_are_0600_and_folders_0700_whatever_the_umask(
    storage: JsonlStorage, info: SessionInfo, tmp_path: Path, umask: int
) -> None:
    before = os.umask(umask)
    try:
        storage.persist_turn(info, TURN)
        storage.persist_session(attrs.evolve(info, completed_at="2026"))
        storage.lease_session(info.session_id)
    finally:
        os.umask(before)
    for path in (tmp_path / "data").rglob("*"):
        assert mode(path) == (0o700 if path.is_dir() else 0o600), path
    assert mode(tmp_path / "data") == 0o700


@posix
def test_mode_of_an_existing_data_folder_is_left_alone(info: SessionInfo, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    JsonlStorage(tmp_path).persist_turn(info, TURN)
    assert mode(tmp_path) == 0o755


@posix
def test_old_file_that_others_could_read_is_closed_to_them(
    storage: JsonlStorage, info: SessionInfo, truth: Path
) -> None:
    storage.persist_turn(info, TURN)
    truth.chmod(0o644)
    storage.persist_turn(info, TURN)
    assert mode(truth) == 0o600


def test_reading_makes_nothing(storage: JsonlStorage, tmp_path: Path) -> None:
    assert storage.load_trajectory("a") is None
    assert storage.delete_session("a") is False
    storage.list_sessions(SessionQuery())
    storage.session_dir("a")
    assert list(tmp_path.iterdir()) == []


HOSTILE = [
    "",
    ".",
    "..",
    "../x",
    "a/b",
    "/etc",
    "a\\b",
    "a..b",
    ".a",
    "-a",
    "a\0",
    "a\n",
    "é",
    "a" * 129,
]


@pytest.mark.parametrize("session_id", HOSTILE)
def test_id_that_could_lead_elsewhere_is_refused_everywhere(
    storage: JsonlStorage, tmp_path: Path, session_id: str
) -> None:
    info = SessionInfo(session_id=session_id, provider="p")
    for call in (
        lambda: storage.persist_turn(info, TURN),
        lambda: storage.persist_session(info),
        lambda: storage.load_trajectory(session_id),
        lambda: storage.delete_session(session_id),
        lambda: storage.lease_session(session_id),
        lambda: storage.session_dir(session_id),
    ):
        with pytest.raises(ConfigError):
            call()
    assert list(tmp_path.iterdir()) == []


@posix
@pytest.mark.parametrize("name", ["", "traj.jsonl", "trajectory.json", "lease.lock", "turns"])
def test_symbolic_links_are_not_followed(
    storage: JsonlStorage, info: SessionInfo, tmp_path: Path, name: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    link = storage.session_dir(info.session_id) / name
    link.parent.mkdir(parents=True)
    link.symlink_to(outside if name in ("", "turns") else outside / "file")
    ended = attrs.evolve(info, completed_at="2026")

    def write() -> None:
        storage.persist_turn(ended, TURN)
        storage.persist_session(ended)

    with pytest.raises(StorageError, match="symbolic link") as caught:
        write()
    assert str(link) in str(caught.value)
    assert list(outside.iterdir()) == []


@posix
def test_sessions_folder_that_is_a_link_is_not_followed(
    storage: JsonlStorage, info: SessionInfo, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "sessions").symlink_to(tmp_path)
    for call in (
        lambda: storage.persist_turn(info, TURN),
        lambda: storage.load_trajectory("a"),
        lambda: storage.delete_session("a"),
        lambda: storage.list_sessions(SessionQuery()),
    ):
        with pytest.raises(StorageError, match="symbolic link"):
            call()


@posix
def test_session_is_read_through_no_link(
    storage: JsonlStorage, info: SessionInfo, truth: Path
) -> None:
    storage.persist_turn(info, TURN)
    elsewhere = truth.with_name("elsewhere")
    truth.rename(elsewhere)
    truth.symlink_to(elsewhere)
    with pytest.raises(StorageError, match="symbolic link"):
        storage.load_trajectory(info.session_id)


@posix
def test_pipe_in_the_place_of_a_file_does_not_block(
    storage: JsonlStorage, info: SessionInfo, truth: Path
) -> None:
    truth.parent.mkdir(parents=True)
    os.mkfifo(truth)
    with pytest.raises(StorageError, match="no regular file"):
        storage.load_trajectory(info.session_id)


def test_disk_that_refuses_is_named_and_is_never_an_absent_session(
    info: SessionInfo, tmp_path: Path
) -> None:
    (tmp_path / "data").write_bytes(b"")
    storage = JsonlStorage(tmp_path / "data")
    for call in (
        lambda: storage.persist_turn(info, TURN),
        lambda: storage.load_trajectory("a"),
        lambda: storage.lease_session("a"),
        lambda: storage.list_sessions(SessionQuery()),
    ):
        with pytest.raises(StorageError, match="in the way; move it") as caught:
            call()
        assert str(tmp_path / "data") in str(caught.value)


@posix
@pytest.mark.skipif(sys.platform != "win32" and os.geteuid() == 0, reason="root may read all")
def test_missing_permission_is_named(storage: JsonlStorage, info: SessionInfo, truth: Path) -> None:
    storage.persist_turn(info, TURN)
    truth.parent.chmod(0)
    try:
        with pytest.raises(StorageError, match="Give this user the right"):
            storage.load_trajectory(info.session_id)
    finally:
        truth.parent.chmod(0o700)


@posix
def test_full_disk_leaves_the_file_as_it_was_and_the_next_call_writes(
    storage: JsonlStorage, info: SessionInfo, truth: Path
) -> None:
    import resource

    storage.persist_turn(info, TURN)
    before = truth.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 100, limits[1]))
    try:
        with pytest.raises(StorageError, match=r"too large|space"):
            storage.persist_turn(info, Turn(index=1, input="x" * 1000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert truth.read_bytes() == before
    storage.persist_turn(info, Turn(index=1, input="x" * 1000))
    stored = storage.load_trajectory(info.session_id)
    assert stored is not None
    assert [turn.input for turn in stored.turns] == ["a", "x" * 1000]


def test_deleted_session_is_gone_and_its_name_is_free(
    storage: JsonlStorage, info: SessionInfo
) -> None:
    storage.persist_turn(info, TURN)
    storage.persist_session(attrs.evolve(info, completed_at="2026"))
    folder = storage.session_dir(info.session_id)
    (folder / "turns" / "link").symlink_to(folder.parent)
    assert storage.delete_session(info.session_id) is True
    assert storage.load_trajectory(info.session_id) is None
    assert storage.delete_session(info.session_id) is False
    storage.persist_turn(info, TURN)
    assert storage.load_trajectory(info.session_id) is not None


def test_session_can_be_deleted_by_who_holds_its_lease(
    storage: JsonlStorage, info: SessionInfo
) -> None:
    lease = storage.lease_session(info.session_id)
    storage.persist_turn(info, TURN)
    assert storage.delete_session(info.session_id) is True
    lease.release()
    assert not storage.session_dir(info.session_id).exists()
