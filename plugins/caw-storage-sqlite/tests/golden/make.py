"""Write the golden store of this release: ``python make.py``, once, when the release is made.

The folder is named after the release. It is never written again: it is what users have.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import shutil
import sqlite3
from pathlib import Path

from caw_core.events import TextDelta
from caw_core.storage import LiveEvent, SearchQuery
from caw_storage_sqlite import open_storage
from caw_testkit.conformance.storage_samples import head, running_turn, simple_turn, strange_turn

NAMES = ("ended", "child", "strange", "cut-off")


def main() -> None:
    """Write the store, and the records that must come out of it."""
    folder = Path(__file__).parent / importlib.metadata.version("caw-storage-sqlite")
    shutil.rmtree(folder, ignore_errors=True)
    file = folder / "store" / "sessions.db"
    storage = open_storage(f"sqlite:///{file.absolute()}")
    info = head(
        "ended", completed_at="2026-01-02T04:00:00+00:00", tags=("a", "b"), resume_key="key"
    )
    for index in range(3):
        storage.persist_turn(info, simple_turn(index))
    storage.share_turns(head("child", forked_from="ended"), "ended", 2)
    storage.persist_turn(head("child", forked_from="ended"), simple_turn(2, input="another way"))
    storage.search_sessions(SearchQuery(text="another"))
    storage.persist_turn(head("strange"), strange_turn(0))
    storage.persist_turn(head("cut-off"), running_turn(0))
    event = LiveEvent(turn=0, number=0, event=TextDelta(text="I look"))
    storage.publish_events("cut-off", [event])
    records = [storage.load_trajectory(name, None) for name in NAMES]
    storage.close()
    with contextlib.closing(sqlite3.connect(file)) as database:
        # One file, with no more in it than needed.
        database.execute("VACUUM")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    documents = [record.to_dict() for record in records if record]
    text = json.dumps(documents, indent=1, ensure_ascii=False)
    (folder / "records.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
