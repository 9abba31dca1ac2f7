"""The existing wrapper's half of the rows about records, handles and options.

Where a program would only cost time, a provider of its own kind takes its place: it finishes a turn
at once and reports each step, as the ones for programs do.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _faults_half import Outcome, Task, at_once, listed, readable, run_half
from _faults_kills import count_losses

if TYPE_CHECKING:
    from collections.abc import Callable

wrapper: Any = importlib.import_module("caw")
agents: Any = importlib.import_module("caw.agent")
models: Any = importlib.import_module("caw.models")
providers: Any = importlib.import_module("caw.provider")


class InProcessSession(providers.ProviderSession):  # type: ignore[misc]
    """A session of so many seconds, tool calls and a text in each turn."""

    calls = 4
    seconds = 0

    def __init__(self, session_id: str) -> None:
        self._id = session_id
        self._turns: list[Any] = []
        self._total_usage = models.UsageStats()
        self._callback: Callable[[list[Any]], None] | None = None

    def send(self, message: str) -> Any:
        """Have a turn, and report each step of it."""
        time.sleep(self.seconds)
        output: list[Any] = []
        for number in range(self.calls):
            call = {"id": f"c{number}", "name": "shell", "arguments": {"cmd": "ls"}}
            output.append(models.ToolUse(**call, output="x" * 5_000))
            self._report(output)
        output.append(models.TextBlock(text=message))
        self._report(output)
        turn = models.Turn(input=message, output=output)
        self._turns.append(turn)
        return turn

    def end(self) -> Any:
        """Return the record."""
        return self.trajectory

    @property
    def trajectory(self) -> Any:
        """The record."""
        record = {"agent": "in_process", "session_id": self._id, "turns": list(self._turns)}
        return models.Trajectory(**record)

    @property
    def resume_key(self) -> str:
        """The key."""
        return self._id

    @property
    def session_id(self) -> str:
        """The id."""
        return self._id

    def set_step_callback(self, callback: Any) -> None:
        """Take who is told of each step."""
        self._callback = callback

    def _report(self, output: list[Any]) -> None:
        if self._callback:
            self._callback(list(output))


class InProcess(providers.Provider):  # type: ignore[misc]
    """A provider without a program."""

    name = "in_process"

    def start_session(self, mcp_servers: Any, **options: Any) -> InProcessSession:
        """Open a session."""
        del mcp_servers
        return InProcessSession(options["session_id"])

    def resume_key_from_trajectory(self, trajectory: Any) -> Any:
        """Return the key."""
        return trajectory.session_id

    def resume_session(
        self, mcp_servers: Any, *, session_id: str, trajectory: Any = None, **options: Any
    ) -> InProcessSession:
        """Open a session that goes on."""
        del mcp_servers, options
        session = InProcessSession(session_id)
        if trajectory is not None:
            session._restore_from_trajectory(trajectory)  # noqa: SLF001 - as its providers do
        return session


def agent(task: Task, **settings: Any) -> Any:
    """Return an agent that keeps records."""
    return wrapper.Agent(provider="in_process", data_dir=task["folder"], **settings)


def kills(task: Task) -> Outcome:
    """Kill writers."""

    def write(acknowledge: Callable[[str], None]) -> None:
        session = agent(task).start_session()
        for index in range(100_000):
            session.send(f"turn {index}")
            acknowledge(session.resume_handle)

    def resume(handle: str) -> list[str]:
        session = agent(task).resume_session(handle)
        session.send("again")
        return [turn.input for turn in session.end().turns if len(turn.output) > 1]

    return count_losses(task["kills"], write, resume)


def writers(task: Task) -> Outcome:
    """Have eleven turns in one session, sent by two who have both opened it."""
    first = agent(task).start_session()
    first.send("0")
    both = [first, agent(task).resume_session(first.resume_handle)]
    for number in range(1, 11):
        both[number % 2].send(str(number))
    record = json.loads((first.session_dir / "trajectory.json").read_text())
    kept = len(record["turns"])
    return Outcome(kept == 11, f"both may write; 11 turns sent, {kept} kept")  # noqa: PLR2004 - given


def ids(task: Task) -> Outcome:
    """Resume a session whose id is a path."""
    folder = Path(task["folder"], "data")
    handle = _handle(session_id="../../elsewhere")
    other = wrapper.Agent(provider="in_process", data_dir=folder)
    said = _refusal(lambda: other.resume_session(handle).send("x"))
    made = [path.name for path in Path(task["folder"]).iterdir() if path.name == "elsewhere"]
    return Outcome(said != "accepted" and not made, f"{said}, {len(made)} folders outside")


def handles(task: Task) -> Outcome:
    """Resume with handles that are none."""
    cases = {
        "version 99": _handle(version=99),
        "no session_id": _handle(session_id=None),
        "a key that is a flag": _handle(resume_key="--version"),
    }
    resume = agent(task).resume_session
    said = {name: _refusal(resume, handle) for name, handle in cases.items()}
    return Outcome(set(said.values()).isdisjoint({"accepted", "KeyError"}), listed(said))


def options(task: Task) -> Outcome:
    """Give options that there are not."""
    given = {"timeout": 1, "modle": "x", "working_dir": "/"}
    started = agent(task).start_session
    said = {name: _refusal(started, **{name: value}) for name, value in given.items()}
    return Outcome("accepted" not in said.values(), listed(said))


def files(task: Task) -> Outcome:
    """Look who may read the records, and whether a tool server's secret is in them."""
    data = Path(task["folder"], "data")
    made = wrapper.Agent(provider="claude", data_dir=data)
    made.add_mcp_server(
        wrapper.MCPServer(name="s", command="true", env={"TOKEN": "hunter2-hunter2"})
    )
    session = made.start_session()
    session.send("go")
    session.end()
    return readable(data)


def numbers(task: Task) -> Outcome:
    """Resume a session of 1,002 turns with one more, and look for the metadata given at first."""
    # Each step writes the whole record.
    InProcessSession.calls = 0
    session = agent(task, metadata={"case": 7}).start_session()
    for number in range(1_002):
        session.send(str(number))
    session.end()
    session = agent(task).resume_session(session.resume_handle)
    session.send("1002")
    record = session.end()
    files = sorted(session.session_dir.glob("turns/*_input.txt"), key=lambda path: len(path.name))
    turns = {file.read_text() for file in files}
    kept = sum(str(number) in turns for number in range(1_003))
    metadata = record.metadata.get("case") == 7  # noqa: PLR2004 - given above
    said = f"{kept} of 1003 turns in their files, metadata {'kept' if metadata else 'lost'}"
    return Outcome(kept == 1_003 and metadata, said)  # noqa: PLR2004 - given above


def waits(task: Task) -> Outcome:
    """Have as many turns at once as there are sessions."""
    InProcessSession.seconds = 1

    async def main() -> Outcome:
        sessions = [
            wrapper.Agent(provider="in_process").start_session(session_id=str(number))
            for number in range(task["sessions"])
        ]
        return await at_once(sessions, task["most"])

    return asyncio.run(main())


def _handle(**changes: Any) -> str:
    made = {"version": 1, "provider": "in_process", "session_id": "s", "resume_key": "s"} | changes
    return json.dumps({name: value for name, value in made.items() if value is not None})


def _refusal(attempt: Callable[..., object], *given: object, **options: object) -> str:
    try:
        attempt(*given, **options)
    except Exception as error:  # noqa: BLE001 - it is what is looked at
        return type(error).__name__
    return "accepted"


HALVES = (kills, writers, ids, handles, options, files, numbers, waits)

if __name__ == "__main__":
    agents.register_provider("in_process", InProcess)
    run_half({half.__name__: half for half in HALVES})
