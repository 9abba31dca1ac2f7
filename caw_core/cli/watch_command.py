"""``caw watch``: what a session does that runs elsewhere."""

from __future__ import annotations

from typing import Any

import click

from caw_core.cli.record_options import open_store, record_options
from caw_core.cli.session_names import find_session
from caw_core.cli.turn_lines import print_line
from caw_core.cli.turn_screen import TurnScreen
from caw_core.events import TurnEnded, TurnStarted
from caw_core.serialize import event_to_dict
from caw_core.watching import Gap


@click.command("watch")
@click.argument("session")
@click.option("--from", "cursor", default="", help="Begin after this event, as --json names it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per event.")
@click.option("-q", "--quiet", is_flag=True, help="Only the answers and warnings.")
@record_options[0]
@record_options[1]
def command(session: str, *, cursor: str, as_json: bool, quiet: bool, **given: Any) -> None:
    """Follow a session that runs in another process until it ends.

    SESSION is its id, at least four characters of the id's beginning, or "last". Ctrl-C ends the
    watching; the session goes on.
    """
    store = open_store(given)
    watch = store.watch(find_session(store, session), cursor)
    screen = TurnScreen(stream=True, quiet=quiet)
    saw_any = False
    try:
        for each in watch:
            saw_any = True
            if as_json:
                _print(each)
            elif isinstance(each, Gap):
                screen.warn("some events are not to be had any more; 'caw show' tells their result")
            elif isinstance(each.event, TurnStarted):
                screen.begin("the agent")
            elif isinstance(each.event, TurnEnded):
                screen.close()
                screen.say(f"turn {each.turn}: {each.event.status}")
            else:
                screen.show(each.event)
        if not saw_any:
            screen.say("it has ended, and its events are gone; 'caw show' tells what happened")
    finally:
        screen.close()


def _print(each: Any) -> None:
    if isinstance(each, Gap):
        turn, number = each.before
        print_line({"type": "gap", "after": each.after, "before": f"{turn}.{number}"})
    else:
        place = {"cursor": each.cursor, "turn": each.turn, "number": each.number}
        print_line({**event_to_dict(each.event), **place})
