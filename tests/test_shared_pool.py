"""Servers that several sessions share end with their last user, and not before."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from caw_core.process import SharedPool


class Server:
    def __init__(self, key: str) -> None:
        self.key = key
        self.stops: list[float] = []

    def stop(self, step_seconds: float) -> None:
        self.stops.append(step_seconds)


def test_same_key_gets_the_same_server_and_another_key_another() -> None:
    pool = SharedPool(Server)
    first, second, other = pool.enter("a"), pool.enter("a"), pool.enter("b")
    assert first is second
    assert (first.key, other.key) == ("a", "b")


def test_last_user_ends_the_server() -> None:
    pool = SharedPool(Server)
    server = pool.enter("a")
    pool.enter("a")
    assert pool.is_shared("a")
    pool.leave("a", 2.0)
    assert (pool.is_shared("a"), server.stops) == (False, [])
    pool.leave("a", 3.0)
    assert server.stops == [3.0]


def test_key_gets_a_new_server_after_the_end_of_the_old_one() -> None:
    pool = SharedPool(Server)
    old = pool.enter("a")
    pool.leave("a", 1.0)
    assert pool.enter("a") is not old


def test_users_of_many_threads_are_counted() -> None:
    pool = SharedPool(Server)
    kept = pool.enter("a")

    def use(_: int) -> bool:
        server = pool.enter("a")
        pool.leave("a", 1.0)
        return server is kept

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(use, range(200)))
    assert (pool.is_shared("a"), kept.stops) == (False, [])
