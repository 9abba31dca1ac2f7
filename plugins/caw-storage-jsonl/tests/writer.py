"""A process that writes one session until it is killed; run by the tests.

Usage: ``python writer.py DATA_DIR SESSION_ID [--hold]``. For each turn whose `persist_turn` has
returned it prints the turn's index. With ``--hold`` it only takes the lease, says so, and waits
for its stdin to end.
"""

from __future__ import annotations

import sys

import attrs

from caw_core.blocks import TextBlock, ToolUse
from caw_core.trajectory import SessionInfo, Turn
from caw_storage_jsonl import JsonlStorage


def _say(word: object) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def main() -> None:
    data_dir, session_id, *rest = sys.argv[1:]
    storage = JsonlStorage(data_dir)
    storage.lease_session(session_id)
    _say("leased")
    if rest:
        sys.stdin.read()
        return
    info = SessionInfo(session_id=session_id, provider="p")
    stored = storage.load_trajectory(session_id)
    first = stored.num_turns if stored else 0
    for index in range(first, first + 100_000):
        turn = Turn(index=index, input=f"prompt {index}", status="running")
        storage.persist_turn(info, turn)
        call = ToolUse(id="1", name="shell", status="running", arguments={"a": "x" * 500})
        storage.persist_turn(info, attrs.evolve(turn, output=(call,)))
        done = attrs.evolve(call, status="completed", output="y" * 20_000)
        output = (done, TextBlock(text=f"answer {index}"))
        storage.persist_turn(info, attrs.evolve(turn, output=output, status="completed"))
        _say(index)


if __name__ == "__main__":
    main()
