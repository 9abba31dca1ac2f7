"""Write the golden store of this release: ``python make.py``, once, when the release is made.

The folder is named after the release. It is never written again: it is what users have.
"""

from __future__ import annotations

import importlib.metadata
import json
import shutil
from pathlib import Path

from caw_core.trajectory import Trajectory
from caw_storage_jsonl import JsonlStorage
from caw_testkit.conformance.storage_samples import (
    golden_record,
    head,
    running_turn,
    simple_turn,
    strange_turn,
)


def main() -> None:
    """Write the store, and the records that must come out of it."""
    folder = Path(__file__).parent / importlib.metadata.version("caw-storage-jsonl")
    shutil.rmtree(folder, ignore_errors=True)
    storage = JsonlStorage(folder / "store")
    ended = head("ended", completed_at="2026-01-02T04:00:00+00:00", resume_key="key")
    records = [
        Trajectory.of(ended, (simple_turn(0), strange_turn(1))),
        Trajectory.of(head("killed"), (simple_turn(0), running_turn(1))),
        golden_record("trajectory_v2.json"),
    ]
    for record in records:
        storage.persist_session(record.info)
        for turn in record.turns:
            storage.persist_turn(record.info, turn)
    storage.persist_session(ended)
    for lock in folder.rglob("lease.lock"):
        lock.unlink()
    loaded = [storage.load_trajectory(record.session_id) for record in records]
    documents = [record.to_dict() for record in loaded if record is not None]
    text = json.dumps(documents, indent=1) + "\n"
    (folder / "records.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
