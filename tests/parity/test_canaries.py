"""Secrets that are planted wherever a caller may have one are in nothing that caw leaves behind."""

from __future__ import annotations

import logging
import os
import pickle
import re
import secrets
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from caw_core import McpServer
from caw_core.errors import CawError, ProviderError
from caw_core.events import TextDelta
from caw_core.redaction import REDACTED
from caw_testkit.modelserver import fail, reply, slow, text
from caw_testkit.toolserver import SECRET_HEADER, SECRET_VARIABLE, STDIO_COMMAND

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_core import Session, Trajectory
    from caw_testkit.toolserver import HttpToolServer

    from .conftest import Trial


class Canaries:
    """One secret for each place where a caller may have one.

    The name of the variable says which it is, the value stands nowhere else.
    """

    def __init__(self) -> None:
        self.variable = self._new()
        self.reference = self._new()
        self.header = self._new()
        self.option = ""

    @staticmethod
    def _new() -> str:
        return f"canary-{secrets.token_hex(12)}"

    def in_option_of(self, agent: str) -> dict[str, Any]:
        """Return an option of the agent's own that holds a secret, where it has one."""
        if agent == "claude_code":
            return {}
        self.option = self._new()
        headers = {"X-Canary": self.option}
        if agent == "codex":
            return {"config": {"model_providers": {"testkit": {"http_headers": headers}}}}
        return {"config": {"provider": {"testkit": {"options": {"headers": headers}}}}}

    @property
    def all(self) -> tuple[str, ...]:
        planted = (self.variable, self.reference, self.header, self.option)
        return tuple(canary for canary in planted if canary)


class Artefacts:
    """Everything that is left behind, by where it was found."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def add(self, where: str, content: str | bytes) -> None:
        self._texts[where] = (
            content.decode(errors="replace") if isinstance(content, bytes) else content
        )

    def add_files(self, folder: Path) -> None:
        for file in folder.rglob("*"):
            self.add(f"name of {file}", file.name)
            if file.is_file():
                self.add(str(file), file.read_bytes())

    def add_error(self, error: BaseException) -> None:
        # The turn that it carries is what the agent said, for its caller alone.
        if isinstance(error, ProviderError):
            error.turn = None
        where = type(error).__name__
        self.add(f"{where}: text", str(error))
        self.add(f"{where}: repr", repr(error))
        self.add(f"{where}: facts", repr(vars(error)))
        self.add(f"{where}: pickle", pickle.dumps(error))
        self.add(f"{where}: traceback", "".join(traceback.format_exception(error)))

    def add_command_lines(self) -> None:
        for process in psutil.Process().children(recursive=True):
            try:
                self.add(f"arguments of {process.pid}", "\0".join(process.cmdline()))
            except psutil.Error:
                continue

    def with_any(self, *canaries: str) -> list[str]:
        return [
            f"{where}: …{found[max(0, found.index(canary) - 60) :][:160]}…"
            for where, found in self._texts.items()
            for canary in canaries
            if canary in found
        ]

    def forget_head(self, key: str) -> None:
        """Leave out the one place where the key is kept on purpose: the head of the record."""
        kept = re.compile(rf'"resume_key": ?"{re.escape(key)}"')
        self._texts = {where: kept.sub("", found) for where, found in self._texts.items()}

    def __contains__(self, words: str) -> bool:
        return any(words in found for found in self._texts.values())


@pytest.fixture
def canaries(monkeypatch: pytest.MonkeyPatch) -> Canaries:
    planted = Canaries()
    monkeypatch.setenv("CANARY_PLACE", planted.reference)
    return planted


@pytest.fixture
def planted(
    trial: Trial, canaries: Canaries, http_tools: HttpToolServer, tmp_path: Path
) -> dict[str, Any]:
    """Return the settings of an agent with a canary in each place."""
    command, *args = STDIO_COMMAND
    return {
        "env": {"CANARY_API_KEY": canaries.variable, "CANARY_PLACE": None},
        "options": canaries.in_option_of(trial.kind.name),
        "mcp_servers": [
            McpServer(
                name="sums", command=command, args=args, env={SECRET_VARIABLE: "${CANARY_PLACE}"}
            ),
            McpServer(
                name="web",
                url=http_tools.url,
                headers={SECRET_HEADER: f"Bearer {canaries.header}"},
            ),
        ],
        "storage": f"jsonl://{tmp_path / 'records'}",
        "keep_raw": True,
    }


@pytest.fixture
def own_temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def said(canaries: Canaries, key: str | None = None) -> str:
    """Return a text that holds every canary."""
    return " and ".join([*canaries.all, *([key] if key else [])])


def succeeds(session: Session, trial: Trial, canaries: Canaries) -> None:
    trial.server.script(
        reply(trial.kind.run(f"env; echo {said(canaries)}")), reply(text(said(canaries)))
    )
    turn = session.send(f"use {said(canaries)}")
    assert canaries.variable in turn.result
    assert canaries.variable in turn.tool_calls[0].output


def is_refused(session: Session, trial: Trial, canaries: Canaries) -> ProviderError:
    refusal = fail(401, f"the key {said(canaries, session.trajectory.resume_key)} is wrong")
    trial.server.respond(lambda _: refusal)
    with pytest.raises(ProviderError) as caught:
        session.send("be refused")
    trial.server.clear()
    return caught.value


def is_interrupted(session: Session, trial: Trial, canaries: Canaries) -> None:
    trial.server.script(slow(reply(text(f"{said(canaries)} {'and so on ' * 200}")), seconds=60))
    with session.stream("never end") as stream:
        for event in stream:
            if isinstance(event, TextDelta):
                stream.interrupt()
    assert stream.result().status == "interrupted"
    trial.server.clear()


def crashes(session: Session, trial: Trial, canaries: Canaries) -> ProviderError:
    trial.server.script(slow(reply(text(f"{said(canaries)} {'and so on ' * 200}")), seconds=60))
    stream = session.stream("crash")
    for event in stream:
        if isinstance(event, TextDelta):
            break
    for process in programs_of(trial, canaries):
        process.kill()
    with pytest.raises(ProviderError) as caught:
        stream.result()
    trial.server.clear()
    return caught.value


def programs_of(trial: Trial, canaries: Canaries) -> Iterator[psutil.Process]:
    """Yield this test's own programs: opencode's server of the other tests goes on."""
    for process in trial.processes():
        try:
            if process.environ().get("CANARY_API_KEY") == canaries.variable:
                yield process
        except psutil.Error:
            continue


def test_planted_secrets_are_in_nothing_that_is_left_behind(
    trial: Trial,
    planted: dict[str, Any],
    canaries: Canaries,
    own_temporary: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    left = Artefacts()
    agent = trial.agent(**planted)
    with agent.start_session() as session:
        succeeds(session, trial, canaries)
        left.add_command_lines()
        left.add_error(is_refused(session, trial, canaries))
        is_interrupted(session, trial, canaries)
        left.add_error(crashes(session, trial, canaries))
        handle = session.resume_handle
    key = str(session.trajectory.resume_key)
    with agent.resume_session(handle) as again:
        trial.server.script(reply(text(f"again {said(canaries, key)}")))
        again.send("go on")
        left.add("repr", f"{agent!r} {session!r} {again!r}")
    collect(left, again.trajectory, tmp_path, own_temporary, caplog)
    # They came as far as everything that is looked through.
    assert REDACTED in left
    assert left.with_any(*canaries.all) == []
    if key == session.session_id:
        # What everybody may know; claude's store, which it leads to, is its user's alone.
        return
    left.forget_head(key)
    assert left.with_any(key) == []


def collect(
    left: Artefacts,
    record: Trajectory,
    tmp_path: Path,
    temporary: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for turn in record.turns:
        left.add(f"raw output of turn {turn.index}", "\n".join(turn.raw_output))
        left.add(f"error of turn {turn.index}", repr(turn.error))
    left.add("log", caplog.text)
    for folder in (tmp_path / "records", temporary, Path(os.environ["CAW_HOME"])):
        left.add_files(folder)


def test_secret_of_a_session_that_cannot_open_is_in_no_error_of_it(
    trial: Trial, planted: dict[str, Any], canaries: Canaries, tmp_path: Path
) -> None:
    program = tmp_path / "agent"
    program.write_text("#!/bin/sh\nenv >&2\nenv\nexit 3\n")
    program.chmod(0o755)
    planted["options"]["binary"] = str(program)
    left = Artefacts()
    with pytest.raises(CawError) as caught, trial.agent(**planted).start_session() as session:
        session.send("go")
    left.add_error(caught.value)
    assert left.with_any(*canaries.all) == []
