"""The file: a header and frames, each a JSON object on a line.

The kinds of frames:

* ``start``, ``end``: a process of the agent's program, with ``argv`` or ``code``.
* ``client``, ``agent``, ``stderr``: a line of its stdin, stdout or stderr; ``eof``: its stdin was
  closed; ``signal``: it was sent that signal.
* ``request``, ``response``, ``event``, ``closed``: of its HTTP server, the parts of one exchange.
* ``open``, ``prompt``, ``decision``, ``interrupt``: what caw's caller did.
* ``turn``: the turn as it was folded, and the kinds of its `caw_core.events.VendorEvent`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs

from caw_testkit.cassettes.errors import CassetteError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FORMAT: Final = "caw_cassette"
"""The member of the header that holds the version of the format."""

VERSION: Final = 1

CALLER_KINDS: Final = frozenset({"open", "prompt"})
"""What the caller does; nothing behind it is played, or expected, before it has been done."""


@attrs.frozen(kw_only=True)
class Frame:
    """One thing that happened.

    Attributes:
        kind: see the module.
        at: seconds since the beginning.
        process: which process of the agent's program, from 1; 0 for what the caller did.
        exchange: which exchange over HTTP, from 1; 0 for none.
        data: the bytes that went over the wire.
        facts: what else belongs to its kind.
        number: its line in the file, from 1.
    """

    kind: str
    at: float = 0.0
    process: int = 0
    exchange: int = 0
    data: bytes = b""
    facts: Mapping[str, Any] = attrs.field(factory=dict)
    number: int = 0

    def document(self) -> dict[str, Any]:
        """Return the frame as it stands in the file."""
        document: dict[str, Any] = {"at": self.at, "kind": self.kind}
        if self.process:
            document["process"] = self.process
        if self.exchange:
            document["exchange"] = self.exchange
        document |= self.facts
        if self.data:
            try:
                document["text"] = self.data.decode()
            except UnicodeDecodeError:
                document["base64"] = base64.b64encode(self.data).decode()
        return document

    @classmethod
    def of(cls, document: Mapping[str, Any], number: int) -> Frame:
        """Read a frame from its document."""
        facts = dict(document)
        kind, at = facts.pop("kind"), facts.pop("at")
        process, exchange = facts.pop("process", 0), facts.pop("exchange", 0)
        if "base64" in facts:
            data = base64.b64decode(facts.pop("base64"))
        else:
            data = facts.pop("text", "").encode()
        return cls(
            kind=kind,
            at=at,
            process=process,
            exchange=exchange,
            data=data,
            facts=facts,
            number=number,
        )


@attrs.frozen(kw_only=True)
class Header:
    """What a cassette says of itself.

    Attributes:
        provider: the provider that was recorded.
        program: the name of its program.
        program_version: that program's version.
        caw_version: caw's version.
        recorded_at: ISO 8601, UTC; ``at`` of the frames counts from there.
        settings: the settings of the agent that shape the wire: ``permissions``, ``model``,
            ``reasoning``, ``tools``, the names of the ``mcp_servers``, the provider's own
            ``options``, and ``attended``, whether somebody answered requests for permission.
    """

    provider: str
    program: str = ""
    program_version: str = ""
    caw_version: str = ""
    recorded_at: str = ""
    settings: Mapping[str, Any] = attrs.field(factory=dict)

    def document(self) -> dict[str, Any]:
        """Return the header as it stands in the file."""
        return {FORMAT: VERSION, **attrs.asdict(self)}


@attrs.frozen(kw_only=True)
class Cassette:
    """A cassette that was read.

    Attributes:
        name: of the file, for messages.
        header: what it says of itself.
        frames: what happened, in order.
    """

    name: str
    header: Header
    frames: tuple[Frame, ...]

    @property
    def turns(self) -> tuple[Frame, ...]:
        """The turns that were folded, in order."""
        return tuple(filter(is_turn, self.frames))

    def turns_of(self, prompt: Frame) -> int:
        """Return how many turns there are from one prompt up to what the caller did next."""
        return sum(is_turn(frame) for frame in self._part(prompt))

    def interrupt_of(self, prompt: Frame) -> Frame | None:
        """Return the interrupt of a prompt's turn, if there was one."""
        return next((frame for frame in self._part(prompt) if frame.kind == "interrupt"), None)

    def _part(self, prompt: Frame) -> Iterator[Frame]:
        for frame in self.frames:
            if frame.number > prompt.number:
                if frame.kind in CALLER_KINDS:
                    return
                yield frame

    @property
    def resume_key(self) -> str:
        """The agent's id of the conversation; ``""`` where it was never known."""
        return next((key for turn in self.turns if (key := turn.facts.get("resume_key"))), "")


def is_turn(frame: Frame) -> bool:
    """Tell whether *frame* holds a turn."""
    return frame.kind == "turn"


def is_cassette(document: object) -> bool:
    """Tell whether the first line of a file is a cassette's."""
    return isinstance(document, Mapping) and FORMAT in document


def read_cassette(path: Path) -> Cassette:
    """Read a cassette.

    Raises:
        CassetteError: it cannot be read, is none, or is of a version that is not known here.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path.name} cannot be read: {error}"
        raise CassetteError(msg) from error
    try:
        documents = [json.loads(line) for line in lines]
        if not documents or not is_cassette(documents[0]):
            msg = f"{path.name} is no cassette: its first line has no {FORMAT!r}"
            raise CassetteError(msg)
        header = documents[0]
        if header.pop(FORMAT) != VERSION:
            msg = f"{path.name} is a cassette of another version; this caw reads version {VERSION}"
            raise CassetteError(msg)
        known = {field.name for field in attrs.fields(Header)}
        return Cassette(
            name=path.name,
            header=Header(**{name: value for name, value in header.items() if name in known}),
            frames=tuple(Frame.of(each, number) for number, each in enumerate(documents[1:], 2)),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, CassetteError):
            raise
        msg = f"{path.name} is no whole cassette: {type(error).__name__}: {error}"
        raise CassetteError(msg) from error
