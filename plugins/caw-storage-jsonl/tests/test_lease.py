"""One writer for each session."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from caw_core.errors import SessionBusyError
from caw_core.trajectory import SessionInfo, Turn
from caw_storage_jsonl import JsonlStorage

WRITER = Path(__file__).with_name("writer.py")
TURN = Turn(index=0, input="a")


def test_second_lease_is_refused_and_names_the_holder(storage: JsonlStorage) -> None:
    storage.lease_session("a")
    other = JsonlStorage(storage.session_dir("a").parent.parent)
    for asked in (storage, other):
        with pytest.raises(SessionBusyError, match="End it there") as caught:
            asked.lease_session("a")
        assert caught.value.holder == f"process {os.getpid()} on {socket.gethostname()}"


def test_lease_can_be_taken_again_after_release(storage: JsonlStorage) -> None:
    first = storage.lease_session("a")
    first.release()
    first.release()
    storage.lease_session("a").release()


def test_lease_is_free_although_a_program_that_is_just_starting_has_the_file_open(
    storage: JsonlStorage,
) -> None:
    first = storage.lease_session("a")
    # What a fork has between its beginning and its exec, when close-on-exec closes it.
    inherited = os.dup(first._fd)
    first.release()
    storage.lease_session("a").release()
    os.close(inherited)


def test_other_sessions_stay_free(storage: JsonlStorage) -> None:
    storage.lease_session("a")
    storage.lease_session("b")


def test_token_grows_with_each_lease(storage: JsonlStorage, info: SessionInfo) -> None:
    storage.persist_turn(info, TURN)
    tokens = []
    for _ in range(12):
        lease = storage.lease_session(info.session_id)
        tokens.append(lease.token)
        lease.release()
    assert tokens == sorted(set(tokens))


def test_writing_without_the_lease_is_refused_while_somebody_has_it(
    storage: JsonlStorage, info: SessionInfo, truth: Path
) -> None:
    storage.persist_turn(info, TURN)
    before = truth.read_bytes()
    lease = storage.lease_session(info.session_id)
    other = JsonlStorage(truth.parents[2])
    for write in (
        lambda: other.persist_turn(info, Turn(index=1, input="b")),
        lambda: other.persist_session(SessionInfo(session_id=info.session_id, provider="x")),
        lambda: other.delete_session(info.session_id),
    ):
        with pytest.raises(SessionBusyError):
            write()
    assert truth.read_bytes() == before
    assert other.load_trajectory(info.session_id) == storage.load_trajectory(info.session_id)
    lease.release()
    other.persist_turn(info, Turn(index=1, input="b"))
    storage.persist_turn(info, Turn(index=2, input="c"))
    stored = storage.load_trajectory(info.session_id)
    assert stored is not None
    assert [turn.input for turn in stored.turns] == ["a", "b", "c"]


def test_lease_of_another_process_holds_until_that_process_dies(storage: JsonlStorage) -> None:
    data_dir = storage.session_dir("a").parent.parent
    command = [sys.executable, str(WRITER), str(data_dir), "a", "--hold"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "leased\n"
        with pytest.raises(SessionBusyError) as caught:
            storage.lease_session("a")
        assert f"process {holder.pid} " in caught.value.holder
        holder.kill()
        holder.wait()
    storage.lease_session("a")


def test_lease_is_not_handed_to_child_processes(storage: JsonlStorage) -> None:
    lease = storage.lease_session("a")
    command = [sys.executable, "-c", "import sys; print('up', flush=True); sys.stdin.read()"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=False, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "up\n"
        lease.release()
        storage.lease_session("a").release()
        child.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps open files")
def test_session_that_stored_nothing_leaves_no_folder(storage: JsonlStorage) -> None:
    storage.lease_session("a").release()
    assert not storage.session_dir("a").exists()
    assert storage.load_trajectory("a") is None


@pytest.mark.skipif(sys.platform == "win32", reason="Windows lets nobody remove an open file")
def test_release_of_a_lease_that_was_taken_away_leaves_the_next_one(storage: JsonlStorage) -> None:
    first = storage.lease_session("a")
    (storage.session_dir("a") / "lease.lock").unlink()
    other = JsonlStorage(storage.session_dir("a").parent.parent)
    other.lease_session("a")
    first.release()
    with pytest.raises(SessionBusyError):
        storage.lease_session("a")


def test_lock_file_that_holds_nonsense_is_no_obstacle(storage: JsonlStorage) -> None:
    folder = storage.session_dir("a")
    folder.mkdir(parents=True)
    for nonsense in (b"", b"{", b"[]", b'{"token": "x"}'):
        (folder / "lease.lock").write_bytes(nonsense)
        lease = storage.lease_session("a")
        assert lease.token == 1
        lease.release()
        folder.mkdir(exist_ok=True)


def test_many_threads_write_sessions_and_turns_at_once(storage: JsonlStorage) -> None:
    def write(number: int) -> None:
        for index in range(10):
            info = SessionInfo(session_id=f"s{number % 4}", provider="p")
            storage.persist_turn(info, Turn(index=100 * number + index, input="a"))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(4):
        stored = storage.load_trajectory(f"s{number}")
        assert stored is not None
        assert stored.num_turns == 20


def test_threads_that_ask_at_once_get_one_lease(storage: JsonlStorage) -> None:
    taken: list[object] = []
    refused: list[object] = []
    start = threading.Barrier(8)

    def ask() -> None:
        other = JsonlStorage(storage.session_dir("a").parent.parent)
        start.wait()
        try:
            taken.append(other.lease_session("a"))
        except SessionBusyError as error:
            refused.append(error)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(taken), len(refused)) == (1, 7)
