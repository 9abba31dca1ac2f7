"""The menu of the agents that are installed and have an interface of their own."""

from __future__ import annotations

import functools
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import attrs

from caw_core.errors import CawError, NotReadyError
from caw_core.terminal.menu import choose

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_core.chosen_plugins import ChosenPlugins
    from caw_core.plugins import AgentPlugins
    from caw_core.terminal.ending import Ending

log = logging.getLogger("caw.agent")


@attrs.frozen(kw_only=True)
class _Found:
    plugins: AgentPlugins
    program_path: str
    hint: str


def pick_provider(chosen: ChosenPlugins, ending: Ending) -> AgentPlugins | None:
    """Let the user choose an agent; whether it is logged in, it says itself.

    Args:
        chosen: the agent's plugins; its own provider, if it is there, is where the choice begins.
        ending: by which another thread cancels it.

    Returns:
        The provider's plugins; None if the user chose none.

    Raises:
        NotReadyError: there is none to choose from; the message says how to get one.
    """
    interactive = list(_with_interface(chosen))
    with ThreadPoolExecutor(max_workers=max(1, len(interactive))) as pool:
        # Each starts a program to ask for its version.
        found = list(pool.map(functools.partial(_look_for, chosen), interactive))
    there = [one for one in found if one.program_path]
    if not there:
        hints = "; ".join(one.hint for one in found if one.hint)
        msg = "no agent with a user interface of its own is installed. "
        raise NotReadyError(msg + (hints or "Install one, e.g.: pip install caw-core[claude]"))
    first = chosen.order[0].name if chosen.order else ""
    own = [place for place, one in enumerate(there) if one.plugins.answers_to(first)]
    names = [one.plugins.info.name for one in there]
    width = max(map(len, names))
    labels = [f"{one.plugins.info.name:{width}}  {one.plugins.info.description}" for one in there]
    place = choose("Which agent?", labels, default=own[0] if own else 0, ending=ending)
    return None if place is None else there[place].plugins


def _with_interface(chosen: ChosenPlugins) -> Iterator[AgentPlugins]:
    for name in chosen.installed:
        try:
            plugins = chosen.named(name)
            if "interactive" in plugins.info.capabilities:
                yield plugins
        except CawError as error:
            log.warning("provider %r is left out: %s", name, error)


def _look_for(chosen: ChosenPlugins, plugins: AgentPlugins) -> _Found:
    own = chosen.settings_for(plugins).settings
    try:
        readiness = plugins.check_ready(own.given.get("env", {}), own.extra)
    except CawError as error:
        log.warning("provider %r is left out: %s", plugins.info.name, error)
        return _Found(plugins=plugins, program_path="", hint=str(error))
    hint = readiness.hint or plugins.info.install_hint
    return _Found(plugins=plugins, program_path=readiness.program_path, hint=hint)
