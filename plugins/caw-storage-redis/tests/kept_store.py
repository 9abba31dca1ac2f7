"""A store in a file: what a release wrote, to be put back into a server.

    python plugins/caw-storage-redis/tests/kept_store.py FOLDER

writes the records in FOLDER's ``records.json`` with this version, and keeps what the server then
has in ``FOLDER/store/keys.json``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import attrs

from caw_core import Trajectory
from caw_storage_redis import open_storage
from caw_storage_redis.server import Server
from caw_storage_redis.url import settings_of
from caw_testkit.redis_server import server_url

FILE = "keys.json"
_PREFIX = "kept"


def keep(prefix: str) -> dict[str, Any]:
    """Return all keys below *prefix*, by what follows it; bytes as text of Latin-1."""

    def read(client: Any) -> dict[str, Any]:
        found = {}
        for key in sorted(client.scan_iter(f"{{{prefix}}}:*")):
            name = key.decode("latin-1").partition(":")[2]
            value: Any
            match client.type(key):
                case b"string":
                    value = _text(client.get(key))
                case b"hash":
                    value = {_text(a): _text(b) for a, b in sorted(client.hgetall(key).items())}
                case b"zset":
                    scored = client.zrange(key, 0, -1, withscores=True)
                    value = [[_text(member), score] for member, score in scored]
                case b"set":
                    value = sorted(map(_text, client.smembers(key)))
                case kind:
                    msg = f"{key!r} is a {kind!r}"
                    raise NotImplementedError(msg)
            found[name] = {"type": client.type(key).decode(), "value": value}
        return found

    return dict(_ask(read))


def put_back(kept: dict[str, Any], prefix: str) -> None:
    """Make the keys that `keep` returned anew below another prefix."""

    def write(client: Any) -> None:
        for name, entry in kept.items():
            key, value = f"{{{prefix}}}:{name}".encode("latin-1"), entry["value"]
            match entry["type"]:
                case "string":
                    client.set(key, _bytes(value))
                case "hash":
                    client.hset(key, mapping={_bytes(a): _bytes(b) for a, b in value.items()})
                case "zset":
                    client.zadd(key, {_bytes(member): score for member, score in value})
                case "set":
                    client.sadd(key, *map(_bytes, value))

    _ask(write)


def main(folder: Path) -> None:
    """Write the records, and keep what became of them."""
    url = server_url()
    storage = open_storage(f"{url}{'&' if '?' in url else '?'}prefix={_PREFIX}")
    for document in json.loads((folder / "records.json").read_text("utf-8")):
        record = Trajectory.from_dict(document)
        lease = storage.lease_session(session_id=record.session_id)
        storage.persist_session(session=record.info)
        for turn in record.turns:
            cut_off = turn.status == "unknown"
            written = attrs.evolve(turn, status="running", error=None) if cut_off else turn
            storage.persist_turn(session=record.info, turn=written)
        lease.release()
    (folder / "store").mkdir(exist_ok=True)
    text = json.dumps(keep(_PREFIX), indent=1, sort_keys=True)
    (folder / "store" / FILE).write_text(text + "\n", encoding="utf-8")


def _ask(question: Any) -> Any:
    server = Server(settings_of(server_url()))
    try:
        return server.ask("keep a store", question)
    finally:
        server.close()


def _text(value: bytes) -> str:
    return value.decode("latin-1")


def _bytes(value: str) -> bytes:
    return value.encode("latin-1")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
