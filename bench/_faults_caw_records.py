"""caw's half of the rows about records, handles and options."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _faults_half import Outcome, Task, at_once, listed, readable, run_half
from _faults_kills import count_losses

import caw_provider_echo  # noqa: F401 - before the forks
import caw_storage_jsonl  # noqa: F401 - before the forks
from caw_core import Agent, McpServer, Session
from caw_core.errors import ConfigError, ResumeHandleError, SessionBusyError

if TYPE_CHECKING:
    from collections.abc import Callable

TOOLS = 'shell {"cmd": "ls"} => ' + "x" * 5_000
PROMPT = "\n".join([f"!tool {TOOLS}"] * 4)


def agent(task: Task, **settings: Any) -> Agent:
    """Return an agent that keeps records."""
    return Agent("echo", data_dir=task["folder"], **settings)


def kills(task: Task) -> Outcome:
    """Kill writers."""

    def write(acknowledge: Callable[[str], None]) -> None:
        session = agent(task).start_session()
        for index in range(100_000):
            session.send(f"{PROMPT}\nturn {index}")
            acknowledge(session.resume_handle)

    def resume(handle: str) -> list[str]:
        with agent(task).resume_session(handle) as session:
            session.send("again")
            turns = session.trajectory.turns
        whole = [turn for turn in turns if turn.status == "completed" and len(turn.output) > 1]
        return [turn.input.splitlines()[-1] for turn in whole]

    return count_losses(task["kills"], write, resume)


def writers(task: Task) -> Outcome:
    """Have eleven turns in one session, sent by two who have both opened it."""
    first = agent(task).start_session()
    first.send("0")
    try:
        agent(task).resume_session(first.resume_handle)
    except SessionBusyError:
        sent = [first.send(str(number)) for number in range(1, 11)]
        record = agent(task).load_trajectory(first.session_id)
        kept = len(record.turns) if record else 0
        said = f"the second is refused; {1 + len(sent)} turns sent, {kept} kept"
        return Outcome(kept == 1 + len(sent), said)
    return Outcome(good=False, said="both may write")


def ids(task: Task) -> Outcome:
    """Resume a session whose id is a path."""
    (folder := Path(task["folder"], "data")).mkdir()
    handle = _handle(task, session_id="../../elsewhere")
    said = _refusal(Agent("echo", data_dir=str(folder)).resume_session, handle)
    made = [path.name for path in Path(task["folder"]).iterdir() if path.name == "elsewhere"]
    return Outcome(said == "ResumeHandleError" and not made, f"{said}, {len(made)} folders outside")


def handles(task: Task) -> Outcome:
    """Resume with handles that are none."""
    cases = {
        "version 99": _handle(task, version=99),
        "no session_id": _handle(task, session_id=None),
        "a key that is a flag": _handle(task, resume_key="--version"),
    }
    resume = agent(task).resume_session
    said = {name: _refusal(resume, handle) for name, handle in cases.items()}
    return Outcome(set(said.values()) == {"ResumeHandleError"}, listed(said))


def options(task: Task) -> Outcome:
    """Give options that there are not."""
    given = {"timeout": 1, "modle": "x", "working_dir": "/"}
    said = {name: _refusal(agent, task, **{name: value}) for name, value in given.items()}
    return Outcome(set(said.values()) == {"ConfigError"}, listed(said))


def files(task: Task) -> Outcome:
    """Look who may read the records, and whether a tool server's secret is in them."""
    server = McpServer(name="s", command="true", env={"TOKEN": "hunter2-hunter2"})
    data = Path(task["folder"], "data")
    made = Agent(
        "claude",
        data_dir=str(data),
        cwd=task["folder"],
        options={"binary": task["claude"]},
        mcp_servers=[server],
    )
    made.completion("go")
    return readable(data)


def numbers(task: Task) -> Outcome:
    """Resume a session of 1,002 turns with one more, and look for the metadata given at first."""
    with agent(task, metadata={"case": 7}).start_session() as session:
        for number in range(1_002):
            session.send(str(number))
        handle = session.resume_handle
    with agent(task).resume_session(handle) as session:
        session.send("1002")
    record = agent(task).load_trajectory(session.session_id)
    turns = [turn.input for turn in record.turns] if record else []
    kept = sum(turn == str(number) for number, turn in enumerate(turns))
    metadata = bool(record and record.metadata.get("case") == 7)  # noqa: PLR2004 - given above
    said = f"{kept} of 1003 turns, metadata {'kept' if metadata else 'lost'}"
    return Outcome(kept == 1_003 and metadata, said)  # noqa: PLR2004 - given above


def waits(task: Task) -> Outcome:
    """Have as many turns at once as there are sessions."""

    async def main() -> Outcome:
        chosen = Agent("echo")
        sessions = [await chosen.start_session_async() for _ in range(task["sessions"])]
        return await at_once(sessions, task["most"])

    return asyncio.run(main())


def _handle(task: Task, **changes: Any) -> str:
    with agent(task).start_session() as session:
        session.send("go")
        made = json.loads(session.resume_handle) | changes
    return json.dumps({name: value for name, value in made.items() if value is not None})


def _refusal(attempt: Callable[..., object], *given: object, **options: object) -> str:
    try:
        done = attempt(*given, **options)
    except (ConfigError, ResumeHandleError) as error:
        return type(error).__name__
    if isinstance(done, Session):
        done.end()
    return "accepted"


HALVES = (kills, writers, ids, handles, options, files, numbers, waits)

if __name__ == "__main__":
    run_half({half.__name__: half for half in HALVES})
