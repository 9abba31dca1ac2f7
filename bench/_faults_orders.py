"""What the stand-ins for claude and codex do in a turn, and how one is made.

Both drivers get the same bytes: the lines of a turn of claude are the same whether it is kept
running or not, and for codex caw is told to use ``codex exec``, as the existing wrapper does.
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

Step = tuple[str, str | int | float | None]
Turn = list[Step]

WORD = "tamarillo"
"""What every turn says that comes to its end."""


def claude_text(text: str) -> bytes:
    """Return claude's line for a text."""
    usage = {"input_tokens": 1, "output_tokens": 1}
    content = [{"type": "text", "text": text}]
    said = {"id": "m", "role": "assistant", "model": "m", "content": content, "usage": usage}
    line = {"type": "assistant", "message": said, "parent_tool_use_id": None, "session_id": "s"}
    return _line({**line, "uuid": "u"})


def codex_text(text: str) -> bytes:
    """Return codex's line for a text."""
    item = {"id": "item_0", "type": "agent_message", "text": text}
    return _line({"type": "item.completed", "item": item})


def claude_turn(*steps: Step, text: str = WORD) -> Turn:
    """Return a turn of claude's in which *steps* come before the text."""
    begin = {"type": "system", "subtype": "init", "session_id": "s", "model": "m", "tools": []}
    end = {
        "type": "result",
        "subtype": "success",
        "is_error": False,
        "result": text,
        "session_id": "s",
        "duration_ms": 1,
        "total_cost_usd": 0.0,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
    return [say(_line(begin)), *steps, say(claude_text(text) + _line(end))]


def codex_turn(*steps: Step, text: str = WORD) -> Turn:
    """Return a turn of codex's in which *steps* come before the text."""
    begin = _line({"type": "thread.started", "thread_id": "t"}) + _line({"type": "turn.started"})
    usage = {"input_tokens": 1, "cached_input_tokens": 0, "output_tokens": 1}
    end = _line({"type": "turn.completed", "usage": usage})
    return [say(begin), *steps, say(codex_text(text) + end)]


def say(data: bytes) -> Step:
    """Write *data* to stdout."""
    return ("say", base64.b64encode(data).decode())


def flood(count: int) -> Step:
    """Write so many bytes to stderr."""
    return ("flood", count)


def pause(seconds: float) -> Step:
    """Do nothing for a while."""
    return ("pause", seconds)


def die() -> Step:
    """Die of SIGKILL."""
    return ("die", None)


def stand_in(folder: Path, name: str, turns: Mapping[str, Turn]) -> Path:
    """Make a program called *name* that has *turns*, by prompt; any other prompt is its end.

    What it was started with is in files ``run-PID`` beside it.
    """
    own = folder / name
    own.mkdir(parents=True)
    (own / "orders.json").write_text(json.dumps(dict(turns)))
    source = Path(__file__).with_name("_faults_agent.py").read_text("utf-8")
    program = own / name
    program.write_text(f"#!{sys.executable} -IS\n{source}", encoding="utf-8")
    program.chmod(0o755)
    return program


def _line(message: Mapping[str, object]) -> bytes:
    return json.dumps(message).encode() + b"\n"
