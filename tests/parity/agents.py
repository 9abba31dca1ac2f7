"""How each agent's program is scripted: its tools, its settings, and where its requests say what.

The scenarios are the same for all agents; whatever differs between the programs stands here.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from caw_core import ToolGroup
from caw_testkit.homes import claude_home, codex_home, opencode_home
from caw_testkit.modelserver import call, drop, fail, fail_inside, reply, text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from caw_testkit.homes import ProgramHome
    from caw_testkit.modelserver import ModelServer, RecordedRequest, Step
    from caw_testkit.modelserver.steps import Call

NOWHERE = "http://127.0.0.1:9"
"""An address where nothing listens."""

SOME = reply(text("a b c d e f g h"))


class AgentKind(ABC):
    """One agent: what its model says to have something done, and what its settings are called."""

    name: ClassVar[str]
    """The provider's name."""
    program: ClassVar[str]
    """The program's name in caw-testkit."""
    models: ClassVar[tuple[str, str]]
    """Two models that it knows, the first being the default here."""
    groups: ClassVar[Mapping[ToolGroup, frozenset[str]]]
    """The tools that it offers its model, by kind."""
    options: ClassVar[Mapping[str, Any]] = {}
    """Options that make it fail at once rather than try again."""
    shared_process: ClassVar[bool] = True
    """Whether all sessions live in one process."""

    @abstractmethod
    def home(self, folder: Path, server: ModelServer) -> ProgramHome:
        """Make a home below *folder*, wired to *server*."""

    @abstractmethod
    def run(self, command: str) -> Call:
        """Run a shell command."""

    def leave_running(self, command: str) -> Call:
        """Run a shell command whose end makes the agent begin a turn."""
        raise NotImplementedError

    @abstractmethod
    def write(self, file: Path, content: str) -> Call:
        """Write a new file of one line."""

    @abstractmethod
    def edit(self, file: Path, old: str, new: str) -> Call:
        """Replace the one line of a file."""

    @abstractmethod
    def plan(self, first: str, second: str) -> list[Step]:
        """Make a plan of two steps, of which the first is in progress."""

    @abstractmethod
    def use(self, server: str, tool: str, arguments: Mapping[str, Any]) -> Call:
        """Use a tool of an MCP server."""

    @abstractmethod
    def effort(self, request: RecordedRequest) -> object:
        """Return the reasoning effort that a request asks for."""

    def asks_for(self, request: RecordedRequest, model: str) -> bool:
        """Say whether a request is for *model*."""
        return model.rpartition("/")[2] in request.model

    @abstractmethod
    def used_up(self, resets_at: int) -> tuple[dict[str, Any], Step]:
        """Return settings, and an answer that says the plan is used up until *resets_at*."""

    @abstractmethod
    def passing(self) -> tuple[dict[str, Any], Step]:
        """Return settings, and a failure after which it tries again by itself."""

    @abstractmethod
    def unreachable(self) -> dict[str, Any]:
        """Return settings with which its service is not there."""


class ClaudeCode(AgentKind):
    """Claude Code."""

    name = "claude_code"
    program = "claude"
    models = ("opus", "sonnet")
    groups: ClassVar[Mapping[ToolGroup, frozenset[str]]] = {
        ToolGroup.READER: frozenset({"Read", "Glob", "Grep"}),
        ToolGroup.WRITER: frozenset({"Write", "Edit"}),
        ToolGroup.EXEC: frozenset({"Bash"}),
        ToolGroup.WEB: frozenset({"WebFetch"}),
        ToolGroup.PARALLEL: frozenset({"Agent"}),
    }
    shared_process = False

    def home(self, folder: Path, server: ModelServer) -> ProgramHome:
        """Make a home."""
        return claude_home(folder, server)

    def run(self, command: str) -> Call:
        """Run a shell command."""
        return call("Bash", {"command": command})

    def leave_running(self, command: str) -> Call:
        """Run a shell command in the background."""
        return call("Bash", {"command": command, "run_in_background": True})

    def write(self, file: Path, content: str) -> Call:
        """Write a new file."""
        return call("Write", {"file_path": str(file), "content": f"{content}\n"})

    def edit(self, file: Path, old: str, new: str) -> Call:
        """Replace a line."""
        return call("Edit", {"file_path": str(file), "old_string": old, "new_string": new})

    def plan(self, first: str, second: str) -> list[Step]:
        """Make a plan."""
        return [
            reply(call("TaskCreate", {"subject": first, "description": "d"})),
            reply(call("TaskCreate", {"subject": second, "description": "d"})),
            reply(call("TaskUpdate", {"taskId": "1", "status": "in_progress"})),
        ]

    def use(self, server: str, tool: str, arguments: Mapping[str, Any]) -> Call:
        """Use a tool of a server."""
        return call(f"mcp__{server}__{tool}", arguments)

    def effort(self, request: RecordedRequest) -> object:
        """Return the effort."""
        return request.body["output_config"]["effort"]

    def used_up(self, resets_at: int) -> tuple[dict[str, Any], Step]:
        """Say that the plan is used up; only an account with a plan is told so."""
        login = {"ANTHROPIC_API_KEY": None, "CLAUDE_CODE_OAUTH_TOKEN": "sk-ant-oat01-made-up"}
        headers = {
            "anthropic-ratelimit-unified-status": "rejected",
            "anthropic-ratelimit-unified-reset": str(resets_at),
            "anthropic-ratelimit-unified-representative-claim": "five_hour",
            "x-should-retry": "false",
        }
        return {"env": login}, fail(429, "limit", headers=headers)

    def passing(self) -> tuple[dict[str, Any], Step]:
        """Fail once."""
        return {"env": {"CLAUDE_CODE_MAX_RETRIES": "3"}}, fail(529, "Overloaded")

    def unreachable(self) -> dict[str, Any]:
        """Point to nowhere."""
        return {"env": {"ANTHROPIC_BASE_URL": NOWHERE}}


class Codex(AgentKind):
    """OpenAI Codex."""

    name = "codex"
    program = "codex"
    models = ("gpt-5.5", "gpt-5")
    groups: ClassVar[Mapping[ToolGroup, frozenset[str]]] = {
        ToolGroup.READER: frozenset({"view_image"}),
        ToolGroup.WRITER: frozenset({"apply_patch"}),
        ToolGroup.EXEC: frozenset({"exec_command", "write_stdin"}),
        ToolGroup.WEB: frozenset({"web_search"}),
        ToolGroup.PARALLEL: frozenset({"spawn_agent", "tool_search"}),
    }
    options: ClassVar[Mapping[str, Any]] = {"network_retries": 0}

    def home(self, folder: Path, server: ModelServer) -> ProgramHome:
        """Make a home."""
        return codex_home(folder, server)

    def run(self, command: str) -> Call:
        """Run a shell command; it counts as running until it ends."""
        return call("exec_command", {"cmd": command, "yield_time_ms": 60_000})

    def write(self, file: Path, content: str) -> Call:
        """Write a new file."""
        return _patch(f"*** Add File: {file}\n+{content}")

    def edit(self, file: Path, old: str, new: str) -> Call:
        """Replace a line."""
        return _patch(f"*** Update File: {file}\n@@\n-{old}\n+{new}")

    def plan(self, first: str, second: str) -> list[Step]:
        """Make a plan."""
        steps = [
            {"step": first, "status": "in_progress"},
            {"step": second, "status": "pending"},
        ]
        return [reply(call("update_plan", {"plan": steps}))]

    def use(self, server: str, tool: str, arguments: Mapping[str, Any]) -> Call:
        """Use a tool of a server."""
        return call(tool, arguments, namespace=f"mcp__{server.replace('-', '_')}")

    def effort(self, request: RecordedRequest) -> object:
        """Return the effort."""
        return request.body["reasoning"]["effort"]

    def used_up(self, resets_at: int) -> tuple[dict[str, Any], Step]:
        """Say that the plan is used up."""
        error = {"type": "usage_limit_reached", "message": "used up", "plan_type": "plus"}
        headers = {
            "x-codex-primary-used-percent": "100",
            "x-codex-primary-window-minutes": "300",
            "x-codex-primary-reset-at": str(resets_at),
        }
        return {}, fail(429, body={"error": error}, headers=headers)

    def passing(self) -> tuple[dict[str, Any], Step]:
        """Break off once."""
        service = {"model_providers": {"testkit": {"stream_max_retries": 1}}}
        return {"options": {"config": service}}, drop(SOME, after_bytes=600)

    def unreachable(self) -> dict[str, Any]:
        """Point to nowhere."""
        service = {"model_providers": {"testkit": {"base_url": f"{NOWHERE}/v1"}}}
        return {"options": {"config": service}}


class Opencode(AgentKind):
    """Opencode, whose model speaks Chat Completions here."""

    name = "opencode"
    program = "opencode"
    models = ("testkit/m1", "testkit/m2")
    groups: ClassVar[Mapping[ToolGroup, frozenset[str]]] = {
        ToolGroup.READER: frozenset({"read", "glob", "grep", "skill"}),
        ToolGroup.WRITER: frozenset({"edit", "write"}),
        ToolGroup.EXEC: frozenset({"bash"}),
        ToolGroup.WEB: frozenset({"webfetch"}),
        ToolGroup.PARALLEL: frozenset({"task"}),
    }
    options: ClassVar[Mapping[str, Any]] = {"max_retries": 0}

    def home(self, folder: Path, server: ModelServer) -> ProgramHome:
        """Make a home with two models that can do everything."""
        able = {
            "tool_call": True,
            "reasoning": True,
            "attachment": True,
            "modalities": {"input": ["text", "image"], "output": ["text"]},
            "limit": {"context": 200_000, "output": 32_000},
            "variants": {effort: {"reasoningEffort": effort} for effort in ("low", "high")},
        }
        names = [model.rpartition("/")[2] for model in self.models]
        models = {name: {"name": name, **able} for name in names}
        return opencode_home(folder, server, config={"provider": {"testkit": {"models": models}}})

    def run(self, command: str) -> Call:
        """Run a shell command."""
        return call("bash", {"command": command, "description": "run"})

    def write(self, file: Path, content: str) -> Call:
        """Write a new file."""
        return call("write", {"filePath": str(file), "content": f"{content}\n"})

    def edit(self, file: Path, old: str, new: str) -> Call:
        """Replace a line."""
        return call("edit", {"filePath": str(file), "oldString": old, "newString": new})

    def plan(self, first: str, second: str) -> list[Step]:
        """Make a plan."""
        todos = [
            {"content": first, "status": "in_progress", "priority": "high"},
            {"content": second, "status": "pending", "priority": "high"},
        ]
        return [reply(call("todowrite", {"todos": todos}))]

    def use(self, server: str, tool: str, arguments: Mapping[str, Any]) -> Call:
        """Use a tool of a server."""
        return call(f"{server}_{tool}", arguments)

    def effort(self, request: RecordedRequest) -> object:
        """Return the effort."""
        return request.body["reasoning_effort"]

    def used_up(self, resets_at: int) -> tuple[dict[str, Any], Step]:
        """Say that the quota is used up; the service states how long in seconds."""
        seconds = resets_at - int(datetime.now(UTC).timestamp())
        headers = {"retry-after": str(seconds)}
        return {}, fail(429, "You exceeded your current quota", headers=headers)

    def passing(self) -> tuple[dict[str, Any], Step]:
        """Break off once."""
        return {"options": {"max_retries": 2}}, fail_inside(SOME, "boom")

    def unreachable(self) -> dict[str, Any]:
        """Point to nowhere; that is another server, since its configuration is another."""
        service = {"provider": {"testkit": {"options": {"baseURL": f"{NOWHERE}/v1"}}}}
        return {"options": {"config": service}}


KINDS: tuple[AgentKind, ...] = (ClaudeCode(), Codex(), Opencode())


def whole_body(request: RecordedRequest) -> str:
    """Return all that a request holds, for looking for something in it."""
    return json.dumps(request.body, ensure_ascii=False)


def _patch(change: str) -> Call:
    return call("apply_patch", f"*** Begin Patch\n{change}\n*** End Patch")
