"""Every module can be imported where POSIX's own modules and functions are missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ["caw_core", *sorted(path.name for path in ROOT.glob("plugins/*/src/*/"))]

POSIX_ONLY = [
    "caw_core.terminal.keeper",  # a program, which is started where there are terminals alone
    "caw_testkit.interactive_host",
    "caw_testkit.terminal",
]

PROGRAM = """
import importlib, pkgutil, sys
# The standard library's own use of what is taken away below.
import asyncio, ctypes, logging.handlers, multiprocessing, os, select, signal, subprocess, time
import concurrent.futures, http.server, platform, shutil, socketserver, tarfile, tempfile, uuid
import getpass, webbrowser, zipfile
import platformdirs  # takes getuid at import where it is not on Windows
import mcp.server  # takes fcntl likewise

POSIX_ONLY = sys.argv.pop(1).split()
for name in ("fcntl", "grp", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty"):
    sys.modules[name] = None
for module, names in {
    os: "fchmod fchown fork forkpty getegid geteuid getgid getpgid getpgrp getsid getuid kill"
    " killpg mkfifo openpty pidfd_open posix_spawn register_at_fork setpgid setsid sysconf uname"
    " wait waitid WEXITED WNOHANG WNOWAIT O_CLOEXEC O_DIRECTORY O_NOFOLLOW O_NONBLOCK P_PID",
    select: "kqueue",
    signal: "SIGALRM SIGCHLD SIGCONT SIGHUP SIGKILL SIGPIPE SIGQUIT SIGSTOP SIGTSTP SIGUSR1 SIGUSR2"
    " SIGWINCH alarm pause pidfd_send_signal pthread_kill pthread_sigmask setitimer sigwait",
    time: "CLOCK_BOOTTIME CLOCK_MONOTONIC clock_gettime tzset",
}.items():
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)

for package in sys.argv[1:]:
    found = importlib.import_module(package)
    for module in pkgutil.walk_packages(found.__path__, package + "."):
        try:
            if not module.name.endswith((".__main__", *POSIX_ONLY)):
                importlib.import_module(module.name)
        except Exception as error:
            print(f"{module.name}: {error!r}")
"""


def test_every_module_can_be_imported_without_posix() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, " ".join(POSIX_ONLY), *PACKAGES],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("", "")
