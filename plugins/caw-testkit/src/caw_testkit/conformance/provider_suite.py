"""What a provider's author tells the suite: the provider, its script, and what it cannot do."""

from __future__ import annotations

import contextlib
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from caw_core import Agent, PluginRegistry
from caw_core.deadlines import Deadlines
from caw_core.errors import CawError
from caw_testkit.conformance.base import Conformance, broken
from caw_testkit.conformance.provider_recorder import Recorder, RecordingRegistry
from caw_testkit.conformance.provider_script import STEPS, ProviderScript
from caw_testkit.conformance.provider_stage import Stage
from caw_testkit.faulty_program import FaultyProgram

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from caw_core.provider import ProviderInfo

CAPABILITIES: Mapping[str, str] = MappingProxyType(
    {
        "agent_turns": "tells of turns that the agent begins by itself",
        "file_changes": "tells which files the agent changes",
        "files": "takes files with a prompt",
        "fork": "opens an independent session that begins with this one's history",
        "images": "takes images with a prompt",
        "import_history": "begins a conversation with the history of another provider's",
        "interactive": "hands the terminal to the agent's own interface",
        "interrupt": "ends a turn early, when asked",
        "models": "lists the agent's models",
        "permissions": "asks before the agent does what it may not do by itself",
        "plans": "tells the agent's plan",
        "record_resume": "continues a conversation from its record alone",
        "restart": "starts its program again by itself when that has ended",
        "resume": "continues a conversation in another process",
        "set_model": "changes the model between turns",
        "steer": "takes a message into a running turn",
        "streaming": "tells a text while it is written",
        "structured": "answers in the form of a JSON Schema",
        "thinking": "tells what the agent thinks",
        "tool_output": "tells what a tool prints while it runs",
        "tools": "tells which tools the agent calls, and their results",
        "usage": "tells what each turn used",
    },
)
"""Everything that `caw_core.provider.ProviderInfo` can declare, and what declaring it promises."""

PROOFS: Mapping[str, str] = MappingProxyType(
    {
        "agent_turns": "begin_turn",
        "file_changes": "change_file",
        "interrupt": "stall",
        "permissions": "ask_permission",
        "plans": "plan",
        "steer": "stall",
        "structured": "structured",
        "thinking": "think",
        "tool_output": "run_command",
        "tools": "call_tool",
    },
)
"""The step of the script without which a capability cannot be proved."""

WIRE = "wire"
"""In ``cannot``: the provider drives no program whose output could be spoiled."""

FRESH_PROCESS = "fresh_process"
"""In ``cannot``: the provider cannot be made in another process by its name or its class."""

DEFAULTS: Mapping[str, Any] = MappingProxyType(
    {
        "permissions": "full",
        # A hang becomes a DeadlineError, which no slow machine meets.
        "deadlines": Deadlines(start=60, first_event=60, idle=60, turn=90, stop=15),
    },
)
"""What agents of the suite have unless something else is given."""


class ProviderSuite(Conformance):
    """The part of `ProviderConformance` that its users fill in.

    Attributes:
        provider: the provider: its name as users type it, a class that can be called without
            arguments, or an instance.
        cannot: the steps of the script that this agent cannot be made to do, with the reason;
            ``wire`` and ``fresh_process`` too. Their checks are skipped and say so. A step that
            proves a declared capability cannot stand here.
        patience: how many seconds to wait for what comes by itself, e.g. the end of a process.
        program_option: the option of the provider that names the program to start.
        serves_http: the program is a server of HTTP and server-sent events on loopback, not one
            that speaks over its stdout.
        unknown_lines: what the suite slips into the program's output as messages of a kind that
            the provider cannot know; each must hold the word ``caw-unknown``.
        unknown_copy: where messages must name what they belong to, e.g. a session: a copy of a real
            message is slipped in instead, with the second of these in place of the first; the
            second must hold that word.
    """

    kind = "provider"
    known_capabilities = CAPABILITIES
    provider: ClassVar[object] = ""
    cannot: ClassVar[Mapping[str, str]] = MappingProxyType({})
    patience: ClassVar[float] = 30.0
    program_option: ClassVar[str] = "binary"
    serves_http: ClassVar[bool] = False
    unknown_lines: ClassVar[tuple[bytes, ...]] = (
        b'{"type":"caw-unknown","method":"caw-unknown/happened","params":{"a":1}}',
    )
    unknown_copy: ClassVar[tuple[bytes, bytes] | None] = None

    def __init_subclass__(cls, **options: Any) -> None:
        # What the provider says of itself is what it declares; nobody has to say it twice.
        if cls.provider:
            info = _info_of(cls.provider)
            declared = info.capabilities if info else frozenset()
            cls.capabilities = declared & set(CAPABILITIES)
        unknown = sorted(set(cls.cannot) - {*STEPS, WIRE, FRESH_PROCESS})
        if unknown:
            known = ", ".join([*STEPS, WIRE, FRESH_PROCESS])
            msg = f"{cls.__name__}.cannot has {', '.join(unknown)}; there are: {known}"
            raise TypeError(msg)
        super().__init_subclass__(**options)

    # ---------------------------------------------------------------------- for the author to give

    @pytest.fixture
    def script(self) -> ProviderScript:
        """Return what makes the agent do things; override it."""
        broken(
            f"{type(self).__name__} has no script, so that nothing can be checked",
            "override the fixture 'script' and return a ProviderScript",
        )

    @pytest.fixture
    def agent_options(self) -> Mapping[str, Any]:
        """Return the arguments of `caw_core.Agent` that the provider needs, e.g. ``env``."""
        return {}

    @pytest.fixture
    def real_program(self) -> Path | None:
        """Return the program that the provider drives, for the checks that spoil its output."""
        return None

    @pytest.fixture
    def agent_provider(self) -> object:
        """Return the provider that the checks use; by default a new one each time."""
        return self.provider

    @pytest.fixture
    def faulty_program(
        self, tmp_path: Path, real_program: Path | None
    ) -> Iterator[FaultyProgram | None]:
        """Return the program with a transport before it that can spoil its output."""
        if real_program is None:
            yield None
        else:
            yield FaultyProgram(tmp_path, real_program, http=self.serves_http)

    def make_agent(self, tmp_path: Path, **options: Any) -> Agent:
        """Return an agent with *options*, all of which it must take; override it if need be.

        Args:
            tmp_path: an empty folder.
            options: arguments of `caw_core.Agent`, ``registry`` among them.
        """
        options.setdefault("cwd", tmp_path)
        return Agent(name_of(self.provider), **options)

    # ----------------------------------------------------------------------------- for the checks

    @pytest.fixture
    def stage(
        self,
        tmp_path: Path,
        agent_provider: object,
        agent_options: Mapping[str, Any],
        script: ProviderScript,
    ) -> Iterator[Stage]:
        """Return what the checks work with; its sessions are ended after the check."""
        with self.staged(tmp_path, agent_provider, agent_options, script) as stage:
            yield stage

    @contextlib.contextmanager
    def staged(
        self,
        tmp_path: Path,
        provider: object,
        base: Mapping[str, Any],
        script: ProviderScript,
    ) -> Iterator[Stage]:
        """Make a stage for *provider*, whose agents have the options *base* and more."""
        recorder = Recorder()
        registry = RecordingRegistry(recorder)
        offer(registry, provider, name_of(self.provider))

        def make(**options: Any) -> Agent:
            given = merged({**DEFAULTS, **base}, options)
            return self.make_agent(tmp_path, **given, registry=registry)

        stage = Stage(script, self.cannot, recorder, make, self.patience)
        try:
            yield stage
        finally:
            stage.close()


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return *base* with *over* over it; the provider's own ``options`` and ``env`` are joined."""
    joined = {**base, **over}
    for name in ("options", "env"):
        if name in base and name in over:
            joined[name] = {**base[name], **over[name]}
    return joined


def name_of(provider: object) -> str:
    """Return the name under which the suite's registry has *provider*."""
    if isinstance(provider, str):
        return provider
    return (getattr(provider, "__name__", None) or type(provider).__name__).rpartition(".")[2]


def offer(registry: PluginRegistry, provider: object, name: str = "") -> None:
    """Let *registry* have *provider*, unless it is installed and given by its name.

    Args:
        registry: the registry.
        provider: as for `ProviderSuite.provider`.
        name: under which name; default `name_of` it.
    """
    if not isinstance(provider, str):
        registry.register_provider(name or name_of(provider), provider, replace=True)


def _info_of(provider: object) -> ProviderInfo | None:
    """Return what *provider* says of itself; None where it is broken, which a check then says."""
    registry = PluginRegistry()
    try:
        offer(registry, provider)
        return Agent(name_of(provider), registry=registry).provider_info
    except CawError:
        return None
