"""The other process of a check: resumes a conversation and tells what happened.

``python -m caw_testkit.conformance.provider_resumed`` reads a pickled `Task` from stdin and writes
the turn's events to stdout, as a JSON list.
"""

from __future__ import annotations

import importlib.util
import json
import pickle
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from caw_core import Agent, PluginRegistry, Prompt, hookimpl
from caw_core.serialize import event_to_dict
from caw_core.trajectory import Trajectory

if TYPE_CHECKING:
    from caw_core.trajectory import SessionInfo, Turn

NAME = "resumed"


@attrs.frozen(kw_only=True)
class Task:
    """What the other process is to do.

    Attributes:
        provider: its name as users type it, or the file and the qualified name of its class.
        options: the agent's.
        handle: the resume handle.
        record: the document of the record so far.
        prompt: what is sent then.
    """

    provider: str | tuple[str, str]
    options: Mapping[str, Any] = attrs.field(repr=False)
    handle: str = attrs.field(repr=False)
    record: Mapping[str, Any] = attrs.field(repr=False)
    prompt: str | Prompt


class OneRecord:
    """A storage that has one session."""

    caw_api = "1.0"

    def __init__(self, record: Mapping[str, Any]) -> None:
        self._record = Trajectory.from_dict(record)

    @hookimpl
    def persist_turn(self, session: SessionInfo, turn: Turn) -> None:
        """Keep nothing: nobody reads it again."""

    @hookimpl
    def load_trajectory(self, session_id: str) -> Trajectory | None:
        """Return the record, if it is this one's."""
        return self._record if session_id == self._record.session_id else None


def load_class(file: str, name: str) -> type:
    """Return the class *name* of a module that may not be importable by name.

    Args:
        file: the module's file.
        name: the class's qualified name.
    """
    spec = importlib.util.spec_from_file_location(f"caw_conformance_{Path(file).stem}", file)
    if spec is None or spec.loader is None:
        raise ImportError(file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module
    spec.loader.exec_module(module)
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part)
    return found  # type: ignore[no-any-return]  # what the suite named is a class


def main() -> None:
    """Do the task."""
    task: Task = pickle.load(sys.stdin.buffer)  # noqa: S301 - it comes from the suite itself
    registry = PluginRegistry()
    name = task.provider
    if not isinstance(name, str):
        registry.register_provider(NAME, load_class(*name), replace=True)
        name = NAME
    agent = Agent(name, registry=registry, **task.options, storage=OneRecord(task.record))
    with agent.resume_session(task.handle) as session:
        events = [event_to_dict(event) for event in session.stream(task.prompt)]
    sys.stdout.write(json.dumps(events))


if __name__ == "__main__":
    main()
