"""A small program beside the host that ends the host's agents when the host is killed.

Run as ``python -I -S reaper.py HOST_PID MARKER HOST_FILE``; imports nothing but the standard
library. It reads ``+PGID`` and ``-PGID`` lines from stdin. When stdin ends, or its parent is no
longer HOST_PID (a fork of the host may hold the pipe open), it ends all groups that it still knows,
then whatever carries the host's marker, removes the host's file, and exits. A parent-death signal
cannot do this: it is tied to the *thread* that started the program, and reaches no grandchild.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from pathlib import Path

POLL_SECONDS = 1.0
GRACE_SECONDS = 1.0


def watch(host_pid: int) -> set[int]:
    """Keep the list of groups until the host is gone; return what is on it then."""
    groups: set[int] = set()
    pending = b""
    while True:
        readable, _, _ = select.select([0], [], [], POLL_SECONDS)
        if readable:
            data = os.read(0, 65536)
            if not data:
                return groups
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                change = groups.add if line[:1] == b"+" else groups.discard
                change(int(line[1:]))
        if os.getppid() != host_pid:
            return groups


def end(groups: set[int]) -> None:
    """Ask all groups to end, then make them."""
    for number, grace in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGKILL, 0.0)):
        for pgid in groups:
            try:
                os.killpg(pgid, number)
            except OSError:
                continue
        if groups:
            time.sleep(grace)


def main() -> None:
    """Watch, then clean up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    host_pid, marker, host_file = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    end(watch(host_pid))
    # Run as a script in isolated mode: the package is not importable, its folder is.
    sys.path.insert(0, str(Path(__file__).parent))
    from group import kill_marked  # type: ignore[import-not-found,unused-ignore]

    kill_marked(marker)
    host_file.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
