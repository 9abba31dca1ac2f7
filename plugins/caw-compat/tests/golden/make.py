"""Make what is in this folder with the existing wrapper itself, coding-agent-wrapper 0.1.9.

Run in the repository's environment, with the Python of another one that has the wrapper and
``mcp<2``::

    python make.py /path/to/other/bin/python

``names.json`` has its public names with their signatures; a folder for each program has what one
session left on the disk, played with the real program against the scripted model server.
"""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from tests.stage import COMMANDS, PROVIDERS, Stage  # noqa: E402 - it lies beside this folder

from caw_testkit.modelserver import ModelServer, call, reply, text  # noqa: E402 - as the last one


def record(python: str, program: str) -> None:
    """Keep what a session with two turns and a command leaves."""
    with ModelServer() as server, tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder), server, program)
        server.script(
            reply(text("I run it."), COMMANDS[program]), reply(text("Done.")), reply(text("Bye."))
        )
        stage.run("record", PROVIDERS[program], python=python)
        keep(stage, program)
        server.verify()


def record_subagent(python: str) -> None:
    """Keep what a session with a subagent leaves."""
    with ModelServer() as server, tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder), server)
        use = call("mcp__subagent__reviewer", {"prompt": "Look at a.py."})
        server.script(reply(use), reply(text("It is fine, says the reviewer.")))
        server.script(
            reply(text("Fine.")), when=lambda request: "You are a reviewer." in request.system()
        )
        stage.run("subagents", python=python)
        keep(stage, "subagents")
        server.verify()


def keep(stage: Stage, name: str) -> None:
    """Write the record down, without this machine's paths."""
    (session,) = (stage.cwd / "caw_data/sessions").iterdir()
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    for file in ("trajectory.json", "traj.jsonl"):
        content = (session / file).read_text("utf-8").replace(str(stage.folder), "/home/user")
        (folder / file).write_text(content, "utf-8")
    files = sorted(path for path in session.rglob("*") if path.is_file())
    modes = {str(path.relative_to(session)): stat.S_IMODE(path.stat().st_mode) for path in files}
    (folder / "files.json").write_text(
        json.dumps({name: f"{mode:o}" for name, mode in modes.items()}, indent=1) + "\n"
    )


if __name__ == "__main__":
    (interpreter,) = sys.argv[1:]
    names = subprocess.run(
        [interpreter, HERE / "names.py"], check=True, capture_output=True, text=True
    )
    (HERE / "names.json").write_text(names.stdout)
    for each in PROVIDERS:
        record(interpreter, each)
    record_subagent(interpreter)
