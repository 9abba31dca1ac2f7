"""What proves this storage: ``caw plugins --check redis`` runs it. It needs caw-testkit.

Each store is a prefix with a user of its own on the server of
`caw_testkit.redis_server.server_url`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import pytest

from caw_storage_redis.server import Server
from caw_storage_redis.url import settings_of
from caw_testkit.conformance import StorageConformance
from caw_testkit.redis_server import VARIABLE, server_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_PASSWORD = "a-password-of-no-worth"  # noqa: S105 - of users that live as long as a test


class RedisConformance(StorageConformance):
    """The storage with all that it can do."""

    capabilities = frozenset(
        {
            "delete_session",
            "durable",
            "expiring_leases",
            "fencing",
            "lease_session",
            "list_sessions",
            "persist_session",
            "publish_events",
            "read_events",
            "search_sessions",
            "server_clock",
            "share_turns",
            "turn_range",
        },
    )
    patience = 90.0
    lease_seconds = 20
    """Longer than a check may stand still on a busy machine, and shorter than the default."""

    @pytest.fixture(autouse=True)
    def _clean_server(self, tmp_path: Path) -> Iterator[None]:
        """Leave nothing on the server."""
        server_url()
        yield
        for folder in tmp_path.glob("store-*"):
            keys = _keys(folder, "*")
            _ask(lambda client: client.acl_deluser(folder.name))  # noqa: B023 - called at once
            if keys:
                _ask(lambda client: client.unlink(*keys))  # noqa: B023 - called at once

    def make_storage(self, folder: Path) -> str:
        """Return the URL of the folder's prefix, for a user who has no other."""
        name = folder.name
        rights = ("on", f">{_PASSWORD}", f"~{{{name}}}:*", "+@all")
        # Once: one who was thrown out stays out.
        if _ask(lambda client: client.execute_command("ACL", "GETUSER", name)) is None:
            _ask(lambda client: client.execute_command("ACL", "SETUSER", name, *rights))
        url = urlsplit(os.environ[VARIABLE])
        address = f"{name}:{_PASSWORD}@{url.netloc.rpartition('@')[2]}"
        options = f"prefix={name}&lease_seconds={self.lease_seconds}&timeout=30"
        query = "&".join(filter(None, (url.query, options)))
        return urlunsplit((url.scheme, address, url.path, query, ""))

    def make_unreachable(self, folder: Path) -> bool:
        """Throw the store's user out of the server."""
        _ask(lambda client: client.execute_command("ACL", "SETUSER", folder.name, "off"))
        _ask(lambda client: client.execute_command("CLIENT", "KILL", "USER", folder.name))
        return True

    def damage(self, folder: Path) -> bool:
        """Cut the documents short, as nothing but a hand can."""
        for key in [*_keys(folder, "turns:*"), *_keys(folder, "session:*")]:
            for name, value in _ask(lambda client: client.hgetall(key)).items():  # noqa: B023 - called at once
                if value.startswith(b"{"):
                    half = value[: len(value) // 2]
                    _ask(lambda client: client.hset(key, name, half))  # noqa: B023 - called at once
        return True

    def let_lease_run_out(self, folder: Path, session_id: str) -> None:
        """Move the end of the lease into the past."""
        key = f"{{{folder.name}}}:lease:{session_id}"
        _ask(lambda client: client.hset(key, "expires", "1"))


def _keys(folder: Path, pattern: str) -> list[bytes]:
    return list(_ask(lambda client: list(client.scan_iter(f"{{{folder.name}}}:{pattern}"))))


def _ask(question: Callable[[Any], Any]) -> Any:
    """Ask as the server's owner."""
    server = Server(settings_of(os.environ[VARIABLE]))
    try:
        return server.ask("prepare a test", question)
    finally:
        server.close()
