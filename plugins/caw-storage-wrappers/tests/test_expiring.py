"""Sessions go some time after they were last written, and not while somebody has them open."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from caw_core import Agent, SessionInfo, Store, Turn
from caw_core.errors import ConfigError
from caw_storage_wrappers.expiring import length_of_time


def url(folder: Path, ttl: str = "1h") -> str:
    return "ttl+" + inner(folder) + f"?ttl={ttl}"


def inner(folder: Path) -> str:
    return folder.absolute().as_uri().replace("file:", "jsonl:", 1)


def write(folder: Path, session_id: str, hours_ago: float) -> None:
    moment = datetime.now(UTC) - timedelta(hours=hours_ago)
    info = SessionInfo(
        session_id=session_id, provider="echo", created_at=moment.isoformat(), resume_key="k"
    )
    store = Store(inner(folder))
    (sink,) = store.records.storages
    with store.leased(session_id):
        turn = Turn(index=0, input="x", started_at=moment.isoformat())
        store.records.persist_turn(sink, info, turn, 1)
    # The jsonl storage tells by the file when a session was last written.
    seconds = time.time() - hours_ago * 3600
    os.utime(folder / "sessions" / session_id / "traj.jsonl", (seconds, seconds))


def ids(store: Store) -> list[str]:
    return [each.info.session_id for each in store.sessions()]


def test_old_sessions_are_deleted_when_the_storage_is_used(tmp_path: Path) -> None:
    write(tmp_path, "old", 2)
    write(tmp_path, "young", 0.5)
    assert ids(Store(url(tmp_path))) == ["young"]
    assert ids(Store(inner(tmp_path))) == ["young"]


def test_session_that_runs_out_between_two_looks_is_not_shown(tmp_path: Path) -> None:
    store = Store(url(tmp_path))
    assert ids(store) == []
    write(tmp_path, "old", 2)
    assert ids(store) == []
    assert store.load("old") is None
    assert ids(Store(inner(tmp_path))) == ["old"]


def test_session_that_somebody_has_open_stays(tmp_path: Path) -> None:
    write(tmp_path, "old", 2)
    with Store(inner(tmp_path)).leased("old"):
        assert ids(Store(url(tmp_path))) == []
        assert ids(Store(inner(tmp_path))) == ["old"]


def test_session_lives_on_when_it_is_written(tmp_path: Path) -> None:
    with Agent("echo", storage=url(tmp_path)).start_session(session_id="s") as session:
        session.send("x")
    with Agent("echo", storage=url(tmp_path)).resume_session("s") as session:
        session.send("y")
    assert ids(Store(url(tmp_path))) == ["s"]


@pytest.mark.parametrize("ttl", ["", "0d", "soon", "-1d", "1.5h", "3"])
def test_time_that_is_none_is_refused(tmp_path: Path, ttl: str) -> None:
    with pytest.raises(ConfigError, match="ttl"):
        Store(url(tmp_path, ttl))


def test_lengths_of_time() -> None:
    found = [length_of_time(text) for text in ("90s", "15m", "12h", "30d", "2w")]
    assert found == [
        timedelta(seconds=90),
        timedelta(minutes=15),
        timedelta(hours=12),
        timedelta(days=30),
        timedelta(weeks=2),
    ]
