"""Make the folders beside this file, by running the existing wrapper's own `SessionStore`.

Run with a Python that has coding-agent-wrapper 0.1.9 installed: ``python generate.py``.
"""

# It runs where the wrapper is; here its names are caw-compat's, with other types.
# mypy: ignore-errors

from __future__ import annotations

import shutil
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
from caw.storage import JsonlWriter, SessionStore  # type: ignore[import-not-found]  # likewise

HERE = Path(__file__).parent


def turn(number: int, *, output: list[object] | None = None) -> Turn:
    return Turn(
        input=f"prompt {number}\nsecond line ✓ ünïcode",
        output=output
        if output is not None
        else [
            ThinkingBlock(text=f"thinking {number}"),
            ToolUse(id=f"call-{number}", name="shell", arguments={"command": "ls"}, output="a\nb"),
            ToolUse(id=f"bad-{number}", name="shell", output="no such file", is_error=True),
            TextBlock(text=f"answer {number}"),
        ],
        usage=UsageStats(100, 10, 5, 1, 0.25 if number % 2 else 0.0),
        duration_ms=1000 + number,
    )


def head(session_id: str) -> Trajectory:
    return Trajectory(
        agent="codex",
        model="gpt-5",
        session_id=session_id,
        created_at="2026-01-02T03:04:05+00:00",
        system_prompt="be brief",
        reasoning="low",
        mcp_servers=[MCPServer(name="tools", url="http://127.0.0.1:1/mcp")],
    )


def send(store: SessionStore, trajectory: Trajectory, new: Turn) -> None:
    trajectory.turns.append(new)
    trajectory.usage = sum((t.usage for t in trajectory.turns), UsageStats())
    trajectory.duration_ms = sum(t.duration_ms for t in trajectory.turns)
    trajectory.metadata["thread_id"] = "thread-1"
    store.append_turn(new, trajectory, raw_output='{"line": 1}\n')


def session(case: str, turns: int) -> tuple[SessionStore, Trajectory]:
    folder = HERE / case
    shutil.rmtree(folder, ignore_errors=True)
    trajectory = head(case)
    store = SessionStore(folder, case)
    store.write_metadata(trajectory)
    for number in range(turns):
        send(store, trajectory, turn(number))
    return store, trajectory


def end(store: SessionStore, trajectory: Trajectory) -> None:
    trajectory.completed_at = "2026-01-02T04:00:00+00:00"
    store.finalize(trajectory)


def main() -> None:
    store, trajectory = session("complete", 2)
    end(store, trajectory)

    store, trajectory = session("killed-in-turn", 1)
    # What its live snapshot does at each step of a turn (agent.py, _save_step).
    trajectory.turns.append(turn(1, output=[TextBlock(text="so far")]))
    store._save_trajectory(trajectory)

    store, _ = session("torn-snapshot", 2)
    snapshot = store.session_dir / "trajectory.json"
    snapshot.write_bytes(snapshot.read_bytes()[:700])

    store, trajectory = session("snapshot-only", 2)
    end(store, trajectory)
    store.jsonl_path.unlink()

    store, trajectory = session("resumed", 2)
    end(store, trajectory)
    trajectory.completed_at = ""
    send(SessionStore(HERE / "resumed", "resumed", resume=True), trajectory, turn(2))

    store, trajectory = session("subagents", 1)
    nested = head("nested")
    nested.turns.append(turn(5))
    nested.usage = nested.turns[0].usage
    writer = JsonlWriter(store.jsonl_path, subagent="helper")
    writer.write_metadata(nested)
    writer.write_turn_events(nested.turns[0], 0)
    call = ToolUse(id="sub", name="helper", output="done", subagent_trajectory=nested)
    send(store, trajectory, turn(1, output=[call]))
    trajectory.usage_limited = True
    end(store, trajectory)


if __name__ == "__main__":
    main()
