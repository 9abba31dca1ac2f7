"""``caw viewer``: recorded sessions in a browser."""

from __future__ import annotations

import signal
import threading
import webbrowser
from pathlib import Path
from typing import Any

import click

from caw_core.cli.record_options import record_options, urls_to_read
from caw_viewer.server import start_viewer_server


@click.command("viewer")
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("-h", "--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option(
    "-p", "--port", type=click.IntRange(0, 65535), default=0, help="Likewise. Default: a free one."
)
@click.option("--open", "open_it", is_flag=True, help="Open it in a browser.")
@record_options[0]
@record_options[1]
def command(files: tuple[Path, ...], *, host: str, port: int, open_it: bool, **given: Any) -> None:
    """Show recorded sessions in a browser, until Ctrl-C.

    FILES are documents to show instead: caw's, the older wrapper's trajectory.json, or ATIF; others
    can be opened on the page by their path. The address that is printed holds a key: whoever has
    it can read what you can.
    """
    chosen = bool(given["data_dir"] or given["storage"])
    urls = urls_to_read(given) if chosen or not files else []
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    with start_viewer_server(*urls, *files, host=host, port=port, any_file=True) as server:
        click.echo(server.url)
        click.echo("Ctrl-C ends it.", err=True)
        if open_it:
            webbrowser.open(server.url)
        stopped.wait()
