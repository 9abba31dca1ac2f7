"""The suite that every storage is proven with."""

from __future__ import annotations

from caw_storage_redis.conformance import RedisConformance


class TestRedis(RedisConformance):
    pass
