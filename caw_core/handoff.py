"""Carrying a conversation on to another provider.

Three ways, the best that the provider knows is taken:

* ``native``: it puts the history into a conversation of its agent's own (`import_history`);
* ``replay``: it sends the history with each prompt, from the record (`record_resume`);
* ``brief``: the history goes in front of the first prompt, as a bounded text that is marked as
  history. That works with any agent.

The record of the new session begins with the turns of the old one. They carry no usage there: what
was used stands once, in the record of the session that used it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import attrs

from caw_core.blocks import ToolUse
from caw_core.brief import BRIEF_CHARACTERS, LEAST_CHARACTERS, HistoryParts, brief_of, parts_of
from caw_core.errors import ConfigError, UnsupportedError
from caw_core.events import ProviderChanged
from caw_core.fold import PROVIDER_CHANGES
from caw_core.history import repaired
from caw_core.usage import UsageStats

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from caw_core.brief import Brief
    from caw_core.events import Event
    from caw_core.plugins import AgentPlugins
    from caw_core.provider import Prompt, ProviderInfo
    from caw_core.provider_order import Model
    from caw_core.session import Session
    from caw_core.session_core import SessionCore
    from caw_core.trajectory import SessionInfo, Trajectory, Turn

HandoffWay = Literal["native", "replay", "brief"]

HANDOFF: Final = "handoff"
"""In the ``extra`` of a session's head: how it came to have its history."""

HANDED_TO: Final = "handed_to"
"""In the ``extra`` of a session's head: which session took the conversation over."""

COPIED_FROM: Final = "copied_from"
"""In a turn's ``extra``: the session that had it, in whose record its usage stands."""

_CAPABILITIES: Final[Mapping[HandoffWay, str]] = {
    "native": "import_history",
    "replay": "record_resume",
}


@attrs.frozen(kw_only=True)
class Handoff:
    """What came of a handoff.

    Attributes:
        session: the new session.
        how: the way in which its agent gets the history.
        kept: what of it the new agent's model is told.
        dropped: what it is not told; what was done is done all the same.
    """

    session: Session
    how: HandoffWay
    kept: HistoryParts
    dropped: HistoryParts


@attrs.frozen(kw_only=True)
class Wish:
    """What the caller wants of a handoff; the fields are the arguments of `Session.handoff`."""

    provider: str
    model: Model | None = None
    how: HandoffWay | Literal["auto"] = "auto"
    options: Mapping[str, Any] | None = None
    session_id: str | None = None
    metadata: Mapping[str, Any] | None = None
    end: bool = True
    max_characters: int = BRIEF_CHARACTERS

    def check(self) -> None:
        """Raise `ConfigError` if something in it makes no sense."""
        if not isinstance(self.provider, str) or not self.provider:
            msg = f"a conversation is handed to one provider, by its name, not {self.provider!r}"
            raise ConfigError(msg)
        if self.how not in ("auto", *get_args(HandoffWay)):
            msg = f"how is 'auto', 'native', 'replay' or 'brief', not {self.how!r}"
            raise ConfigError(msg)
        limit = self.max_characters
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < LEAST_CHARACTERS:
            msg = f"max_characters is a whole number from {LEAST_CHARACTERS} on, not {limit!r}"
            raise ConfigError(msg)


@attrs.frozen(kw_only=True)
class Inheritance:
    """What a session gets of another one.

    Attributes:
        record: the record that its own begins with.
        told: the turns that its agent is told of, as a model can take them.
        how: the way in which.
        mark: what the head of its record says of it.
    """

    record: Trajectory
    told: Trajectory
    how: HandoffWay
    mark: Mapping[str, Any]


def hand_over(core: SessionCore, wish: Wish) -> Handoff:
    """Open the new session; see `caw_core.Session.handoff`. Called between two turns."""
    wish.check()
    chosen = core.opener.chosen
    plugins = chosen.named(wish.provider)
    # Without an order, the settings were given for the provider that the session has.
    others = None if chosen.order else plugins.info.name != core.info.provider
    given = chosen.settings_for(plugins, others=others, model=wish.model, options=wish.options)
    opener = chosen.opener(plugins, given)
    history = core.redactor.value(core.trajectory)
    ways = _ways(plugins, wish)
    for way in ways:
        inheritance, kept, dropped = _inherited(history, plugins.info, way, wish.max_characters)
        try:
            session = opener.continue_with(inheritance, wish.session_id, wish.metadata)
        except UnsupportedError:
            # This version of the agent cannot, and there is another way.
            if way == ways[-1]:
                raise
            continue
        break
    mark = {"session_id": session.session_id, "provider": session.provider}
    core.change_info(extra={**core.info.extra, HANDED_TO: mark})
    if wish.end:
        core.end_unattended()
    return Handoff(session=session, how=way, kept=kept, dropped=dropped)


def _ways(plugins: AgentPlugins, wish: Wish) -> list[HandoffWay]:
    able: list[HandoffWay] = [
        way for way, capability in _CAPABILITIES.items() if capability in plugins.info.capabilities
    ]
    able.append("brief")
    if wish.how == "auto":
        return able
    if wish.how not in able:
        name = plugins.info.name
        msg = f"the provider {name!r} does not take a history by {wish.how!r}, but by: "
        raise UnsupportedError(msg + ", ".join(able), provider=name, options=("how",))
    return [wish.how]


def _inherited(
    history: Trajectory, info: ProviderInfo, how: HandoffWay, limit: int
) -> tuple[Inheritance, HistoryParts, HistoryParts]:
    whole = parts_of(history.turns)
    told = _told(history.turns)
    if how == "brief":
        kept = _brief(told, history, limit).kept
    else:
        counted = parts_of(told)
        unseen = {"tool_calls", "thinking", "images"} - info.history
        kept = attrs.evolve(counted, attachments=0, **dict.fromkeys(unseen, 0))
    dropped = whole - kept
    mark = {
        "how": how,
        "from_session": history.session_id,
        "from_provider": history.provider,
        "last_turn": history.turns[-1].index if history.turns else -1,
        "kept": attrs.asdict(kept),
        "dropped": attrs.asdict(dropped),
        **({"max_characters": limit} if how == "brief" else {}),
    }
    inheritance = Inheritance(
        record=attrs.evolve(history, turns=tuple(_copied(turn, history) for turn in history.turns)),
        told=attrs.evolve(history, turns=told),
        how=how,
        mark=mark,
    )
    return inheritance, kept, dropped


def _told(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """Return the turns that are part of the conversation, with a result for each tool call.

    A prompt that nothing came of, e.g. since a limit was reached, is sent again by whoever wants an
    answer. What broke off in the middle is told as interrupted.
    """
    return tuple(
        turn if turn.status == "completed" else attrs.evolve(turn, status="interrupted")
        for turn in repaired(turns)
        if turn.output or turn.status == "completed"
    )


def _copied(turn: Turn, history: Trajectory) -> Turn:
    source = {"session_id": history.session_id, "provider": history.provider}
    return attrs.evolve(
        turn,
        usage=UsageStats(),
        output=tuple(
            attrs.evolve(block, subagent_trajectory=None) if isinstance(block, ToolUse) else block
            for block in turn.output
        ),
        extra={COPIED_FROM: source, **turn.extra},
    )


def _brief(told: Sequence[Turn], history: Trajectory, limit: int) -> Brief:
    left_out = len(history.turns) - len(told)
    return brief_of(told, history.provider, left_out=left_out, limit=limit)


# -------------------------------------------------------------------------- the first turn after


def carried(core: SessionCore, prompt: Prompt, tell: Callable[[Event], None]) -> Prompt:
    """Return *prompt* as it is sent, and tell of a handoff that no turn has told of yet.

    It is told again, and the brief sent again, until a turn came to something: an agent that was
    limited before it began does not know the history.

    Args:
        core: the session.
        prompt: what is to be sent.
        tell: takes the event.
    """
    mark = core.info.extra.get(HANDOFF)
    if not isinstance(mark, Mapping):
        return prompt
    record = core.trajectory
    last = mark["last_turn"]
    if any(turn.index > last and _knows(turn) for turn in record.turns):
        return prompt
    how = mark["how"]
    if how == "brief" and prompt.commands:
        # A command is one only at the very beginning.
        return prompt
    kept, dropped = HistoryParts(**mark["kept"]), HistoryParts(**mark["dropped"])
    tell(
        ProviderChanged(
            from_provider=mark["from_provider"],
            to_provider=core.info.provider,
            cause="handoff",
            reason=f"handed over as {how}; kept: {kept}; dropped: {dropped}",
            extra=dict(mark),
        )
    )
    if how != "brief":
        return prompt
    before = attrs.evolve(
        record,
        provider=mark["from_provider"],
        turns=tuple(turn for turn in record.turns if turn.index <= last),
    )
    text = _brief(_told(before.turns), before, mark["max_characters"]).text
    return attrs.evolve(prompt, text=text + prompt.text)


def _knows(turn: Turn) -> bool:
    told = turn.extra.get(PROVIDER_CHANGES, ())
    begun = any(isinstance(item, Mapping) and item.get("cause") == "handoff" for item in told)
    return begun and (bool(turn.output) or turn.status == "completed")


def marked(info: SessionInfo, inheritance: Inheritance) -> SessionInfo:
    """Return the head of a record that begins with another's turns."""
    extra = {key: value for key, value in info.extra.items() if key != HANDED_TO}
    return attrs.evolve(
        info,
        forked_from=inheritance.record.session_id,
        extra={**extra, HANDOFF: dict(inheritance.mark)},
    )
