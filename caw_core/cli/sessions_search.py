"""``caw sessions search``: turns by words."""

from __future__ import annotations

from typing import Any

import click

from caw_core.cli.option_types import ProviderNames
from caw_core.cli.record_options import open_store, record_options
from caw_core.cli.tables import print_table
from caw_core.cli.turn_lines import print_line
from caw_core.display.plain import one_line, plain
from caw_core.storage import SearchQuery


@click.command("search")
@click.argument("words", nargs=-1, required=True)
@click.option("-n", "--limit", type=click.IntRange(1), default=20, show_default=True)
@click.option(
    "-p",
    "--provider",
    type=ProviderNames(),
    metavar="NAME",
    help="Only sessions with this one.",
)
@click.option("--cursor", default="", help="Go on where an earlier search ended.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@record_options[0]
@record_options[1]
def search(
    words: tuple[str, ...],
    *,
    limit: int,
    provider: str | None,
    cursor: str,
    as_json: bool,
    **given: Any,
) -> None:
    """Find turns in whose prompt or answer all WORDS occur."""
    query = SearchQuery(text=" ".join(words), limit=limit, provider=provider or "", cursor=cursor)
    page = open_store(given).search(query)
    if as_json:
        for hit in page.hits:
            print_line(
                {
                    "type": "hit",
                    "session_id": hit.info.session_id,
                    "provider": hit.info.provider,
                    "turn": hit.turn,
                    "snippet": hit.snippet,
                }
            )
        print_line({"type": "page", "next_cursor": page.next_cursor})
        return
    rows = [(hit.info.session_id, str(hit.turn), one_line(hit.snippet, 200)) for hit in page.hits]
    print_table(("ID", "TURN", "TEXT"), rows, cut=True)
    if not rows:
        click.echo("no turn found", err=True)
    if page.next_cursor:
        click.echo(plain(f"more with: --cursor {page.next_cursor}"), err=True)
