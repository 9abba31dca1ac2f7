"""Which step answers which request, and what went otherwise than scripted."""

from __future__ import annotations

import traceback
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from caw_testkit.modelserver.steps import Drop, Fail, Garbage, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from caw_testkit.modelserver.request import Predicate, RecordedRequest
    from caw_testkit.modelserver.steps import Answer, Responder, Step

__all__ = ["Aside", "Script", "checked", "settled"]


@dataclass(frozen=True, kw_only=True)
class Aside:
    """Requests that a program makes by itself, and what answers them."""

    when: Predicate
    step: Step


@dataclass(kw_only=True)
class _Queue:
    when: Predicate | None
    steps: deque[Step] = field(default_factory=deque)
    used: int = 0


@dataclass(frozen=True, kw_only=True)
class _Rule:
    when: Predicate | None
    responder: Responder


class Script:
    """The steps of one server. Not thread-safe: its owner holds a lock."""

    def __init__(self, known_asides: Iterable[Aside]) -> None:
        """Begin with no steps; *known_asides* come after those that a test adds."""
        self._known_asides = tuple(known_asides)
        self._asides: list[Aside] = []
        self._queues: list[_Queue] = []
        self._rules: list[_Rule] = []
        self._unscripted: list[str] = []
        self._raised: list[str] = []

    def add_steps(self, steps: Iterable[Step], when: Predicate | None) -> None:
        """Append *steps* to the queue of *when*, which is made when it is new."""
        for queue in self._queues:
            if queue.when is when:
                queue.steps.extend(steps)
                return
        self._queues.append(_Queue(when=when, steps=deque(steps)))

    def add_responder(self, responder: Responder, when: Predicate | None) -> None:
        """Let *responder* answer what no queue answers."""
        self._rules.append(_Rule(when=when, responder=responder))

    def add_aside(self, aside: Aside) -> None:
        """Answer *aside* before all else; the one added last is asked first."""
        self._asides.insert(0, aside)

    def aside_for(self, request: RecordedRequest) -> Step | None:
        """Return the answer when *request* is an aside."""
        for aside in (*self._asides, *self._known_asides):
            if aside.when(request):
                return aside.step
        return None

    def step_for(self, request: RecordedRequest) -> Step | None:
        """Take the step that answers *request*, or return None and remember that.

        Queues with a predicate come first, in the order they were added. A request that such a
        queue matches is never answered from the queue without a predicate: a session that asks
        once more than scripted must not eat the steps of another one.
        """
        owned = [queue for queue in self._queues if queue.when and queue.when(request)]
        for queue in owned or [queue for queue in self._queues if queue.when is None]:
            if queue.steps:
                queue.used += 1
                return queue.steps.popleft()
        for rule in self._rules:
            if rule.when is None or rule.when(request):
                return rule.responder
        self._unscripted.append(str(request))
        return None

    def refuse(self, request: RecordedRequest, reason: str) -> None:
        """Remember that *request* could not be answered at all."""
        self._unscripted.append(f"{request} ({reason})")

    def step_raised(self, request: RecordedRequest, error: BaseException) -> None:
        """Remember that the callable that should answer *request* raised *error*."""
        self._raised.append(f"the step raised for request: {request}\n{_trace(error)}")

    def crashed(self, error: BaseException) -> None:
        """Remember that the server itself failed on a request."""
        self._raised.append(f"the model server failed:\n{_trace(error)}")

    def problems(self) -> list[str]:
        """Return a sentence for everything that went otherwise than scripted."""
        found = [f"unscripted request: {shown}" for shown in self._unscripted]
        found += self._raised
        for queue in self._queues:
            count = queue.used + len(queue.steps)
            where = f" of the queue when={_name(queue.when)}" if queue.when else ""
            found += [
                f"unused step {number} of {count}{where}: {step!r:.200}"
                for number, step in enumerate(queue.steps, start=queue.used + 1)
            ]
        return found


def checked(steps: Iterable[Step]) -> list[Step]:
    """Return *steps* as a list.

    Raises:
        TypeError: one of them is neither an answer nor a callable.
    """
    found = list(steps)
    for number, step in enumerate(found, start=1):
        if not isinstance(step, Reply | Fail | Drop | Garbage) and not callable(step):
            message = f"step {number} is {step!r:.80}, not an answer; wrap parts in reply(...)"
            raise TypeError(message)
    return found


def settled(step: Step, request: RecordedRequest) -> Answer:
    """Return the answer that *step* is, or gives for *request*.

    Raises:
        TypeError: the callable gave something else than an answer.
    """
    if isinstance(step, Reply | Fail | Drop | Garbage):
        return step
    answer = step(request)
    if not isinstance(answer, Reply | Fail | Drop | Garbage):
        message = f"{_name(step)} returned {answer!r:.80}, not an answer"
        raise TypeError(message)
    return answer


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)).strip()


def _name(function: Callable[..., object] | None) -> str:
    return getattr(function, "__qualname__", repr(function))
