"""Begins a process of `caw_core.terminal.beside.Beside`.

Run as ``python -I -S beside_main.py FD``. The first line that comes over the socket FD says which
module of this package is meant, and what can be imported.
"""

from __future__ import annotations

import importlib
import json
import socket
import sys

CHUNK = 65536


def main() -> None:
    """Read the first line and call the module's ``run`` with it."""
    control = socket.socket(fileno=int(sys.argv[1]))
    told = b""
    while b"\n" not in told:
        data = control.recv(CHUNK)
        if not data:
            # The host is gone.
            return
        told += data
    line, _, rest = told.partition(b"\n")
    first = json.loads(line)
    sys.path[:] = first.pop("path")
    module = importlib.import_module(first.pop("module"))
    # There is only one thing that the host can say after that.
    module.run(control, first, ended=bool(rest))


if __name__ == "__main__":
    main()
