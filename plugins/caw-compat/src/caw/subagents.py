"""Subagents: from the wrapper's `caw.AgentSpec` to caw-core's."""

from __future__ import annotations

import re
import uuid
from pathlib import Path

from caw.from_core import core_server, trajectory_of
from caw.models import AgentSpec
from caw.snapshot import SnapshotFile
from caw_core import Agent as CoreAgent
from caw_core import agent_spec


def core_spec(spec: AgentSpec | agent_spec.AgentSpec) -> agent_spec.AgentSpec:
    """Return a subagent as caw-core takes it.

    Raises:
        ValueError: it has no name.
    """
    if isinstance(spec, agent_spec.AgentSpec):
        return spec
    return agent_spec.AgentSpec(
        # The wrapper replaced what is no part of a tool's name.
        name=re.sub(r"[^A-Za-z0-9_-]", "_", spec.name),
        description=spec.description,
        system_prompt=spec.system_prompt,
        model=spec.model or None,
        reasoning=spec.reasoning or None,
        tools=spec.tools,
        tool_servers=spec.tool_servers,
        mcp_servers=[core_server(server) for server in spec.mcp_servers],
        subagents=[core_spec(each) for each in spec.subagents],
        metadata=spec.metadata or None,
    )


def run_alone(spec: AgentSpec, prompt: str, folder: str) -> str:
    """Run a subagent that nobody is the parent of, and write its record into *folder*."""
    options = core_spec(spec).agent_options()
    options["permissions"] = "full"
    agent = CoreAgent("claude_code", **options)
    trajectory = trajectory_of(agent.completion(prompt))
    SnapshotFile(Path(folder) / f"{uuid.uuid4()}.json").write_whole(trajectory)
    return trajectory.result
