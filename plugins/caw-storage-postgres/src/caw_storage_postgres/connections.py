"""Connections: pooled, bounded in time, and not shared with a fork."""

from __future__ import annotations

import contextlib
import logging
import math
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

import psycopg
from psycopg.pq import TransactionStatus
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from caw_core.errors import StorageError
from caw_storage_postgres.forks import tell_of_forks

if TYPE_CHECKING:
    from psycopg.abc import PQGen

    from caw_storage_postgres.url import Settings

_T = TypeVar("_T")

IDLE_SECONDS = 60.0
"""How long a connection that nobody needs stays open."""

_GRACE = 2.0
"""How much longer than its own timeout a server may be silent before it counts as hanging."""

_POOL_NAME = "caw-storage-postgres"

_CONFIGURE = """
SELECT set_config('statement_timeout', %s, false), set_config('lock_timeout', %s, false),
       set_config('idle_in_transaction_session_timeout', %s, false),
       set_config('jit', 'off', false),
       set_config('synchronous_commit', coalesce(nullif(%s, ''), nullif(
           current_setting('synchronous_commit'), 'off'), 'on'), false)
"""


class NoAnswerError(psycopg.OperationalError):
    """The server is there and says nothing, not even that a statement took too long."""


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """A connection whose waits end, whatever the server does.

    `statement_timeout` is kept by the server, and one that is stopped or cut off keeps nothing.
    """

    answer_within: float = math.inf
    failure: psycopg.Error | None = None

    @classmethod
    def connect(cls, *arguments: Any, **options: Any) -> Any:
        """Connect; why that fails is noted, since the pool only says that time is over."""
        try:
            return super().connect(*arguments, **options)
        except psycopg.Error as error:
            cls.failure = error
            raise

    def wait(self, gen: PQGen[_T], *arguments: Any, **options: Any) -> _T:
        """Wait for what the server says, for so long."""
        bounded = _bounded(gen, time.monotonic() + self.answer_within)
        try:
            return super().wait(bounded, *arguments, **options)
        except NoAnswerError:
            # What the server says later would be taken for the answer to something else.
            self.pgconn.finish()
            raise


def _bounded(gen: PQGen[_T], deadline: float) -> PQGen[_T]:
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() > deadline:
                msg = "the server does not answer"
                raise NoAnswerError(msg)
            wanted = gen.send(ready)
    except StopIteration as stop:
        return cast("_T", stop.value)


class Connections:
    """A process's connections to one database, opened when they are needed.

    Safe to use from several threads; a fork's child opens its own.

    Args:
        settings: which database.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._mutex = threading.Lock()
        self._pool: ConnectionPool[Connection] | None = None
        self._closed = False
        tell_of_forks(self)

    def run(self, what: str, work: Callable[[Connection], _T]) -> _T:
        """Do *work* with a connection; once more with a new one if the old one turns out dead.

        Args:
            what: what is done, for messages: "store turn 3".
            work: it must be idempotent, since what was lost may be the answer alone.

        Raises:
            StorageError: the server is down, hangs or refuses.
        """
        try:
            try:
                return self._once(work)
            except _LostError:
                return self._once(work)
        except psycopg.Error as error:
            failure = error
        # Out here, where the driver's error is no context any more: if it tells a secret, it is
        # not the cause either.
        told = str(failure)
        said = self.settings.without_secrets(told)
        lines = said.strip().splitlines() or [type(failure).__name__]
        msg = f"cannot {what}: PostgreSQL at {self.settings.place}: {lines[0]}"
        raise StorageError(msg) from (failure if said == told else None)

    def close(self) -> None:
        """Give all connections back, for good; idempotent."""
        with self._mutex:
            self._closed = True
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    def _once(self, work: Callable[[Connection], _T]) -> _T:
        pool = self._open_pool()
        try:
            connection = pool.getconn()
        except (PoolClosed, PoolTimeout) as error:
            self._drop(pool)
            raise (pool.connection_class.failure or error) from None
        try:
            return work(connection)
        except psycopg.Error as error:
            if connection.closed and not isinstance(error, NoAnswerError):
                # The others have most likely died of the same.
                self._drop(pool)
                raise _LostError(*error.args) from error
            raise
        finally:
            if connection.pgconn.transaction_status != TransactionStatus.IDLE:
                with contextlib.suppress(psycopg.Error):
                    connection.rollback()
            pool.putconn(connection)

    def _open_pool(self) -> ConnectionPool[Connection]:
        with self._mutex:
            if self._closed:
                msg = "the storage was closed"
                raise StorageError(msg)
            if self._pool is None or self._pool.closed:
                self._pool = self._new_pool()
            return self._pool

    def _new_pool(self) -> ConnectionPool[Connection]:
        settings = self.settings
        within = settings.statement_timeout + _GRACE
        own = type("Connection", (Connection,), {"answer_within": within})
        return ConnectionPool(
            connection_class=cast("type[Connection]", own),
            # By a function: arguments would stand in the tracebacks of whoever shows locals.
            kwargs=lambda: {**settings.server, "autocommit": True, "prepare_threshold": 2},
            configure=lambda connection: _configure(connection, settings),
            min_size=0,
            max_size=settings.max_connections,
            max_idle=IDLE_SECONDS,
            timeout=_connect_timeout(settings) + within,
            reconnect_timeout=0,
            reconnect_failed=_give_up,
            num_workers=2,
            name=_POOL_NAME,
            open=True,
        )

    def _drop(self, pool: ConnectionPool[Connection]) -> None:
        with self._mutex:
            if self._pool is pool:
                self._pool = None
        _give_up(pool)

    def after_fork(self) -> None:
        """See `caw_storage_postgres.forks.ForkAware`."""
        if self._pool is not None:
            # Closing it would end the parent's connections; its threads are not here.
            _inherited.append(self._pool)
        self._pool = None
        self._mutex = threading.Lock()


class _LostError(psycopg.OperationalError):
    """The connection died before its answer came."""


def _configure(connection: Connection, settings: Settings) -> None:
    milliseconds = [
        str(int(1000 * seconds))
        for seconds in (
            settings.statement_timeout,
            settings.lock_timeout,
            settings.statement_timeout,
        )
    ]
    connection.execute(_CONFIGURE, (*milliseconds, settings.synchronous_commit))


def _connect_timeout(settings: Settings) -> float:
    with contextlib.suppress(ValueError):
        # libpq takes less than two seconds for two, and nothing for no limit.
        return max(2.0, float(settings.server["connect_timeout"] or 0))
    return 2.0


def _give_up(pool: ConnectionPool[Any]) -> None:
    """Close a pool that cannot connect, so that nobody waits for it in vain.

    In a thread of its own, since it is called by one of the pool's, which closing waits for.
    """
    closing = threading.Thread(target=pool.close, name="caw-postgres-close", daemon=True)
    # At the end of the interpreter there are no new threads, and the pool ends by itself.
    with contextlib.suppress(RuntimeError):
        closing.start()


_inherited: list[object] = []
"""Pools of the process that this one was forked from; ending them would end its connections."""


def _is_not_ours(record: logging.LogRecord) -> bool:
    arguments = record.args if isinstance(record.args, tuple) else ()
    return not any(isinstance(each, Connection) or each == _POOL_NAME for each in arguments)


# What is wrong stands in the error that is raised; the pool would print it too, and twice.
logging.getLogger("psycopg.pool").addFilter(_is_not_ours)
