"""What the tests of this storage share: one storage in a new folder, and a session's head."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from caw_core.trajectory import SessionInfo
from caw_storage_jsonl import JsonlStorage

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def storage(tmp_path: Path) -> JsonlStorage:
    return JsonlStorage(tmp_path / "data")


@pytest.fixture
def info() -> SessionInfo:
    return SessionInfo(session_id="session-1", provider="codex", model="gpt-5", cwd="/work")


@pytest.fixture
def truth(storage: JsonlStorage, info: SessionInfo) -> Path:
    return storage.session_dir(info.session_id) / "traj.jsonl"
