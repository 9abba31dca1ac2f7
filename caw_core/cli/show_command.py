"""``caw show``: what happened in a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from caw_core.cli.published import published
from caw_core.cli.record_options import open_store, record_options
from caw_core.cli.session_names import find_session
from caw_core.cli.trajectory_screen import TrajectoryScreen
from caw_core.cli.turn_lines import print_line
from caw_core.errors import ConfigError
from caw_core.serialize import trajectory_to_dict, turn_to_dict

if TYPE_CHECKING:
    from caw_core.trajectory import Trajectory, Turn


@click.command("show")
@click.argument("session")
@click.option("--turn", "index", type=int, help="Only this turn; the first is 0, the last is -1.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole record as one JSON line.")
@record_options[0]
@record_options[1]
def command(session: str, *, index: int | None, as_json: bool, **given: Any) -> None:
    """Show what happened in a session.

    SESSION is its id, at least four characters of the id's beginning, or "last".
    """
    store = open_store(given)
    session_id = find_session(store, session)
    trajectory = store.load(session_id)
    if trajectory is None:
        msg = f"session {session_id!r} was deleted meanwhile"
        raise ConfigError(msg)
    turn = None if index is None else _turn(trajectory, index)
    if as_json:
        shown = trajectory_to_dict(trajectory) if turn is None else turn_to_dict(turn)
        print_line(published(shown))
    elif turn is None:
        TrajectoryScreen().show(trajectory)
    else:
        TrajectoryScreen().show_turn(turn)


def _turn(trajectory: Trajectory, index: int) -> Turn:
    try:
        return trajectory.turns[index]
    except IndexError:
        count = trajectory.num_turns
        msg = f"session {trajectory.session_id!r} has no turn {index}: it has {count}"
        raise ConfigError(msg) from None
