"""Reads an old cassette with today's code, and says what that no longer makes of it."""

from __future__ import annotations

import json
import re
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from caw_core import Agent, Deadlines, ProviderInfo, hookimpl
from caw_core.errors import CawError
from caw_core.events import VendorEvent
from caw_core.registry import PluginRegistry, default_registry
from caw_core.serialize import turn_to_dict
from caw_testkit.cassettes.performance import Playing
from caw_testkit.cassettes.places import Places
from caw_testkit.cassettes.session import CassetteSession
from caw_testkit.conformance.differences import differences

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_core import StartRequest
    from caw_core.session import Session
    from caw_testkit.cassettes.tape import Cassette, Frame

_SECONDS: Final = 60.0
"""How long a silence may last. No program answers here, so this is generous on any machine."""

_UNSTABLE: Final = frozenset({"duration_ms", "index", "options", "started_at"})
"""Members of turns, and of their blocks, that depend on the machine, or on the settings of now."""

_TIME: Final = re.compile(r"\b1\d{12}\b")


@attrs.frozen(kw_only=True)
class Report:
    """What came of a check.

    Attributes:
        cassette: the file's name.
        provider: who was recorded.
        program: its program, with the version that was recorded.
        turns: how many turns were compared.
        not_understood: what was understood when it was recorded and is not any more.
        differs: how the turns differ from those of the recording, a line each.
        mismatch: what the provider says now and did not say then, with the cassette's line.
        error: why it could not be played to its end.
    """

    cassette: str
    provider: str
    program: str
    turns: int = 0
    not_understood: tuple[str, ...] = ()
    differs: tuple[str, ...] = ()
    mismatch: str = ""
    error: str = ""

    @property
    def ok(self) -> bool:
        """Whether today's code makes of it what it made of it when it was recorded."""
        return not (self.not_understood or self.differs or self.mismatch or self.error)


def check_cassette(cassette: Cassette, registry: PluginRegistry | None = None) -> Report:
    """Play a cassette through the provider that is installed now, and compare the turns.

    Interrupts and answers to requests for permission are those of the recording. No program is
    started but a small script of ours.

    Args:
        cassette: what to check.
        registry: where to find the provider; default those installed and registered.
    """
    header = cassette.header
    checked = _Checked(cassette, registry or default_registry())
    found: list[_Found] = []
    error = ""
    try:
        with tempfile.TemporaryDirectory(prefix="caw-check-") as folder:
            found.extend(checked.turns(Path(folder)))
    except CawError as failure:
        error = f"{type(failure).__name__}: {failure}"
    pairs = list(zip(cassette.turns, found, strict=False))
    return Report(
        cassette=cassette.name,
        provider=header.provider,
        program=f"{header.program} {header.program_version}".strip(),
        turns=len(found),
        not_understood=tuple(line for pair in pairs for line in _not_understood(*pair)),
        differs=tuple(line for pair in pairs for line in _differences(*pair)),
        mismatch=checked.mismatch,
        error=error,
    )


@attrs.frozen
class _Found:
    """A turn as today's code folds it, with the placeholders of the cassette, and what else."""

    turn: dict[str, Any]
    vendor: tuple[str, ...]


class _Checked:
    """The provider under check: plays the cassette, and hears what is made of it."""

    caw_api = "1.0"

    def __init__(self, cassette: Cassette, registry: PluginRegistry) -> None:
        self._cassette = cassette
        self._playing = Playing(recorded_answers=True, registry=registry)
        self._places: Places | None = None
        self._session: CassetteSession | None = None

    @hookimpl
    def provider_info(self) -> ProviderInfo:
        """Say what it is."""
        return ProviderInfo(name="cassette", auto="never")

    @hookimpl
    def start_session(self, request: StartRequest) -> CassetteSession:
        """Play."""
        self._places = Places.of(request)
        self._session = CassetteSession(self._cassette, self._playing, request)
        return self._session

    @property
    def mismatch(self) -> str:
        """What the provider said that the cassette does not have; ``""`` for nothing."""
        performance = self._session.performance if self._session else None
        return str(performance.mismatch or "") if performance else ""

    def turns(self, folder: Path) -> Iterator[_Found]:
        """Yield the turns as they are made now."""
        registry = PluginRegistry(autoload=False)
        registry.register_provider("cassette", self)
        limits = Deadlines(start=_SECONDS, first_event=_SECONDS, idle=_SECONDS, stop=5)
        agent = Agent("cassette", registry=registry, cwd=folder, deadlines=limits)
        with agent.start_session() as session:
            for frame in self._cassette.turns:
                if frame.facts["turn"].get("origin", "user") == "user":
                    yield self._turn(session, frame)

    def _turn(self, session: Session, frame: Frame) -> _Found:
        vendor: list[str] = []
        performance = self._session.performance if self._session else None
        upcoming = performance.upcoming if performance else None
        prompt = frame.facts["turn"]["input"]
        if performance is not None and upcoming is not None:
            prompt = performance.prompt_of(upcoming)
        wanted = len(session.trajectory.turns)
        with session.stream(prompt) as stream:
            try:
                vendor += [event.kind for event in stream if isinstance(event, VendorEvent)]
            except CawError:
                # A turn that failed is compared as any other.
                if len(session.trajectory.turns) == wanted:
                    raise
        document = turn_to_dict(session.trajectory.turns[-1])
        text = json.dumps(document, ensure_ascii=False)
        if self._places is not None and performance is not None:
            text = performance.ids.to_cassette(self._places.shortened(text))
        return _Found(dict(json.loads(text)), tuple(vendor))


def _not_understood(frame: Frame, found: _Found) -> Iterator[str]:
    number = frame.facts["turn"]["index"]
    more = Counter(found.vendor) - Counter(frame.facts.get("vendor", ()))
    for kind, count in more.items():
        yield f"turn {number}: {kind!r} became a VendorEvent, {count} times more than recorded"


def _differences(frame: Frame, found: _Found) -> list[str]:
    expected = frame.facts["turn"]
    place = f"$.turns[{expected['index']}]"
    return differences(_stable(expected), _stable(found.turn), place)


def _stable(document: dict[str, Any]) -> Any:
    return json.loads(
        _TIME.sub("1000000000000", json.dumps(document, ensure_ascii=False)),
        object_hook=lambda each: {k: v for k, v in each.items() if k not in _UNSTABLE},
    )
