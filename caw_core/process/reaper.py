"""A small program beside the host that ends the host's agents when the host is killed.

Run as ``python -I -S reaper.py HOST_PID MARKER HOST_FILE``; imports nothing but the standard
library. It reads ``+PGID`` and ``-PGID`` lines from stdin. When stdin ends, or its parent is no
longer HOST_PID (a fork of the host may hold the pipe open), it ends all groups that it still knows,
then whatever carries the host's marker, removes the host's file, and exits. A parent-death signal
cannot do this: it is tied to the *thread* that started the program, and reaches no grandchild.
"""

from __future__ import annotations

import importlib
import os
import select
import signal
import sys
import time
from pathlib import Path
from types import ModuleType

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


def end(group: ModuleType, groups: set[int], marker: str) -> None:
    """Ask all groups to end, then make them and all that carries the marker.

    Args:
        group: the module `caw_core.process.group`.
        groups: their numbers.
        marker: the host's.
    """
    left = {pgid for pgid in groups if group.signal_group(pgid, signal.SIGTERM)}
    deadline = time.monotonic() + GRACE_SECONDS
    while left and time.monotonic() < deadline:
        time.sleep(0.01)
        left = {pgid for pgid in left if group.signal_group(pgid, 0)}
    for pgid in left:
        group.signal_group(pgid, group.KILL)
    group.kill_marked(marker)


def main() -> None:
    """Watch, then clean up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    host_pid, marker, host_file = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    # Run as a script in isolated mode: the package is not importable, its folder is. Now and not
    # when it is needed, since an update may have replaced the files by then.
    sys.path.insert(0, str(Path(__file__).parent))
    group = importlib.import_module("group")
    end(group, watch(host_pid), marker)
    host_file.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
