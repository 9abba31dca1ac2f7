"""Recording the real programs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from caw_core import Deadlines
from caw_core.cli.root import cli
from caw_testkit.cassettes import check_cassette, read_cassette, record_cassette
from caw_testkit.homes import API_KEY
from caw_testkit.modelserver import fail, reply, text

if TYPE_CHECKING:
    from pathlib import Path

    from caw_testkit.homes import ProgramHome
    from caw_testkit.modelserver import ModelServer
    from caw_testkit.programs import Program


@pytest.mark.parametrize(
    ("provider", "program"),
    [
        pytest.param(provider, program, marks=getattr(pytest.mark, f"real_{program}"))
        for provider, program in [
            ("claude_code", "claude"),
            ("codex", "codex"),
            ("opencode", "opencode"),
        ]
    ],
    ids=lambda value: value,
)
def test_recorded_program_is_understood_without_it(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    model_server: ModelServer,
    provider: str,
    program: str,
) -> None:
    installed: Program = request.getfixturevalue(f"{program}_program")
    home: ProgramHome = request.getfixturevalue(f"{program}_home")
    monkeypatch.setenv("CAW_HOME", str(tmp_path / "caw"))
    model_server.script(reply(text("It works.")))
    path = tmp_path / "one.jsonl"
    with (
        record_cassette(
            path,
            provider,
            cwd=home.cwd,
            env={**dict.fromkeys(os.environ), **home.env},
            options={"binary": str(installed.path)},
            deadlines=Deadlines(start=60, stop=30),
        ) as agent,
        agent.start_session() as session,
    ):
        assert session.send("Does it work?").result == "It works."
    written = path.read_text()
    assert API_KEY not in written
    assert str(tmp_path) not in written
    cassette = read_cassette(path)
    assert cassette.header.program_version == installed.version
    assert check_cassette(cassette).ok


@pytest.mark.real_codex
def test_command_records_a_conversation(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    model_server: ModelServer,
    codex_program: Program,
    codex_home: ProgramHome,
) -> None:
    for name, value in {**codex_home.env, "CAW_CODEX_PATH": str(codex_program.path)}.items():
        monkeypatch.setenv(name, value)
    model_server.script(reply(text("It works.")), fail(400, "as asked"))
    path = tmp_path / "one.jsonl"
    words = ["cassette", "record", str(path), "Does it work?", "And now?", "--provider", "codex"]
    result = CliRunner().invoke(cli, [*words, "--cwd", str(codex_home.cwd)])
    assert (result.exit_code, result.stdout) == (0, "It works.\n")
    turns = [frame.facts["turn"]["status"] for frame in read_cassette(path).turns]
    assert turns == ["completed", "failed"]
