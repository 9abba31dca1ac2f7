"""Which distribution has the plugin that somebody asks for and has not installed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

KNOWN_DISTRIBUTIONS: Final[Mapping[str, Mapping[str, str]]] = {
    "provider": {
        "cc": "caw-provider-claude-code",
        "claude": "caw-provider-claude-code",
        "claude_code": "caw-provider-claude-code",
        "codex": "caw-provider-codex",
        "echo": "caw-provider-echo",
        "local": "caw-provider-local",
        "opencode": "caw-provider-opencode",
        "replay": "caw-provider-replay",
    },
    "storage": {
        "encrypt": "caw-storage-wrappers",
        "jsonl": "caw-storage-jsonl",
        "memory": "caw-storage-memory",
        "postgres": "caw-storage-postgres",
        "postgresql": "caw-storage-postgres",
        "redact": "caw-storage-wrappers",
        "redis": "caw-storage-redis",
        "rediss": "caw-storage-redis",
        "sqlite": "caw-storage-sqlite",
        "ttl": "caw-storage-wrappers",
    },
    "observer": {"prices": "caw-prices", "tools": "caw-tools"},
}
"""Kind and name of each plugin that caw's own distributions offer."""
