"""Checks of conversations that are continued elsewhere."""

from __future__ import annotations

import inspect
import json
import os
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from caw_core.errors import CawError
from caw_core.handles import ResumeHandle
from caw_core.plugins import AgentPlugins
from caw_core.registry import PluginRegistry
from caw_core.serialize import event_from_dict
from caw_core.trajectory import Trajectory
from caw_testkit.conformance.base import broken, needs
from caw_testkit.conformance.provider_events import check_events, folded
from caw_testkit.conformance.provider_resumed import Task
from caw_testkit.conformance.provider_stage import Stage, said
from caw_testkit.conformance.provider_suite import (
    DEFAULTS,
    FRESH_PROCESS,
    ProviderSuite,
    name_of,
    offer,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from caw_core.events import Event

_PROCESS_SECONDS = 100
_OTHER = str.maketrans("0123456789abcdefABCDEF", "9876543210fedcbaFEDCBA")


class ResumingChecks(ProviderSuite):
    """The key of a conversation, and what it leads to."""

    @needs("resume")
    def test_key_is_in_the_record(self, stage: Stage) -> None:
        """A stored record is enough to continue: the key in it is the session's."""
        session = stage.start()
        stage.answered(session)
        handle = ResumeHandle.decode(session.resume_handle)
        record = Trajectory.from_dict(session.trajectory.to_dict())
        registry = PluginRegistry()
        offer(registry, self.provider)
        plugin = registry.load_provider(name_of(self.provider))
        key = AgentPlugins(name_of(self.provider), plugin).resume_key_from_trajectory(record)
        if key != handle.resume_key:
            broken(
                f"the session's key is {handle.resume_key!r}, the stored record gives {key!r}",
                "resume_key_from_trajectory() returns what ProviderSession.resume_key was",
            )

    @needs("resume")
    def test_key_stays_the_same(self, stage: Stage) -> None:
        """A handle that was saved after the first turn is good after the second one too."""
        session = stage.start()
        stage.answered(session, "quince")
        first = session.resume_handle
        stage.answered(session, "medlar")
        if session.resume_handle != first:
            broken(
                "the resume key changed from one turn to the next",
                "give a key that names the conversation, not its last turn",
            )

    @needs("resume")
    def test_conversation_goes_on_in_a_fresh_process(
        self, stage: Stage, tmp_path: Path, agent_options: Mapping[str, Any]
    ) -> None:
        """The handle, and the record where there is one, are all that another process needs."""
        stage.need(FRESH_PROCESS)
        session = stage.start()
        first = stage.step("answer", "quince")
        stage.completed(session, first)
        session.end()
        recalls = stage.can("recall")
        prompt = stage.step("recall") if recalls else stage.step("answer", "medlar")
        wanted = (first if isinstance(first, str) else first.text) if recalls else "medlar"
        task = Task(
            provider=reference(self.provider),
            options={**DEFAULTS, "cwd": str(tmp_path), **agent_options},
            handle=session.resume_handle,
            record=session.trajectory.to_dict(),
            prompt=prompt,
        )
        events = run_elsewhere(task)
        problems = check_events(events)
        if wanted not in folded(events).text or problems:
            broken(
                f"the resumed agent should say {wanted!r} and said {said(events)!r:.300}; "
                f"{problems}",
                "continue the conversation that the key names; the history is the agent's, or that "
                "of ResumeRequest.trajectory",
            )

    @needs("resume")
    def test_unknown_key_starts_nothing_new(self, stage: Stage) -> None:
        """A conversation that is gone is told; a fresh one in its place would look like amnesia."""
        if "record_resume" in self.capabilities:
            pytest.skip("the record is all that this provider resumes from, whatever the key")
        session = stage.start()
        stage.answered(session)
        handle = ResumeHandle.decode(session.resume_handle)
        session.end()
        other = ResumeHandle(
            provider=handle.provider,
            session_id=handle.session_id,
            resume_key=handle.resume_key.translate(_OTHER),
        )
        try:
            resumed = stage.keep(stage.agent().resume_session(other.encode()))
        except CawError:
            return
        followed = stage.follow(resumed, "Please answer.")
        if followed.to_end().status == "completed":
            broken(
                "a key that names no conversation led to a new one, and its turn completed",
                "raise NotResumableError from resume_session()",
            )


def run_elsewhere(task: Task) -> list[Event]:
    """Have another process do *task*, and return the events of its turn."""
    done = subprocess.run(
        [sys.executable, "-m", "caw_testkit.conformance.provider_resumed"],
        input=pickle.dumps(task),
        capture_output=True,
        timeout=_PROCESS_SECONDS,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    if done.returncode:
        broken(
            f"the fresh process failed:\n{done.stderr.decode(errors='replace')[-3000:]}",
            "resume_session() may use its request and the agent's own store, nothing of the "
            "process that began; the provider is made anew there from its name or class",
        )
    return [event_from_dict(document) for document in json.loads(done.stdout)]


def reference(provider: object) -> str | tuple[str, str]:
    """Return by what another process finds *provider*: its name, or its class's file and name."""
    if isinstance(provider, str):
        return provider
    made = provider if isinstance(provider, type) else type(provider)
    if "<locals>" in made.__qualname__:
        broken(
            f"{made.__qualname__} is made inside a function, where no process finds it",
            "define the class at the top of its module, or declare cannot = {'fresh_process': …}",
        )
    return inspect.getfile(made), made.__qualname__
