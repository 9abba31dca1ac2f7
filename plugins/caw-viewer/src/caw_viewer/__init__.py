"""Recorded sessions in a browser, on this machine.

    from caw_viewer import start_viewer_server

    with start_viewer_server("sqlite:///sessions.db") as server:
        print(server.url)

``caw viewer`` does the same from the command line.
"""

from __future__ import annotations

from caw_viewer.server import ViewerServer, start_viewer_server

__all__ = ["ViewerServer", "__version__", "start_viewer_server"]

__version__ = "0.1.0"
