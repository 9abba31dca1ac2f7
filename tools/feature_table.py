"""The features that every agent should have, and where its provider says whether it has them.

``tools/reference_pages.py`` makes the page ``features.md`` of this; ``tests/parity`` holds a test
for each feature, marked with its name, that runs with each agent that claims it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from caw_core import default_registry
from caw_core.options import EMULATED_BY_CORE, UNSUPPORTED
from caw_core.provider import NATIVE, OptionSupport

if TYPE_CHECKING:
    from caw_core.provider import ProviderInfo

AGENTS: Final = ("claude_code", "codex", "opencode")
"""The providers that drive a coding agent's program, in the order of the columns."""


@attrs.frozen(kw_only=True)
class Feature:
    """One row. At most one of four things declares it; without any, caw has it everywhere.

    Attributes:
        name: the argument of the mark ``feature`` on its tests.
        means: what the user gets, in one line.
        option: the option of `caw_core.Agent` whose entry in `ProviderInfo.options` declares it.
        capability: the member of `ProviderInfo.capabilities` that declares it.
        fact: the field of `ProviderInfo` that is empty where it is not there.
        hook: the hook that a provider has to implement for it.
        otherwise: what there is where it is not declared.
    """

    name: str
    means: str
    option: str = ""
    capability: str = ""
    fact: str = ""
    hook: str = ""
    otherwise: OptionSupport = UNSUPPORTED

    def support(self, provider: object) -> OptionSupport:
        """Return what a provider's own declarations say about this feature."""
        info: ProviderInfo = provider.provider_info()  # type: ignore[attr-defined]  # a required hook
        if self.option:
            core = EMULATED_BY_CORE.get(self.option, UNSUPPORTED)
            return info.options.get(self.option, core)
        declared = (
            (not self.capability or self.capability in info.capabilities)
            and (not self.fact or bool(getattr(info, self.fact)))
            and (not self.hook or hasattr(provider, self.hook))
        )
        return NATIVE if declared else self.otherwise


def load_agents() -> dict[str, object]:
    """Return the providers of `AGENTS`, as they are installed here."""
    registry = default_registry()
    return {name: registry.load_provider(name) for name in AGENTS}


def _no(how: str) -> OptionSupport:
    return OptionSupport(support="unsupported", how=how)


def _by_caw(how: str) -> OptionSupport:
    return OptionSupport(support="emulated", how=how)


FEATURES: Final = (
    # What is seen of a turn.
    Feature(
        name="streaming",
        capability="streaming",
        means="text comes as the model writes it",
    ),
    Feature(name="thinking", capability="thinking", means="the model's reasoning, where it shows"),
    Feature(
        name="tool_calls",
        capability="tools",
        means="tool calls with arguments, output and outcome, in one form",
    ),
    Feature(
        name="tool_output",
        capability="tool_output",
        means="what a tool prints, while it runs",
        otherwise=_no("the output comes when the tool has ended"),
    ),
    Feature(name="plans", capability="plans", means="the agent's list of steps, as it changes"),
    Feature(
        name="file_changes",
        capability="file_changes",
        means="which files the agent changed, with the difference",
    ),
    Feature(
        name="usage",
        capability="usage",
        means="tokens of each turn; their sum is what the service charged",
    ),
    Feature(
        name="agent_turns",
        capability="agent_turns",
        means="turns that the agent begins by itself, as when a task in the background has ended",
        otherwise=_no("the agent begins none"),
    ),
    Feature(name="retries", means="what the agent tries again by itself is told, and bounded"),
    Feature(name="display", means="shown to a person as it happens, and told to a logger"),
    # Who is in charge of a turn.
    Feature(
        name="interrupt",
        capability="interrupt",
        means="a turn ends early, with all that its tools had started",
    ),
    Feature(
        name="steer",
        capability="steer",
        means="a message into the running turn; the receipt says what became of it",
        otherwise=_by_caw("queued as a turn of its own"),
    ),
    Feature(
        name="permissions",
        option="permissions",
        means="read-only, ask, auto-edit or full",
    ),
    Feature(
        name="on_permission",
        capability="permissions",
        means="a function of yours allows, denies with a reason, or allows always",
        otherwise=_no("what is asked is denied"),
    ),
    Feature(name="tools", option="tools", means="an allow-list of kinds of tools"),
    Feature(name="max_turns", option="max_turns", means="a bound on the model calls of a turn"),
    Feature(name="budget", means="a bound on the tokens or the money of a session"),
    Feature(name="max_tokens", option="max_tokens", means="a bound on the tokens of an answer"),
    # What the model is told.
    Feature(name="verbatim", means="`/help` and `@file` in a prompt reach the model as they are"),
    Feature(
        name="system_prompt",
        option="system_prompt",
        means="holds on every turn and after a resume",
    ),
    Feature(name="images", capability="images", means="images with a prompt"),
    Feature(name="files", capability="files", means="files with a prompt"),
    Feature(
        name="structured",
        capability="structured",
        means="an answer in the form of a schema, checked",
        otherwise=_by_caw("the form is described in the prompt; the answer is checked by caw"),
    ),
    # The model.
    Feature(name="model", option="model", means="a model by its name"),
    Feature(
        name="tiers",
        fact="tiers",
        means="a model by its purpose: strongest, fast",
        otherwise=_by_caw("the user says which, as with: caw config set opencode fast MODEL"),
    ),
    Feature(name="models", capability="models", means="the list of models, without a token spent"),
    Feature(name="set_model", capability="set_model", means="another model between turns"),
    Feature(name="reasoning", option="reasoning", means="the effort, on every turn"),
    Feature(name="temperature", option="temperature", means="the sampling temperature"),
    # Where it works, and with what.
    Feature(name="cwd", option="cwd", means="the folder in which the agent works"),
    Feature(name="additional_dirs", option="additional_dirs", means="more folders to work in"),
    Feature(name="env", option="env", means="variables for the agent and its commands"),
    Feature(
        name="mcp_servers",
        option="mcp_servers",
        means="tool servers on stdio and HTTP; their secrets are in no argv and no record",
    ),
    Feature(
        name="python_tools",
        option="mcp_servers",
        means="functions and toolkits in Python that the agent calls, and needs no permission for",
    ),
    Feature(
        name="subagents",
        option="mcp_servers",
        means="other agents as tools, on any provider; what they use counts once",
    ),
    # Sessions.
    Feature(
        name="resume",
        capability="resume",
        means="a session goes on in another process, with a record or without",
    ),
    Feature(
        name="fork",
        capability="fork",
        means="an independent session with the history so far",
    ),
    Feature(
        name="handoff",
        capability="import_history",
        means="the conversation goes on with this agent, whichever had it before",
        otherwise=_by_caw("the history is a bounded text in front of the first prompt"),
    ),
    Feature(
        name="provider_order",
        means="another agent takes over where this one cannot begin, before anything was done",
    ),
    Feature(
        name="find_sessions",
        hook="find_sessions",
        means="sessions of the agent's own interface are listed and taken over",
    ),
    Feature(
        name="interactive",
        capability="interactive",
        means="its own interface in the terminal, from which Python goes on",
    ),
    Feature(
        name="many_sessions",
        means="many sessions at once; codex and opencode hold 20 in one process",
    ),
    # When something is wrong.
    Feature(
        name="errors",
        means="limit, login, overload, model, context and connection: an error class each",
    ),
    Feature(name="auto_wait", means="a used-up plan is waited for, and the turn goes on"),
    Feature(
        name="health", hook="check_ready", means="program, version and login, and a live probe"
    ),
    Feature(
        name="containers",
        hook="container_credentials",
        means="this machine's login in containers, mounted and not copied",
    ),
)
"""The rows of the page, in its order."""
