"""What one running claude says, given to the turns that it belongs to."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Final

import attrs

from caw_core.json_fields import mapping, objects, text
from caw_provider_claude_code.decoder import TurnDecoder, kind_of
from caw_provider_claude_code.floor import Floor
from caw_provider_claude_code.turn import RunningTurn
from caw_provider_claude_code.usage import Meter

if TYPE_CHECKING:
    from collections.abc import Callable

    from caw_core.blocks import JSON
    from caw_core.errors import ProcessError
    from caw_core.json_lines import Line
    from caw_core.provider import Prompt
    from caw_provider_claude_code.asking import Asking
    from caw_provider_claude_code.control import Ask, Peer
    from caw_provider_claude_code.plan import Plan

_LATE_LINES: Final = 256
"""How much is kept of what is said between turns: a background task may go on for hours."""

_TIMERS: Final = frozenset({"CronCreate", "ScheduleWakeup"})
"""Tools that make claude go on later, within the same process."""


@attrs.frozen(kw_only=True)
class OwnTurn:
    """A turn that claude began by itself.

    Attributes:
        turn: it.
        peer: the claude that it runs in.
        cause: what set it off, in claude's words.
        after: the prompt that claude had answered before.
    """

    turn: RunningTurn
    peer: Peer
    cause: str
    after: Prompt | None


class Listener:
    """Hears one claude; a new process gets a new one. See `caw_provider_claude_code.control.Owner`.

    Attributes:
        last_words: the last ``result`` line.
        model: the conversation's model, as far as it is known.
        tasks: claude's ids of the tasks that run, and of those that it will yet be told of.
        timers: whether it may have set itself a time to go on.
        commands: claude's ids of all commands that it ever put there.

    Args:
        plan: the conversation's plan.
        model: the conversation's model, as far as it is known.
        live: whether claude takes messages while it runs.
        keep_raw: have turns yield each line as it came, too.
        asking: settles claude's requests.
        on_init: told claude's id of the conversation when a turn begins.
        on_own_turn: told of each turn that claude begins by itself.
    """

    def __init__(
        self,
        *,
        plan: Plan,
        model: str,
        live: bool,
        keep_raw: bool,
        asking: Asking,
        on_init: Callable[[str], None],
        on_own_turn: Callable[[OwnTurn], None],
    ) -> None:
        self.last_words: dict[str, JSON] = {}
        self.model = model
        self.tasks: set[str] = set()
        self.timers = False
        self.commands: set[str] = set()
        self._plan = plan
        self._live = live
        self._keep_raw = keep_raw
        self._asking = asking
        self._on_init = on_init
        self._on_own_turn = on_own_turn
        self._lock = threading.Lock()
        self._floor = Floor()
        self._meter = Meter()
        self._late: deque[Line] = deque(maxlen=_LATE_LINES)
        self._ours: RunningTurn | None = None
        self._own: RunningTurn | None = None
        self._prompt: Prompt | None = None
        self._answered: Prompt | None = None

    @property
    def current(self) -> RunningTurn | None:
        """The turn that claude is at; before it took our prompt up, that prompt's."""
        with self._lock:
            return self._own or self._ours

    @property
    def at_rest(self) -> bool:
        """Whether claude does nothing and owes nothing, so that it may be started anew."""
        return not (self.tasks or self.timers or self.current)

    def expect(self, turn: RunningTurn, prompt: Prompt, peer: Peer, *, has_form: bool) -> bool:
        """Get ready for the answer to a prompt; False if its turn was interrupted already."""
        with self._lock:
            if not turn.join(peer, self._decoder(has_form=has_form)):
                return False
            self._ours, self._prompt = turn, prompt
            self._floor.prompt_sent(turn.id, commands=prompt.commands, alone=not self._live)
        return True

    def forget(self, turn: RunningTurn) -> None:
        """Expect nothing more for a prompt."""
        with self._lock:
            if self._ours is turn:
                self._ours = None
                self._floor.over("ours")

    # -------------------------------------------------------------- called in the reader's thread

    def receive(self, peer: Peer, line: Line) -> None:
        """Take a line of the conversation; see `caw_provider_claude_code.control.Owner`."""
        message = line.message or {}
        self._note(message)
        with self._lock:
            turn, begun = self._place(peer, message)
            if turn is None:
                if kind_of(message) != "stream_event":
                    self._late.append(line)
                return
            late, self._late = self._late, deque(maxlen=_LATE_LINES)
        if begun is not None:
            self._on_own_turn(begun)
        for before in late:
            turn.overhear(before)
        turn.receive(line)
        if turn.over.is_set():
            self._end(turn)

    def asked(self, peer: Peer, ask: Ask) -> None:  # noqa: ARG002 - an Ask knows its peer
        """Settle a request of claude's; see `caw_provider_claude_code.control.Owner`."""
        self._asking.take(ask)

    def ended(self, peer: Peer, error: ProcessError) -> None:  # noqa: ARG002 - there is only one
        """Take note that claude is gone; see `caw_provider_claude_code.control.Owner`."""
        with self._lock:
            turns = [turn for turn in (self._own, self._ours) if turn is not None]
            self._own = self._ours = None
            self.tasks.clear()
        for turn in turns:
            turn.process_ended(error)

    def _note(self, message: dict[str, JSON]) -> None:
        match kind_of(message):
            case "system/init":
                self._on_init(text(message, "session_id"))
            case "system/task_started":
                self.tasks.add(text(message, "task_id"))
            case "system/task_notification":
                self.tasks.discard(text(message, "task_id"))
            case "result":
                self.last_words = message
            case "assistant":
                calls = objects(mapping(message, "message"), "content")
                self.timers |= any(text(call, "name") in _TIMERS for call in calls)
            case "user":
                command = text(mapping(message, "tool_use_result"), "backgroundTaskId")
                self.commands.update({command} - {""})
                # How claude is told in the midst of a turn, without any notification.
                told = text(mapping(message, "message"), "content")
                self.tasks -= {task for task in self.tasks if task in told}

    def _place(
        self, peer: Peer, message: dict[str, JSON]
    ) -> tuple[RunningTurn | None, OwnTurn | None]:
        before, whose = self._floor.whose, self._floor.place(message)
        begun = None
        if (before, whose) == ("ours", "own") and self._ours is not None:
            self._ours.take_back()
        elif (before, whose) == ("own", "ours") and self._own is not None:
            self._own.end_here()
            self._own = None
        if whose == "own" and self._own is None:
            self._own = RunningTurn(keep_raw=self._keep_raw)
            self._own.join(peer, self._decoder())
            cause = "\n".join(filter(None, self._floor.notices))
            begun = OwnTurn(turn=self._own, peer=peer, cause=cause, after=self._answered)
        return {"nobody": None, "ours": self._ours, "own": self._own}[whose], begun

    def _end(self, turn: RunningTurn) -> None:
        with self._lock:
            self.model = turn.model or self.model
            if turn is self._own:
                self._own = None
                self._floor.notices.clear()
                self._floor.over("own")
            elif turn is self._ours:
                self._answered, self._ours = self._prompt, None
                self._floor.over("ours")

    def _decoder(self, *, has_form: bool = False) -> TurnDecoder:
        return TurnDecoder(meter=self._meter, plan=self._plan, model=self.model, has_form=has_form)
