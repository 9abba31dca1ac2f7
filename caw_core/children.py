"""Subagents: the sessions that run inside a session's tool calls.

Each belongs to the turn that called it and ends with it at the latest. What happens in it is told
on the turn's stream, counts against the session's budget, and its record becomes a part of the
turn's, at the tool call.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

import attrs

from caw_core.blocks import JSON
from caw_core.child_matching import ChildAnswer, with_trajectories
from caw_core.child_settings import child_settings
from caw_core.errors import CawError, SessionStateError
from caw_core.events import Event, RawOutput, SubagentEvent, ToolStarted
from caw_core.fallback import Fallback
from caw_core.redaction import session_secrets
from caw_core.whole_events import WholeTexts, WholeTools

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from caw_core.agent_spec import AgentSpec
    from caw_core.session import Session
    from caw_core.session_core import SessionCore
    from caw_core.trajectory import Trajectory, Turn
    from caw_core.turn_run import TurnRun

log = logging.getLogger("caw.subagents")

STOP_STEPS: Final = 3
"""How many steps of stopping a turn waits for its children: asking, closing, going on without."""


class Child:
    """One subagent in one tool call. Made by `Subagents.child`; `run` is called once.

    Args:
        spec: who it is.
        core: the parent.
        tell: takes what happens in it to the parent's turn.
        call_id: the agent's id of the tool call; ``""`` where its program does not say.
        arguments: what the tool was called with.

    Attributes:
        name: the subagent's.
        call_id: see above.
        arguments: see above.
        answer: what `run` returned; None while it runs.
        ended: set when its session has ended and its program is gone.
    """

    def __init__(
        self,
        *,
        spec: AgentSpec,
        core: SessionCore,
        tell: Callable[[Event], None],
        call_id: str,
        arguments: Mapping[str, JSON],
    ) -> None:
        self.name = spec.name
        self.call_id = call_id
        self.arguments = arguments
        self.answer: ChildAnswer | None = None
        self.ended = threading.Event()
        self._spec = spec
        self._core = core
        self._tell = tell
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._record: Trajectory | None = None
        self._stopped = False

    @property
    def trajectory(self) -> Trajectory | None:
        """Its record so far, without the key that resumes it; None before it was opened."""
        session = self._session
        if session is None:
            return self._record
        return attrs.evolve(session.trajectory, resume_key=None)

    def stop(self) -> None:
        """End it early, from any thread; returns at once."""
        with self._lock:
            self._stopped = True
            session = self._session
        if session is not None:
            session.interrupt()

    def run(self, prompt: str, report: Callable[[str], None]) -> ChildAnswer:
        """Open its session, have it do the task, end the session.

        Args:
            prompt: the task.
            report: takes a line on what it does, for the agent that waits.

        Returns:
            Its last words, or what went wrong: nothing is raised for that.
        """
        try:
            answer = self._answer(prompt, report)
        except CawError as error:
            answer = self._failure(f"{type(error).__name__}: {error}")
        except Exception as error:
            log.exception("the subagent %s failed", self.name)
            answer = self._failure(f"{type(error).__name__}: {error}")
        finally:
            self._end()
        self.answer = answer
        return answer

    def _answer(self, prompt: str, report: Callable[[str], None]) -> ChildAnswer:
        session = None if self._stopped else self._open()
        if session is None or self._stopped:
            return self._failure("it was interrupted")
        with session.stream(prompt) as stream:
            if self._stopped:
                # In the moment before there was anything to interrupt.
                stream.interrupt()
            for event in _whole(stream):
                self._tell(
                    SubagentEvent(
                        name=self.name,
                        session_id=session.session_id,
                        call_id=self.call_id,
                        event=event,
                    )
                )
                if isinstance(event, ToolStarted):
                    report(f"{self.name}: {event.name}")
            turn = stream.result()
        if turn.status == "interrupted":
            return self._failure("it was interrupted")
        if not turn.result:
            return self._failure(f"it ended without an answer ({turn.stop_reason})")
        return ChildAnswer(text=turn.result)

    def _open(self) -> Session:
        core = self._core
        settings = child_settings(self._spec, core)
        plugins = core.opener.chosen.beside(
            self._spec.provider or core.plugins.provider_name, settings
        )
        # What it says, and its record, go into the parent's.
        request = settings.request(plugins.chosen.info, core.info.session_id)
        servers = settings.given.get("mcp_servers", ())
        core.redactor.add(*session_secrets({}, request, servers))
        metadata = {"subagent": self.name, "parent_session_id": core.info.session_id}
        session = Fallback(plugins).start(None, metadata)
        with self._lock:
            self._session = session
        return session

    def _failure(self, problem: str) -> ChildAnswer:
        said = self._session.trajectory.result if self._session is not None else ""
        last = f"\nIts last words:\n{said}" if said else ""
        return ChildAnswer(
            text=f"the subagent {self.name!r} did not finish: {problem}{last}", is_error=True
        )

    def _end(self) -> None:
        try:
            if self._session is not None:
                self._session.end()
        except CawError:
            log.exception("the subagent %s did not end properly", self.name)
        finally:
            # The record alone is kept: a turn may call many.
            self._record, self._session = self.trajectory, None
            self.ended.set()


class TurnChildren:
    """The subagents of one turn."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._children: list[Child] = []
        self._closed = False

    def add(self, child: Child) -> None:
        """Take one that is about to run.

        Raises:
            SessionStateError: the turn is being stopped, or over.
        """
        with self._lock:
            if self._closed:
                msg = "the turn is over"
                raise SessionStateError(msg)
            self._children.append(child)

    def stop(self) -> None:
        """End all that run, and let none begin; returns at once."""
        with self._lock:
            self._closed = True
            running = [child for child in self._children if not child.ended.is_set()]
        for child in running:
            child.stop()

    def close(self, seconds: float) -> None:
        """Do as `stop`, and wait for their end, at most *seconds*."""
        self.stop()
        deadline = time.monotonic() + seconds
        for child in self._children:
            if not child.ended.wait(max(0.0, deadline - time.monotonic())):
                log.warning("the subagent %s goes on ending after its parent's turn", child.name)

    def attached(self, turn: Turn) -> Turn:
        """Return *turn* with their records; see `caw_core.child_matching`."""
        with self._lock:
            children = list(self._children)
        return with_trajectories(turn, children) if children else turn


class Subagents:
    """The subagents that a session's agent may call.

    Args:
        specs: who they are.
    """

    def __init__(self, specs: tuple[AgentSpec, ...]) -> None:
        self.specs = specs
        self._core: SessionCore | None = None

    def attach(self, core: SessionCore) -> None:
        """Belong to a session, which is opened after its tools are served."""
        self._core = core

    def child(self, name: str, *, call_id: str, arguments: Mapping[str, JSON]) -> Child:
        """Return a subagent for one tool call of the turn that runs.

        Args:
            name: the subagent's.
            call_id: the agent's id of the call; ``""`` where its program does not say.
            arguments: what the tool was called with.

        Raises:
            SessionStateError: no turn runs.
        """
        spec = next(spec for spec in self.specs if spec.name == name)
        running = self._core.running() if self._core is not None else []
        if self._core is None or not running:
            msg = "a subagent is called in a turn, and none runs"
            raise SessionStateError(msg)
        run: TurnRun = running[0]
        child = Child(
            spec=spec,
            core=self._core,
            tell=run.tell_of_subagent,
            call_id=call_id,
            arguments=arguments,
        )
        run.children.add(child)
        return child


def _whole(events: Iterable[Event]) -> Iterator[Event]:
    """Yield events with texts and tool calls whole: a piece could be half of a secret."""
    texts, tools = WholeTexts(), WholeTools()
    for event in events:
        if not isinstance(event, RawOutput):
            for whole in texts.feed(event):
                yield from tools.feed(whole)
    yield from texts.rest()
