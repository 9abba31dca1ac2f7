"""The suite that every storage is proven with."""

from __future__ import annotations

import json
from pathlib import Path

from caw_storage_redis.conformance import RedisConformance

from .kept_store import FILE, keep, put_back


class TestRedis(RedisConformance):
    golden_stores = Path(__file__).parent / "golden"

    def make_storage(self, folder: Path) -> str:
        """Open the folder's prefix; what a release has left in the folder is put there first."""
        kept = folder / FILE
        if kept.exists() and not keep(folder.name):
            put_back(json.loads(kept.read_text("utf-8")), folder.name)
        return super().make_storage(folder)
