"""Which agent answers a run, so that it can do what the caller allows and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from caw_core.errors import ConfigError, UnsupportedError
from caw_core.json_fields import mapping, text
from caw_provider_opencode import run_agent
from caw_provider_opencode.errors import NAME
from caw_provider_opencode.readiness import data_folder

if TYPE_CHECKING:
    from caw_core.provider import StartRequest
    from caw_provider_opencode.run_files import RunFiles
    from caw_provider_opencode.run_inspect import Held, Inspector


@attrs.frozen(kw_only=True)
class Chosen:
    """The agent, ``""`` for opencode's own choice, and the user's tool servers where known."""

    name: str = ""
    servers: tuple[str, ...] = ()


def choose_agent(
    inspector: Inspector,
    files: RunFiles,
    request: StartRequest,
    held: Held | None,
    *,
    says_yes: bool,
) -> Chosen:
    """Choose the agent that answers, and make it where it needs rules of its own.

    Args:
        inspector: asks opencode about its agents.
        files: the settings of the runs, to which an agent may be added.
        request: what the caller wants.
        held: the conversation that is continued.
        says_yes: opencode itself can say yes to whatever its rules want to have asked.

    Raises:
        ConfigError: there is no such agent.
        ProviderError: opencode did not answer, or not in time.
        UnsupportedError: this opencode, or the conversation, cannot be held to what is allowed.
    """
    full = request.permissions == "full"
    keeps_rules = held is not None and not run_agent.keeps_denials_only(held.rules)
    as_it_is = full and request.tools is None and says_yes and not keeps_rules
    wanted = str(request.options.get("agent", ""))
    last = held.agent.removeprefix(run_agent.PREFIX) if held else ""
    if as_it_is and not wanted:
        # opencode takes its default one where this one is gone.
        return Chosen(name=last)
    env = files.environment(inspector.folder)
    settings = inspector.settings(env)
    servers = tuple(mapping(settings, "mcp"))
    names = [wanted] if wanted else [last, text(settings, "default_agent") or "build"]
    for name in filter(None, names):
        agent = inspector.agent(name, env)
        if agent is not None and run_agent.can_talk(agent):
            break
    else:
        msg = f"opencode has no agent {names[-1]!r} to talk to"
        raise ConfigError(msg)
    if as_it_is:
        return Chosen(name=name, servers=servers)
    rules = run_agent.allowed_rules(agent, request, str(data_folder(env)), servers)
    if keeps_rules and held and not run_agent.holds_already(held.rules, rules, full=full):
        msg = (
            "the conversation was held over opencode's server with other permissions or tools, "
            "which opencode run cannot change; resume it with those, or over the server"
        )
        raise UnsupportedError(msg, provider=NAME, options=("permissions", "tools"))
    name = run_agent.PREFIX + name
    own = run_agent.rule_settings(rules, full=full)
    files.add_agent(name, run_agent.agent_settings(agent, own))
    resolved = inspector.agent(name, files.environment(inspector.folder))
    if resolved is None or not run_agent.is_in_force(resolved, own):
        msg = (
            f"this opencode run cannot be told permissions={request.permissions!r} with the "
            "settings that it has; use opencode's server"
        )
        raise UnsupportedError(msg, provider=NAME, options=("permissions",))
    return Chosen(name=name, servers=servers)
