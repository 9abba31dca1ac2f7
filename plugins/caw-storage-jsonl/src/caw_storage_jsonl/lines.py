r"""What is written: the lines of ``traj.jsonl``, made from values, without any I/O.

One JSON object a line, ``\n`` at its end, UTF-8:

``metadata``
    the session's head; the last one counts.
``user``
    a turn begins, or begins again: ``message``, ``turn_index``, and what is known of it already.
``text``, ``thinking``, ``image``, ``tool_call``, ``tool_result``
    a block, or half of one, at ``block_index``; the last one of an index counts.
``block``
    a block of any other kind, whole under ``block``.
``turn_update``
    what a running turn has besides blocks (usage so far, plan …), whole; the last one counts.
``turn_end``
    everything of the turn but its blocks. ``num_blocks`` says how many of them there are,
    ``num_turns`` how many turns the session has and ``last_turn`` the highest index of them,
    ``metadata_at`` at which byte the last ``metadata`` line begins, so that a list, and whoever
    wants the last turns, need not read the whole file.
``shared``
    before its first turn, where a fork keeps the turns that it shares with its parent: see
    `Shared`.

A turn that begins again has ``again`` on its ``user`` line: some of its blocks come before it.

Kinds and members are a superset of the existing wrapper's (coding-agent-wrapper 0.1.9,
``storage.py``), whose readers pass over what they do not know. A member of a value that has the
name of one of the line's own stands under ``shadowed``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from caw_core.blocks import JSON, Block, ToolUse
from caw_core.document_text import document_lines
from caw_core.serialize import block_to_dict, session_info_to_dict, turn_to_dict
from caw_core.usage import UsageStats

if TYPE_CHECKING:
    from caw_core.trajectory import SessionInfo, Turn

TRUTH_NAME = "traj.jsonl"
SHADOWED = "shadowed"

RESERVED = frozenset({SHADOWED, "subagent"})
"""Never a value's own member on a line; ``subagent`` is how the wrapper tagged copied lines."""

OWN = {
    "metadata": frozenset({"type"}),
    "user": frozenset({"type", "turn_index", "message", "again"}),
    "turn_update": frozenset({"type", "turn_index"}),
    "turn_end": frozenset(
        {"type", "turn_index", "num_blocks", "num_turns", "last_turn", "metadata_at"}
    ),
    "text": frozenset({"type", "turn_index", "block_index"}),
    "thinking": frozenset({"type", "turn_index", "block_index"}),
    "image": frozenset({"type", "turn_index", "block_index"}),
    "block": frozenset({"type", "turn_index", "block_index", "block"}),
    "tool_call": frozenset({"type", "turn_index", "block_index", "id", "name", "arguments"}),
    "tool_result": frozenset({"type", "turn_index", "block_index", "id", "name"}),
}
"""The members that belong to a line and not to the value on it, for each kind."""

_TAKEN = {kind: own | RESERVED for kind, own in OWN.items()}

_TURN_PARTS = ("index", "input", "output")
_END_PARTS = ("status", "stop_reason", "error", "duration_ms")


@attrs.frozen(kw_only=True)
class WrittenTurn:
    """What the file holds of one turn already.

    Attributes:
        message: the prompt.
        state: the members of the turn's last ``user``, ``turn_update`` or ``turn_end`` line.
        ended: whether that was a ``turn_end``.
        num_blocks: how many blocks the last ``turn_end`` spoke of.
        blocks: each block by its index, and whether it is there whole: of a running tool call
            only the first half is.
    """

    message: str
    state: Mapping[str, JSON]
    ended: bool = False
    num_blocks: int = 0
    blocks: Mapping[int, tuple[Block, bool]] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Position:
    """What a ``turn_end`` says of the file around it."""

    num_turns: int
    last_turn: int
    metadata_at: int


@attrs.frozen(kw_only=True)
class Segment:
    """A part of what a fork shares: the beginning of a file that its parent wrote.

    Attributes:
        file: its name in the fork's folder.
        end: how many bytes of it count; what its parent adds later lies behind them.
        stop: only turns with an index below it.
    """

    file: str
    end: int
    stop: int


@attrs.frozen(kw_only=True)
class Shared:
    """What a ``shared`` line says.

    Attributes:
        stop: the fork has the turns below this index from its parent.
        segments: where they are; of two that have a turn the later one counts.
        title: of its list entry.
        status: of the last one of these turns.
    """

    stop: int
    segments: tuple[Segment, ...]
    title: str
    status: str

    @classmethod
    def of(cls, line: Mapping[str, Any]) -> Shared:
        """Read a line; raise `DamagedLineError` for one that cannot be understood."""
        try:
            segments = tuple(Segment(**each) for each in line["segments"])
            return cls(
                stop=int(line["stop"]),
                segments=segments,
                title=str(line["title"]),
                status=str(line["status"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            msg = f"does not say what it shares: {error!r}"
            raise DamagedLineError(msg) from error

    def line(self, metadata_at: int) -> bytes:
        """Return the line."""
        position = Position(num_turns=self.stop, last_turn=self.stop - 1, metadata_at=metadata_at)
        line = {"type": "shared", **attrs.asdict(self), **attrs.asdict(position)}
        return document_lines([line])


class DamagedLineError(ValueError):
    """A line that cannot be understood; whoever knows the file names it."""


def metadata_line(session: SessionInfo) -> bytes:
    """Return the line for the head of a session."""
    head = session_info_to_dict(session)
    version = head.pop("version")
    # ``agent`` is the wrapper's word for the provider; caw's own reader passes over it.
    own = {"version": version, "agent": session.provider}
    return document_lines([_line("metadata", own, head)])


def turn_lines(
    turn: Turn, written: WrittenTurn | None, position: Position
) -> tuple[bytes, WrittenTurn]:
    """Return the lines that bring the file from *written* to *turn*, and what it then holds.

    While the turn runs, a block that may still change is left for later: the last one, unless it
    is a tool call. No line at all (``b""``) means that the file is up to date; a running state of a
    turn that has ended is late, and older than what is there.
    """
    running = turn.status == "running"
    if running and written is not None and written.ended:
        return b"", written
    state = _state(turn, running=running)
    own: dict[str, JSON] = {"turn_index": turn.index}
    lines: list[dict[str, JSON]] = []
    if written is None or written.message != turn.input:
        start = state if running else {"started_at": turn.started_at}
        again: dict[str, JSON] = {"again": True} if written else {}
        lines.append(_line("user", {"message": turn.input, **own, **again}, start))
        blocks = written.blocks if written else {}
        written = WrittenTurn(message=turn.input, state=start, blocks=blocks)
    after: dict[int, _Written] = dict(written.blocks)
    for index, block in enumerate(turn.output):
        growing = running and index == len(turn.output) - 1
        new, after[index] = _block_lines(
            block, written.blocks.get(index), running=running, growing=growing
        )
        lines += [
            _line(kind, {**own, "block_index": index, **mine}, rest) for kind, mine, rest in new
        ]
    if running and state != written.state:
        lines.append(_line("turn_update", own, state))
    num_blocks = len(turn.output)
    if not running and (
        lines or not written.ended or (written.state, written.num_blocks) != (state, num_blocks)
    ):
        end = {"num_blocks": num_blocks, **attrs.asdict(position)}
        lines.append(_line("turn_end", own | end, state))
    return document_lines(lines), WrittenTurn(
        message=turn.input,
        state=state,
        ended=not running,
        num_blocks=num_blocks,
        blocks={index: entry for index, entry in after.items() if entry is not None},
    )


_Written = tuple[Block, bool] | None
_NewLine = tuple[str, dict[str, JSON], Mapping[str, JSON]]


def _block_lines(
    block: Block, before: _Written, *, running: bool, growing: bool
) -> tuple[list[_NewLine], _Written]:
    old, was_whole = before or (None, False)
    unfinished = running and isinstance(block, ToolUse) and block.status == "running"
    if growing and not isinstance(block, ToolUse):
        return [], before
    # Once its result was written, only another result can take it back.
    whole = was_whole or not unfinished
    if (old is block or old == block) and whole == was_whole:
        return [], before
    document = block_to_dict(block)
    tag = document.pop("type", None)
    if not isinstance(block, ToolUse):
        if tag in ("text", "thinking", "image"):
            return [(tag, {}, document)], (block, True)
        return [("block", {"block": block_to_dict(block)}, {})], (block, True)
    named = {"id": document.pop("id"), "name": document.pop("name")}
    arguments = document.pop("arguments")
    lines: list[_NewLine] = []
    if not isinstance(old, ToolUse) or (block.id, block.name, arguments) != (
        old.id,
        old.name,
        old.arguments,
    ):
        lines.append(("tool_call", {**named, "arguments": arguments}, {}))
    if whole:
        lines.append(("tool_result", named, {"is_error": False, **document}))
    return lines, (block, whole)


def _state(turn: Turn, *, running: bool) -> dict[str, JSON]:
    document = turn_to_dict(attrs.evolve(turn, output=()))
    for part in _TURN_PARTS:
        del document[part]
    if running:
        for part in _END_PARTS:
            document.pop(part, None)
        if turn.usage == UsageStats():
            del document["usage"]
    # The existing wrapper's ``user`` lines have no such member, which tells the two apart.
    document.setdefault("started_at", "")
    return document


def _line(kind: str, own: Mapping[str, JSON], document: Mapping[str, JSON]) -> dict[str, JSON]:
    taken = _TAKEN[kind]
    if taken.isdisjoint(document):
        return {"type": kind, **own, **document}
    hidden = {key: document[key] for key in document if key in taken}
    shown = {key: document[key] for key in document if key not in taken}
    return {"type": kind, **own, **shown, SHADOWED: hidden}
