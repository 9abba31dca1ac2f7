"""The scripts, run on the server: bounded in time, in one step each, and with errors of caw's."""

from __future__ import annotations

import functools
import hashlib
import threading
import weakref
from importlib import resources
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import redis
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError
from redis.retry import Retry

from caw_core.errors import StorageError
from caw_storage_redis import durability

if TYPE_CHECKING:
    from collections.abc import Callable

    from caw_storage_redis.url import Settings

_T = TypeVar("_T")

Answer = list[Any]
"""What a script returns: a word, then what goes with it."""

_PARTS = {"put": ("common", "writing"), "share": ("common", "writing")}
_PARTS["delete"] = _PARTS["put"]


@attrs.frozen
class _Script:
    source: str
    digest: str


class Server:
    """A process's connections to one store, opened when they are needed.

    Safe to use from several threads, and after a fork: the driver opens new connections in the
    child. They are closed with the last reference to this object.

    Args:
        settings: which store.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._prefix = f"{{{settings.prefix}}}:"
        self._pool = redis.ConnectionPool(
            connection_class=_connection_class(settings),
            socket_timeout=settings.timeout,
            # Asking again is the core's affair, which knows for how long.
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            **settings.server,
        )
        self._client = redis.Redis(connection_pool=self._pool)
        self._closed = False
        self._risks_told = threading.Event()
        weakref.finalize(self, self._pool.disconnect)

    def key(self, name: str) -> str:
        """Return the whole name of a key."""
        return self._prefix + name

    def read(self, what: str, script: str, *arguments: str | bytes | float) -> Answer:
        """Run a script that changes nothing that must last; see `write`."""
        return self._checked(what, lambda client: self._run(client, script, arguments))

    def write(self, what: str, script: str, *arguments: str | bytes | float) -> Answer:
        """Run a script.

        Args:
            what: what it does, for messages: "store turn 3".
            script: its name in the folder ``scripts``.
            arguments: its ARGV.

        Returns:
            What the script returned.

        Raises:
            StorageError: the server is down, hangs or refuses, or holds a store of a newer version.
        """
        if not self.settings.wait_replicas:
            answer = self.read(what, script, *arguments)
        else:
            answer = self._checked(what, lambda client: self._wait(client, script, arguments))
        if not self._risks_told.is_set():
            self._risks_told.set()
            self.ask("look at the server's settings", lambda client: durability.warn(client, self))
        return answer

    def ask(self, what: str, question: Callable[[Any], _T]) -> _T:
        """Ask the server something without a script, by the driver's client; see `write`."""
        if self._closed:
            msg = f"cannot {what}: the storage was closed"
            raise StorageError(msg)
        try:
            return question(self._client)
        except (RedisError, OSError, UnicodeError) as error:
            failure: Exception = error
        # Out here, where the driver's error is no context any more: if it tells a secret, it is
        # not the cause either.
        told = str(failure)
        said = self.settings.without_secrets(told)
        lines = said.strip().splitlines() or [type(failure).__name__]
        msg = f"cannot {what}: Redis at {self.settings.place}: {lines[0]}"
        raise StorageError(msg) from (failure if said == told else None)

    def close(self) -> None:
        """Close all connections, for good; idempotent."""
        self._closed = True
        self._pool.disconnect()

    def _checked(self, what: str, question: Callable[[Any], Answer]) -> Answer:
        answer = self.ask(what, question)
        if answer[0] == b"newer":
            msg = (
                f"cannot {what}: the store at {self.settings.place} has version "
                f"{answer[1].decode()}, which a newer caw-storage-redis made. Upgrade this one."
            )
            raise StorageError(msg)
        return answer

    def _run(self, client: Any, name: str, arguments: tuple[Any, ...]) -> Answer:
        script = _script(name)
        answer: Answer
        try:
            answer = client.evalsha(script.digest, 1, self._prefix, *arguments)
        except NoScriptError:
            # The server was started anew, or somebody flushed its scripts.
            answer = client.eval(script.source, 1, self._prefix, *arguments)
        return answer

    def _wait(self, client: Any, name: str, arguments: tuple[Any, ...]) -> Answer:
        wanted = self.settings.wait_replicas
        # Within the time in which this end waits, so that the server's answer comes first.
        milliseconds = int(500 * self.settings.timeout)
        script = _script(name)
        try:
            with client.pipeline(transaction=False) as pipeline:
                pipeline.evalsha(script.digest, 1, self._prefix, *arguments)
                pipeline.execute_command("WAIT", wanted, milliseconds)
                answer, reached = pipeline.execute()
        except NoScriptError:
            client.script_load(script.source)
            return self._wait(client, name, arguments)
        if reached < wanted:
            msg = f"{reached} of {wanted} replicas have the write so far"
            raise RedisError(msg)
        return list(answer)


def _connection_class(settings: Settings) -> type[redis.Connection]:
    if settings.tls:
        return redis.SSLConnection
    if "path" in settings.server:
        return redis.UnixDomainSocketConnection  # type: ignore[return-value]  # no Connection to its types, though used as one
    return redis.Connection


@functools.cache
def _script(name: str) -> _Script:
    folder = resources.files("caw_storage_redis") / "scripts"
    parts = [*_PARTS.get(name, ("common",)), name]
    source = "\n".join((folder / f"{part}.lua").read_text(encoding="utf-8") for part in parts)
    digest = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
    return _Script(source, digest)
