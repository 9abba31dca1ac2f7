"""The viewer, by the wrapper's function; caw-viewer is the one that runs.

The wrapper's gave out any JSON file to everybody who could reach it. This one shows trajectories,
on this machine, to whoever has its address.
"""

from __future__ import annotations

import caw_viewer
from caw_viewer import ViewerServer

__all__ = ["ViewerServer", "start_viewer_server"]


def start_viewer_server(
    host: str | None = None, port: int | None = None, *sources: object
) -> ViewerServer:
    """Show trajectories in a browser; files can be opened on the page by their path.

    Args:
        host: where to listen; default this machine alone.
        port: default any that is free.
        *sources: files and storages to list, as `caw_viewer.start_viewer_server` takes them.

    Raises:
        ValueError: there is no such source, or nobody can listen there.
    """
    return caw_viewer.start_viewer_server(
        *sources, host=host or "127.0.0.1", port=port or 0, any_file=True
    )
