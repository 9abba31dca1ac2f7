"""Checks of the hand-over of the terminal to the agent's own interface."""

from __future__ import annotations

import sys
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from caw_core.process.group import kill_marked, marked_pids
from caw_testkit.conformance.base import broken, needs
from caw_testkit.conformance.provider_leftovers import MARK
from caw_testkit.conformance.provider_resuming import reference
from caw_testkit.conformance.provider_stage import said
from caw_testkit.conformance.provider_suite import (
    DEFAULTS,
    FRESH_PROCESS,
    ProviderSuite,
    merged,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from caw_testkit.conformance.provider_stage import Stage


class InteractiveChecks(ProviderSuite):
    """What the user sees in the terminal, and what is left for Python."""

    @needs("interactive")
    def test_interface_answers_and_python_goes_on(
        self, stage: Stage, tmp_path: Path, agent_options: Mapping[str, Any]
    ) -> None:
        """The first prompt is sent by itself, and the handle continues what was said there."""
        prompt, result = self._handed_over(stage, tmp_path, agent_options)
        if result.get("exit_code") != 0 or not result.get("resume_handle"):
            broken(
                f"an interface that the user left gave {_told(result)}",
                "give the program's exit code, and the key of the conversation that it held",
            )
        if not stage.can("recall"):
            return
        session = stage.keep(stage.agent().resume_session(result["resume_handle"]))
        heard = said(stage.completed(session, stage.step("recall")).events)
        if prompt not in heard:
            broken(
                f"the resumed agent should know the prompt {prompt!r} and knows {heard!r:.300}",
                "InteractiveResult.resume_key names the conversation that the user was in",
            )

    @needs("interactive")
    def test_interface_leaves_the_terminal_as_it_was(
        self, stage: Stage, tmp_path: Path, agent_options: Mapping[str, Any]
    ) -> None:
        """A shell that echoes nothing, or a server that holds the conversation, is not left."""
        mark = uuid.uuid4().hex
        env = {"env": {MARK: mark}} if "env" in agent_options else {}
        try:
            _, result = self._handed_over(stage, tmp_path, merged(agent_options, env))
            before, after = result["settings"]
            if before != after:
                broken(
                    f"the terminal's settings were {before} and are {after}",
                    "use caw_core.terminal.handover.hand_over",
                )
            if not stage.wait_for(lambda: not marked_pids(mark, MARK)):
                broken(
                    f"processes are left: {sorted(marked_pids(mark, MARK))}",
                    "end every server of the agent's before start_interactive() returns",
                )
        finally:
            kill_marked(mark, variable=MARK)

    def _handed_over(
        self, stage: Stage, tmp_path: Path, options: Mapping[str, Any]
    ) -> tuple[str, dict[str, Any]]:
        """Have the agent asked something in its interface; return the prompt and the result."""
        if sys.platform == "win32":
            pytest.skip("there is no hand-over on Windows")
        assert sys.platform != "win32"  # noqa: S101 - tells the type checker that the rest is POSIX
        pytest.importorskip("pyte", reason="needs caw-testkit[terminal]")
        from caw_testkit.interactive_host import HandedTerminal

        stage.need(FRESH_PROCESS)
        prompt = stage.step("answer_typed", "quince")
        # An agent may want the user's word first that it may really do everything.
        given = {**DEFAULTS, "permissions": "auto-edit", "cwd": tmp_path, **options}
        with HandedTerminal(reference(self.provider), given, tmp_path, prompt=prompt) as terminal:
            try:
                terminal.sees("quince")
            except TimeoutError as error:
                broken(
                    f"the answer is not on the screen: {error}",
                    "the interface sends InteractiveRequest.prompt by itself",
                )
            return prompt, terminal.leaves(stage.script.leave_keys)


def _told(result: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={result.get(name)!r}" for name in ("exit_code", "error"))
