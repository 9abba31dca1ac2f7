"""Records the cassettes of this folder again, with the real programs at their pinned versions.

``python plugins/caw-testkit/tests/tapes/record.py [PROVIDER…] [SCENARIO…]``: their model is the
scripted server, so it takes no key and no network, once npm has installed the programs.
"""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caw_core import Deadlines, allow, deny
from caw_core.errors import ProviderError
from caw_core.events import ToolStarted
from caw_testkit.cassettes import record_cassette
from caw_testkit.homes import claude_home, codex_home, opencode_home
from caw_testkit.modelserver import ModelServer, call, fail, reply, text
from caw_testkit.programs import installed_program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from caw_core import Agent, Session
    from caw_core.permissions import Decision
    from caw_testkit.homes import ProgramHome
    from caw_testkit.modelserver.steps import Call

FOLDER = Path(__file__).parent
PROGRAMS = {"claude_code": "claude", "codex": "codex", "opencode": "opencode"}

# Each agent of opencode's is told of with all its rules.
AGENTS = ("compaction", "explore", "general", "plan", "scout", "summary", "title")

# opencode says everything twice, names all that it could talk to, and repeats its rules.
LEFT_OUT = (b'"type":"sync"', b'"type":"plugin.added"', b'"type":"session.updated"')


def home_of(provider: str, folder: Path, server: ModelServer) -> ProgramHome:
    """Return a home for the program."""
    match provider:
        case "claude_code":
            return claude_home(folder, server)
        case "codex":
            return codex_home(folder, server)
        case _:
            config = {"agent": {name: {"disable": True} for name in AGENTS}}
            return opencode_home(folder, server, config=config)


def run(provider: str, command: str) -> Call:
    """Have the model run a command."""
    match provider:
        case "claude_code":
            return call("Bash", {"command": command})
        case "codex":
            return call("exec_command", {"cmd": command, "yield_time_ms": 60_000})
        case _:
            return call("bash", {"command": command, "description": "run"})


class Recording:
    """One cassette in the making."""

    def __init__(self, provider: str, server: ModelServer, home: ProgramHome) -> None:
        self.provider = provider
        self.server = server
        self.home = home

    @contextmanager
    def agent(self, name: str, **settings: Any) -> Iterator[Agent]:
        """Record what is done with an agent."""
        program = installed_program(PROGRAMS[self.provider])
        options: dict[str, Any] = {"binary": str(program.path)}
        if self.provider == "opencode":
            options["max_retries"] = 0
        with record_cassette(
            FOLDER / f"{self.provider}-{name}.jsonl",
            self.provider,
            leave_out=LEFT_OUT,
            **{
                "cwd": self.home.cwd,
                "env": {**dict.fromkeys(os.environ), **self.home.env},
                "options": options,
                "permissions": "full",
                "deadlines": Deadlines(start=60, stop=60),
                **settings,
            },
        ) as agent:
            yield agent

    def answer(self, session: Session, prompt: str, words: str) -> None:
        """Have one turn with a text."""
        self.server.script(reply(text(words)))
        session.send(prompt)


def texts(recording: Recording) -> None:
    """Two turns."""
    with recording.agent("text") as agent, agent.start_session() as session:
        recording.answer(session, "Say hello.", "Hello there.")
        recording.answer(session, "In German: größer, 例.", "Grüß Gott, 例 \U0001f9ea.")


def resume(recording: Recording) -> None:
    """A turn, and one after a resume."""
    with recording.agent("resume") as agent:
        with agent.start_session() as session:
            recording.answer(session, "Say hello.", "Hello there.")
            handle = session.resume_handle
        with agent.resume_session(handle) as session:
            recording.answer(session, "Are you still there?", "Still here.")


def tool(recording: Recording) -> None:
    """A tool call."""
    with recording.agent("tool") as agent, agent.start_session() as session:
        recording.server.script(
            reply(text("I will look."), run(recording.provider, "echo apple")),
            reply(text("It printed apple.")),
        )
        session.send("Run echo.")


def permission(recording: Recording) -> None:
    """A tool call that is allowed."""
    asked(recording, "permission", allow())


def denied(recording: Recording) -> None:
    """A tool call that is denied, with a reason."""
    asked(recording, "denied", deny("not this one"))


def asked(recording: Recording, name: str, decision: Decision) -> None:
    """A tool call for which permission is asked, and a turn after it."""
    with (
        recording.agent(name, permissions="ask", on_permission=lambda _: decision) as agent,
        agent.start_session() as session,
    ):
        recording.server.script(
            reply(run(recording.provider, "touch made")), reply(text("That was it."))
        )
        session.send("Make a file.")
        recording.answer(session, "And now?", "Still here.")


def interrupt(recording: Recording) -> None:
    """A turn that is interrupted while its tool runs, and one after it."""
    with recording.agent("interrupt") as agent, agent.start_session() as session:
        recording.server.script(reply(text("One moment."), run(recording.provider, "sleep 300")))
        with session.stream("Wait.") as stream:
            for event in stream:
                if isinstance(event, ToolStarted):
                    session.interrupt()
        recording.answer(session, "And now?", "Now I am free.")


def failure(recording: Recording) -> None:
    """A turn that the model's service refuses, and one after it."""
    with recording.agent("failure") as agent, agent.start_session() as session:
        recording.server.script(fail(400, "this was asked for"))
        try:
            session.send("Fail.")
        except ProviderError:
            recording.answer(session, "And now?", "Now it works.")


SCENARIOS: tuple[Callable[[Recording], None], ...] = (
    texts,
    resume,
    tool,
    permission,
    denied,
    interrupt,
    failure,
)


def main(chosen: list[str]) -> None:
    """Record the cassettes of the providers and scenarios that are named, or all."""
    scenarios = [each for each in SCENARIOS if each.__name__ in chosen] or SCENARIOS
    with tempfile.TemporaryDirectory() as caw_home:
        os.environ["CAW_HOME"] = caw_home
        for provider in [name for name in PROGRAMS if name in chosen] or PROGRAMS:
            for scenario in scenarios:
                with ModelServer() as server, tempfile.TemporaryDirectory() as folder:
                    home = home_of(provider, Path(folder), server)
                    # A title, a summary: what the programs ask a model for besides.
                    server.respond(lambda _: reply(text("done")))
                    scenario(Recording(provider, server, home))
                sys.stdout.write(f"{provider} {scenario.__name__}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
