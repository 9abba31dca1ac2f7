"""A store in a file: what a release wrote, to be put back into a server.

    python plugins/caw-storage-postgres/tests/kept_store.py FOLDER

writes the records in FOLDER's ``records.json`` with this version, and keeps what ``pg_dump`` then
says of the schema in ``FOLDER/store/dump.sql``.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import attrs
import psycopg

from caw_core import Trajectory
from caw_storage_postgres import open_storage
from caw_testkit.postgres_server import find_programs, server_url

FILE = "dump.sql"
_SCHEMA = "kept_by_caw"


def put_back(dump: str, schema: str, url: str) -> None:
    """Make what was dumped anew in another schema, for the user of *url*."""
    with psycopg.connect(url) as connection:
        text = re.sub(rf"\b{_SCHEMA}\b", lambda _: f'"{schema}"', dump)
        connection.execute(text.encode())


def main(folder: Path) -> None:
    """Write the records, and keep what became of them."""
    url = server_url()
    storage = open_storage(f"{url}{'&' if '?' in url else '?'}schema={_SCHEMA}")
    for document in json.loads((folder / "records.json").read_text("utf-8")):
        record = Trajectory.from_dict(document)
        lease = storage.lease_session(session_id=record.session_id)
        storage.persist_session(session=record.info)
        for turn in record.turns:
            cut_off = turn.status == "unknown"
            written = attrs.evolve(turn, status="running", error=None) if cut_off else turn
            storage.persist_turn(session=record.info, turn=written)
        lease.release()
    command = [find_programs() / "pg_dump", "--inserts", "--no-owner", "--no-privileges"]
    dumped = subprocess.run(
        [*map(str, command), f"--schema={_SCHEMA}", f"--dbname={url}"],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [
        line
        for line in dumped.stdout.splitlines()
        # Comments, and what psql alone or servers of some versions alone understand.
        if line and not line.startswith(("--", "\\", "SET ", "SELECT pg_catalog.set_config"))
    ]
    (folder / "store").mkdir(exist_ok=True)
    (folder / "store" / FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
