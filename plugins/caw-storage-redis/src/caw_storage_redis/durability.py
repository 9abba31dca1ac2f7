"""What a server's settings put at risk, told once."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from caw_storage_redis.server import Server

log = logging.getLogger("caw.storage")

_SETTINGS = ("appendonly", "appendfsync", "maxmemory", "maxmemory-policy")


def warn(client: Any, server: Server) -> None:
    """Log one warning if turns could be lost; where the server does not tell, none."""
    try:
        settings: Mapping[Any, Any] = client.config_get(*_SETTINGS)
    except (RedisError, OSError):
        return
    if risks := risks_of(settings):
        place = server.settings.place
        log.warning("Redis at %s may lose turns that were stored: %s", place, "; ".join(risks))


def risks_of(settings: Mapping[Any, Any]) -> list[str]:
    """Return what these settings put at risk.

    Args:
        settings: what ``CONFIG GET`` answered, as bytes or text.
    """
    found = {_text(name): _text(value) for name, value in settings.items()}
    risks = []
    if found.get("appendonly") == "no":
        risks.append("appendonly is no, so a restart takes what came after the last snapshot")
    elif found.get("appendfsync", "always") != "always":
        risks.append(
            f"appendfsync is {found['appendfsync']}, so its death takes the last moments; "
            "set it to always"
        )
    policy = found.get("maxmemory-policy", "")
    # The only keys with a time to live are those of events, which the other policies may have.
    if policy.startswith("allkeys") and found.get("maxmemory") != "0":
        risks.append(f"maxmemory-policy is {policy}, which evicts records; set it to noeviction")
    return risks


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
