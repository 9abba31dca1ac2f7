"""A first conversation: two turns, then a third one in another process.

    pip install "caw-core[local,jsonl]"
    python first_conversation.py

It talks to a small language model on this machine, so it needs no key. Put another provider's
name in place of ``local`` and the rest stays as it is.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from caw_core import Agent, Session
from caw_core.events import Notice, Progress, TextDelta

PROVIDER = "local"
MAX_TOKENS = 60
TEMPERATURE = 0.2


def main() -> None:
    """Begin the conversation here, and let another process continue it."""
    if sys.argv[1:2] == ["--resume"]:
        continue_it(Path(sys.argv[2]), handle=sys.stdin.read())
        return
    records = Path(tempfile.mkdtemp(prefix="caw-example-"))
    handle = begin(records)
    say(f"\nThis process is done. The handle, {len(handle)} characters, is all that another needs.")
    # By stdin: whoever has the handle has the conversation, and a command line is public.
    again = [sys.executable, __file__, "--resume", str(records)]
    subprocess.run(again, input=handle, text=True, check=True)
    say(f"\nThe record is in {records}; delete it whenever you like.")


def make_agent(records: Path) -> Agent:
    """Make an agent whose answers are short; a small model would ramble otherwise."""
    return Agent(PROVIDER, data_dir=records, max_tokens=MAX_TOKENS, temperature=TEMPERATURE)


def begin(records: Path) -> str:
    """Have two turns; return what another process needs to go on."""
    agent = make_agent(records)
    say(f"A session with the provider {agent.provider!r}, in process {os.getpid()}.")
    with agent.start_session() as session:
        ask(session, "Write one sentence about the sea.")
        ask(session, "Make it shorter.")
        return session.resume_handle


def continue_it(records: Path, *, handle: str) -> None:
    """Have one more turn in the conversation that *handle* stands for."""
    agent = make_agent(records)
    with agent.resume_session(handle) as session:
        say(f"\nProcess {os.getpid()} has the session with {session.trajectory.num_turns} turns.")
        ask(session, "Now write one about the mountains.")
        trajectory = session.trajectory
    say(
        f"\nNow it has {trajectory.num_turns} turns, {trajectory.usage.output_tokens} tokens of "
        f"output, {trajectory.duration_ms / 1000:.1f} s in all."
    )


def ask(session: Session, prompt: str) -> None:
    """Send a prompt and print the answer while it comes."""
    say(f"\n> {prompt}")
    is_terminal, line_is_open = sys.stdout.isatty(), False
    with session.stream(prompt) as stream:
        for event in stream:
            if line_is_open and isinstance(event, TextDelta | Notice):
                print()
                line_is_open = False
            match event:
                case TextDelta(text=text):
                    print(text, end="", flush=True)
                case Progress(label=label, done=done, total=total) if total and is_terminal:
                    print(f"\r{label}: {done / total:4.0%}", end="", flush=True)
                    line_is_open = True
                case Notice(message=message):
                    say(f"({message})")
    print()


def say(text: str) -> None:
    """Print a line of our own."""
    print(text, flush=True)


if __name__ == "__main__":
    main()
