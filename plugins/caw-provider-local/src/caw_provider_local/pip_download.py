"""Fetching one pinned wheel with pip, with progress, so that it can be stopped.

pip is run and not imported: its own documentation says that it has no API for programs.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from caw_core.errors import ProcessError, ProviderError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from caw_provider_local.cancellation import Cancellation

_PROGRESS = re.compile(rb"Progress (\d+) of (\d+)")
"""What ``--progress-bar raw`` prints, since pip 24.1; a total of 0 means that it is not known."""

_TAIL_LINES = 12


def download_wheel(
    requirement: str,
    folder: Path,
    *,
    on_progress: Callable[[float, float | None], None],
    cancellation: Cancellation,
    hint: str,
) -> Path:
    """Download the wheel that *requirement* pins, and nothing else.

    Which index, proxy and certificates are used is up to pip's configuration and environment.

    :param requirement: one line of a requirements file, with a hash.
    :param folder: an empty folder of our own; pip's temporary files go there too.
    :param on_progress: gets bytes so far and bytes in all, several times a second.
    :param cancellation: kills pip and all that it started.
    :param hint: what else can be done, for the error's message.
    :return: the wheel's file in *folder*.
    :raises ProcessError: pip failed; ``stderr_tail`` has its last lines.
    :raises ProviderError: there is no Python or pip to run.
    :raises CancelledError: it was cancelled.
    """
    if not sys.executable:
        message = f"there is no Python to run pip with (sys.executable is empty). {hint}"
        raise ProviderError(message, provider="local")
    requirements = folder / "requirements.txt"
    requirements.write_text(requirement + "\n", encoding="utf-8")
    wheels = folder / "wheels"
    # -P, or a pip.py in the folder would be run. --no-cache-dir, since the file is kept by us.
    command = [sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--require-hashes"]
    command += ["--only-binary=:all:", "--no-input", "--no-cache-dir", "--progress-bar=raw"]
    command += ["--disable-pip-version-check", "-r", str(requirements), "-d", str(wheels)]
    with (folder / "stderr").open("w+b") as stderr:
        process = _start(command, folder, stderr.fileno())
        with cancellation.calling(lambda: _kill(process)), process:
            # Read by pipe: if we are killed, pip ends at its next word about progress.
            for line in process.stdout or ():
                if match := _PROGRESS.match(line):
                    on_progress(int(match[1]), int(match[2]) or None)
        cancellation.check()
        if process.returncode != 0:
            stderr.seek(0)
            raise _failure(process.returncode, stderr.read().decode("utf-8", "replace"), hint)
    found = sorted(wheels.glob("*.whl"))
    if len(found) != 1:
        message = f"pip left {len(found)} wheels instead of one. {hint}"
        raise ProviderError(message, provider="local")
    return found[0]


def _start(command: list[str], folder: Path, stderr: int) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "PIP_REQUIRE_VIRTUALENV": "0",  # nothing is installed anywhere
        "PYTHONUNBUFFERED": "1",
        "TMPDIR": str(folder),
        "TEMP": str(folder),
        "TMP": str(folder),
    }
    return subprocess.Popen(  # noqa: S603 - every word of the command is ours
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        # A group of its own, so that all of it can be ended.
        start_new_session=sys.platform != "win32",
    )


def _kill(process: subprocess.Popen[bytes]) -> None:
    # Killed at once: what it would clean up lies in our folder, which goes anyway.
    if process.poll() is not None:
        return
    if sys.platform == "win32":
        process.kill()
        return
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _failure(status: int, stderr: str, hint: str) -> ProcessError:
    lines = [line for line in stderr.splitlines() if line.strip()]
    tail = "\n".join(lines[-_TAIL_LINES:])
    message = (
        f"pip could not fetch the model's weights (status {status}); its last words:\n{tail}\n"
        "If there is no network or an index of your own is needed, set pip up as for installing "
        f"packages (pip config, PIP_INDEX_URL, HTTPS_PROXY). {hint}"
    )
    return ProcessError(
        message,
        exit_code=status if status >= 0 else None,
        signal=-status if status < 0 else None,
        stderr_tail=tail,
        provider="local",
    )
