"""What a provider is to the core: the requests it gets and the session that it hands back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import attrs

from caw_core.agent_turns import AgentTurns
from caw_core.deadlines import Deadlines
from caw_core.errors import ConfigError
from caw_core.permissions import PermissionDesk
from caw_core.tools import ToolGroup
from caw_core.trajectory import Support, Trajectory

if TYPE_CHECKING:
    from caw_core.attachments import Attachment
    from caw_core.events import Event
    from caw_core.mcp import McpServer

API_VERSION = "1.0"
"""The plugin contract's version, which every plugin repeats as ``caw_api``; majors must agree."""

Permissions = Literal["read-only", "ask", "auto-edit", "full"]
"""What the agent may do without being asked.

``read-only``: read and search. ``ask``: everything else needs a yes, and with nobody to ask the
answer is no. ``auto-edit``: change files in its folder, run commands inside a sandbox where the
agent has one. ``full``: anything that the user may do.
"""


def _check_prompt(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    from caw_core.attachments import Attachment

    fits, what = {
        "text": (isinstance(value, str), "a str"),
        "attachments": (
            isinstance(value, tuple | list) and all(isinstance(a, Attachment) for a in value),
            "a tuple of Attachment",
        ),
        "output_schema": (value is None or isinstance(value, Mapping), "a JSON Schema as mapping"),
        "commands": (isinstance(value, bool), "True or False"),
    }[attribute.name]
    if not fits:
        msg = f"a prompt's {attribute.name} is {what}, not {type(value).__name__}"
        raise ConfigError(msg)


@attrs.frozen(kw_only=True)
class Prompt:
    """What is sent to the agent.

    Attributes:
        text: reaches the model verbatim, also where it begins with ``/`` or holds ``@path``.
        attachments: images and files that go with it.
        output_schema: a JSON Schema that the answer must satisfy, for providers with the
            capability ``structured``; they yield a `caw_core.events.StructuredDone`.
        commands: let the agent treat the text as its own user interface would: slash commands run,
            ``@path`` reads the file.
    """

    text: str = attrs.field(validator=_check_prompt)
    attachments: tuple[Attachment, ...] = attrs.field(default=(), validator=_check_prompt)
    output_schema: Mapping[str, Any] | None = attrs.field(default=None, validator=_check_prompt)
    commands: bool = attrs.field(default=False, validator=_check_prompt)


@attrs.frozen(kw_only=True)
class ModelInfo:
    """A model that the agent offers.

    Attributes:
        name: what `caw_core.Agent` takes as ``model``.
        description: one line for people.
        is_default: the agent takes it unless told otherwise.
        efforts: the reasoning efforts that it knows, in the agent's words.
    """

    name: str
    description: str = ""
    is_default: bool = False
    efforts: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class NativeSession:
    """A conversation in the agent's own store, e.g. one from its own user interface.

    Attributes:
        provider: the provider's name.
        resume_key: what continues it; a secret.
        cwd: the folder in which it was held.
        title: what it is about: the agent's own title, else the beginning of the first prompt.
        updated_at: when something last happened in it, ISO 8601 with offset.
        path: the file that holds it, where it is one; its name may hold the key.
        env: the variables with which it was found.
    """

    provider: str
    resume_key: str = attrs.field(repr=False)
    cwd: str = ""
    title: str = ""
    updated_at: str = ""
    path: str = attrs.field(default="", repr=False)
    env: Mapping[str, str | None] = attrs.field(factory=dict, repr=lambda env: repr(sorted(env)))


@attrs.frozen(kw_only=True)
class OptionSupport:
    """How a provider honours an option: ``native``, ``emulated`` (say how) or ``unsupported``."""

    support: Support
    how: str = ""


NATIVE = OptionSupport(support="native")


@attrs.frozen(kw_only=True)
class Readiness:
    """Whether a provider could start a session now, found out without network and without cost.

    Attributes:
        ready: the program is there and credentials were seen (or none are needed).
        detail: one line for people: the version, or what is missing.
        hint: what to do about it, e.g. a command.
        program_path: the program that would be started.
        version: its version, where that is known without starting anything slow.
        tested_versions: the range of versions that the provider was tested with, for people.
        tested: whether ``version`` is in it; None if that is not known.
        credentials: what was seen of credentials, e.g. ``"OPENAI_API_KEY"`` or ``"auth.json"``;
            never a value.
        credentials_path: the file that holds them, where it is one.
        credentials_expire_at: when the login runs out unless the agent renews it, which most do by
            themselves when they next run; None if it does not, or cannot be seen.
    """

    ready: bool
    detail: str = ""
    hint: str = ""
    program_path: str = ""
    version: str = ""
    tested_versions: str = ""
    tested: bool | None = None
    credentials: str = ""
    credentials_path: str = ""
    credentials_expire_at: datetime | None = None

    @property
    def credentials_expired(self) -> bool | None:
        """Whether the login has run out, if it is not renewed; None if that is not known."""
        moment = self.credentials_expire_at
        return None if moment is None else moment <= datetime.now(UTC)


@attrs.frozen(kw_only=True)
class ProviderInfo:
    """What a provider says about itself.

    Attributes:
        name: its canonical name, which handles and records carry; aliases share it.
        description: one line for ``caw providers``.
        capabilities: what it can do beyond one turn after another: ``resume``, ``interrupt``,
            ``streaming``, ``tools``, ``thinking``, ``usage``, ``interactive``, ``steer``, ``fork``,
            ``set_model``, ``models``, ``structured``, ``images``, ``files``, ``permissions``,
            ``tool_output`` (while the tool runs), ``plans``, ``file_changes``, ``agent_turns``
            (it tells of turns that the agent begins by itself);
            ``record_resume``: it resumes from the record alone, whatever the key; ``restart``: its
            sessions start a program that has ended again by themselves, with the next prompt;
            ``import_history``: a new session can begin with `StartRequest.history`.
        history: what its model sees of a history that it is given so, or of a record that it
            resumes from, besides prompts and answers: some of ``tool_calls``, ``thinking`` and
            ``images``.
        options: support for the options of `caw_core.Agent`, by name; one not named is unsupported.
        extra_options: options of this provider alone (``Agent(options={…})``), name to description.
        tiers: the model for each `caw_core.tools.ModelTier`, by its value, unless the user has set
            another one; see `caw_core.model_config`.
        tier_variables: for a tier, the variable of the agent's own that names a model for that
            purpose, such as ``{"strongest": "ANTHROPIC_MODEL"}``; if set, it counts before `tiers`.
        program: the program that it drives, ``""`` for none.
        install_hint: how to get that program.
        auto: whether ``Agent()`` without a provider may take it: ``agent`` yes, in the order of
            names; ``fallback`` only when nothing else is ready; ``never``.
    """

    name: str
    description: str = ""
    capabilities: frozenset[str] = frozenset()
    options: Mapping[str, OptionSupport] = attrs.field(factory=dict)
    extra_options: Mapping[str, str] = attrs.field(factory=dict)
    tiers: Mapping[str, str] = attrs.field(factory=dict)
    tier_variables: Mapping[str, str] = attrs.field(factory=dict)
    history: frozenset[str] = frozenset()
    program: str = ""
    install_hint: str = ""
    auto: Literal["agent", "fallback", "never"] = "agent"


@attrs.frozen(kw_only=True)
class StartRequest:
    """Everything that a provider needs to open a new session.

    Attributes:
        session_id: caw's id; a provider may use it as its own, it need not.
        cwd: the folder in which the agent works, absolute and existing.
        model: the model's name; None for the agent's default.
        reasoning: the effort, in the provider's own words; None for its default.
        system_prompt: holds on every turn, also after a resume; ``""`` for none.
        permissions: see `Permissions`. A provider may grant less, never more.
        temperature: sampling temperature; None for the default.
        max_tokens: bound on the tokens that the model writes per answer; None for the default.
        env: variables to add to (or, with None, take from) the environment of the program.
        options: this provider's own options, already checked against `ProviderInfo.extra_options`.
        deadlines: the provider bounds its own waiting (handshake, stop) by them.
        keep_raw: yield a `caw_core.events.RawOutput` for each line that the program writes.
        tools: the kinds of tools that the agent may have, as an allow-list; None for all.
        additional_dirs: folders besides ``cwd`` that the agent may work in, absolute.
        mcp_servers: tool servers for this session, references already replaced.
        max_turns: bound on the model calls in one turn; None for the agent's own.
        permission_desk: where requests for permission are brought; never widens ``permissions``.
        agent_turns: where a turn is announced that the agent begins by itself.
        history: the conversation that a new session begins with, which may be another provider's;
            None but for a provider with the capability ``import_history``. Each of its tool calls
            has a result.
    """

    session_id: str
    cwd: Path
    model: str | None = None
    reasoning: str | None = None
    system_prompt: str = ""
    permissions: Permissions = "auto-edit"
    temperature: float | None = None
    max_tokens: int | None = None
    env: Mapping[str, str | None] = attrs.field(factory=dict, repr=lambda env: repr(sorted(env)))
    options: Mapping[str, Any] = attrs.field(factory=dict)
    deadlines: Deadlines = Deadlines()
    keep_raw: bool = False
    tools: ToolGroup | None = None
    additional_dirs: tuple[Path, ...] = ()
    mcp_servers: tuple[McpServer, ...] = ()
    max_turns: int | None = None
    permission_desk: PermissionDesk = attrs.field(
        factory=lambda: PermissionDesk(None),
        repr=False,
        eq=False,
    )
    agent_turns: AgentTurns = attrs.field(factory=AgentTurns, repr=False, eq=False)
    history: Trajectory | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class ResumeRequest(StartRequest):
    """A `StartRequest` for a conversation that exists.

    Attributes:
        resume_key: the provider's own key, not empty and not beginning with ``-``.
        trajectory: the record so far, or None where no storage has it. Options that the caller
            left open are already filled in from it, and tool calls without a result have one; see
            `caw_core.history.repaired`.
    """

    resume_key: str = attrs.field(repr=False)
    trajectory: Trajectory | None = None


@runtime_checkable
class ProviderSession(Protocol):
    """One conversation with an agent. The core calls `prompt` for one turn at a time."""

    @property
    def resume_key(self) -> str | None:
        """What continues the conversation in another process; None until the agent gave it."""

    def prompt(self, prompt: Prompt) -> Iterator[Event]:
        """Send *prompt* and yield what happens until the agent stops.

        Runs in a thread of its own. Raise a `caw_core.errors.ProviderError` when the turn fails;
        the session should stay usable where the agent's does.
        """

    def interrupt(self) -> None:
        """Make the running `prompt` end soon (``TurnEnded(stop_reason="cancelled")``).

        Called from any thread, also when nothing runs; must not block for long.
        """

    def close(self) -> None:
        """Let go of everything; idempotent, bounded in time, called from any thread."""


class SteerableSession(Protocol):
    """What a session of a provider with the capability ``steer`` has besides."""

    def steer(self, prompt: Prompt) -> bool:
        """Deliver *prompt* into the running turn, from any thread; False if it came too late."""


class ForkableSession(Protocol):
    """What a session of a provider with the capability ``fork`` has besides."""

    def fork(self, request: StartRequest) -> ProviderSession:
        """Open an independent session that begins with this one's history.

        Called between turns. Raises as `start_session` does.
        """


class ModelChoosingSession(Protocol):
    """What a session of a provider with the capabilities ``models`` and ``set_model`` has."""

    def models(self) -> list[ModelInfo]:
        """Return the models that the agent offers; spends nothing."""

    def set_model(self, model: str | None, reasoning: str | None) -> None:
        """Use another model from the next turn on; None keeps what is."""
