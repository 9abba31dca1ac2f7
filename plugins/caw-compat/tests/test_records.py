"""What a session leaves on the disk is laid out as the wrapper lays it out."""

from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from caw import FastStats, Session, Trajectory
from caw_core import Agent as CoreAgent
from caw_testkit.modelserver import reply, text

from .stage import COMMANDS, PROVIDERS

if TYPE_CHECKING:
    from caw_testkit.modelserver import ModelServer

    from .stage import Stage

GOLDEN = Path(__file__).parent / "golden"
PROGRAMS = sorted(PROVIDERS)


def golden(program: str) -> dict[str, Any]:
    return dict(json.loads((GOLDEN / program / "trajectory.json").read_text()))


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "traj.jsonl").read_text().splitlines()]


def shape(value: Any) -> Any:
    """Return the keys of a document, those of its blocks by their types; without the caller's."""
    if isinstance(value, dict):
        kept = {key: item for key, item in value.items() if key not in ("arguments", "metadata")}
        return {key: shape(item) for key, item in sorted(kept.items())}
    if isinstance(value, list):
        shapes = {json.dumps([item.get("type"), shape(item)]) for item in value}
        return sorted(shapes)
    return type(value).__name__


@pytest.fixture
def recorded(any_stage: Stage, model_server: ModelServer) -> tuple[Stage, Path]:
    """Play the session of the golden files; return its folder."""
    program = next(name for name, provider in PROVIDERS.items() if provider == any_stage.provider)
    model_server.script(
        reply(text("I run it."), COMMANDS[program]), reply(text("Done.")), reply(text("Bye."))
    )
    printed = any_stage.run("record", any_stage.provider)
    assert printed == "Done.\nBye.\nTrue\n"
    (folder,) = (any_stage.cwd / "caw_data/sessions").iterdir()
    return any_stage, folder


def test_session_leaves_the_files_that_the_wrapper_leaves_laid_out_alike(
    recorded: tuple[Stage, Path],
) -> None:
    stage, folder = recorded
    program = next(name for name, provider in PROVIDERS.items() if provider == stage.provider)
    ours, theirs = json.loads((folder / "trajectory.json").read_text()), golden(program)
    assert shape(ours) == shape(theirs)
    assert list(ours) == list(theirs)
    assert ours["metadata"].keys() == theirs["metadata"].keys()
    assert json.loads((stage.cwd / "run.json").read_text()) == ours
    files = set(json.loads((GOLDEN / program / "files.json").read_text()))
    found = {str(path.relative_to(folder)) for path in folder.rglob("*")}
    assert files <= found
    assert {stat.S_IMODE((folder / name).stat().st_mode) for name in files} == {0o600}
    assert (folder / "turns/001_input.txt").read_text() == "Thanks."
    # Lines have the wrapper's kinds and members, and more of both.
    our_lines = lines(folder)
    for line in lines(GOLDEN / program):
        same = [each for each in our_lines if each["type"] == line["type"]]
        assert any(line.keys() <= each.keys() | {"agent", "mcp_servers"} for each in same), line


@pytest.mark.parametrize("program", PROGRAMS)
def test_record_of_the_wrapper_is_read(program: str, tmp_path: Path) -> None:
    document = golden(program)
    session = Session.load_trajectory(GOLDEN / program / "trajectory.json")
    assert session.trajectory.to_dict() == document
    assert json.loads(session.resume_handle)["provider"] == PROVIDERS[program]
    stats = FastStats.from_path(GOLDEN / program / "trajectory.json")
    assert stats is not None
    assert (stats.total_tokens, stats.session_id) == (
        session.trajectory.usage.total_tokens,
        document["session_id"],
    )
    # caw-core has the record, too, and the key to go on with.
    folder = tmp_path / "sessions" / document["session_id"]
    folder.mkdir(parents=True)
    for name in ("trajectory.json", "traj.jsonl"):
        shutil.copy(GOLDEN / program / name, folder)
    record = CoreAgent(PROVIDERS[program], data_dir=tmp_path).load_trajectory(folder.name)
    assert record is not None
    assert [turn.result for turn in record.turns] == ["Done.", "Bye."]


def test_record_with_a_subagent_is_read() -> None:
    document = golden("subagents")
    trajectory = Trajectory.from_dict(document)
    assert trajectory.to_dict() == document
    (nested,) = trajectory.subagent_trajectories
    assert nested.result == "Fine."
    both = trajectory.usage.total_tokens + nested.usage.total_tokens
    assert trajectory.total_usage.total_tokens == both
