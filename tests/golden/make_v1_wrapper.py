"""Make ``trajectory_v1_wrapper.json`` with the existing wrapper's own ``Trajectory.to_dict()``.

Run with a Python that has coding-agent-wrapper 0.1.9 installed: ``python make_v1_wrapper.py``.
"""

from __future__ import annotations

import json
from pathlib import Path

from caw.models import (  # type: ignore[import-not-found]  # the existing wrapper, not installed here
    MCPServer,
    TextBlock,
    ThinkingBlock,
    ToolUse,
    Trajectory,
    Turn,
    UsageStats,
)


def main() -> None:
    nested = Trajectory(agent="claude_code", model="m", session_id="nested")
    nested.turns.append(Turn(input="sub", output=[TextBlock("done")], usage=UsageStats(7, 3)))
    nested.usage = UsageStats(7, 3, 0, 0, 0.5)
    call = ToolUse("2", "helper", {}, "done", subagent_trajectory=nested)
    failed = ToolUse("1", "shell", {"command": ["ls", "-l"]}, "no", is_error=True)
    turns = [
        Turn("first ü", [ThinkingBlock("hm"), failed, TextBlock("yes")], UsageStats(1, 2, 3, 4), 5),
        Turn("second", [call, TextBlock("")], UsageStats(10, 20, 0, 0, 0.125), 60),
    ]
    trajectory = Trajectory(
        agent="codex",
        model="gpt-5",
        session_id="old-session",
        created_at="2026-01-02T03:04:05+00:00",
        completed_at="2026-01-02T03:05:05+00:00",
        usage_limited=True,
        system_prompt="be brief",
        reasoning="low",
        mcp_servers=[MCPServer("tools", "python", ["-m", "tools"], {"A": "b"})],
        turns=turns,
        usage=turns[0].usage + turns[1].usage,
        duration_ms=65,
        metadata={"thread_id": "thread-1"},
    )
    path = Path(__file__).with_name("trajectory_v1_wrapper.json")
    path.write_text(json.dumps(trajectory.to_dict(), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
