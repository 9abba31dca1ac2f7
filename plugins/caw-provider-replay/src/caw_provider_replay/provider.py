"""The plugin: what caw calls."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from caw_core import hookimpl
from caw_core.errors import CawError, ConfigError
from caw_core.own_options import chosen_word, own_option
from caw_core.provider import OptionSupport, ProviderInfo, Readiness

if TYPE_CHECKING:
    from collections.abc import Mapping

    from caw_core.provider import ProviderSession, ResumeRequest, StartRequest

NAME: Final = "replay"
MATCHES: Final = ("order", "any", "prompt")

_WITHOUT_EFFECT: Final = OptionSupport(
    support="emulated", how="accepted and without effect: what was recorded is played"
)

_INFO: Final = ProviderInfo(
    name=NAME,
    description="plays a recorded conversation; for tests",
    capabilities=frozenset(
        {
            "files",
            "images",
            "interrupt",
            "plans",
            "record_resume",
            "resume",
            "streaming",
            "structured",
            "thinking",
            "tools",
            "usage",
        }
    ),
    options=dict.fromkeys(
        (
            "additional_dirs",
            "cwd",
            "env",
            "max_tokens",
            "mcp_servers",
            "model",
            "permissions",
            "reasoning",
            "system_prompt",
            "temperature",
            "tools",
        ),
        _WITHOUT_EFFECT,
    ),
    extra_options={
        "cassette": "path of the cassette to play",
        "record": "path of a record (a trajectory as JSON) to play instead",
        "match": (
            "order (default): each prompt must be the next one that was recorded; any: prompts may "
            "differ; prompt: of a record, the turn whose prompt it is, wherever it stands"
        ),
        "speed": "for cassettes: 1 for the pace of the recording; default 0, without any waiting",
        "wait_for_interrupt": (
            "true: what was interrupted goes on until somebody interrupts it; default: that "
            "happens by itself"
        ),
    },
    auto="never",
)


class ReplayProvider:
    """caw's provider for what was recorded."""

    caw_api: ClassVar[str] = "1.0"

    @hookimpl
    def start_session(self, request: StartRequest) -> ProviderSession:
        """Begin; see `caw_core.hookspecs.ProviderSpecs.start_session`."""
        return _opened(request, turns=0, key=None)

    @hookimpl
    def resume_session(self, request: ResumeRequest) -> ProviderSession:
        """Go on; see `caw_core.hookspecs.ProviderSpecs.resume_session`."""
        record = request.trajectory
        turns = len(record.turns) if record is not None else None
        return _opened(request, turns=turns, key=request.resume_key)

    @hookimpl
    def provider_info(self) -> ProviderInfo:
        """Say what this provider can do."""
        return _INFO

    @hookimpl
    def check_ready(self, options: Mapping[str, Any]) -> Readiness:
        """Look at the file."""
        try:
            kind, path = _source(options)
        except CawError as error:
            hint = "Name one: Agent('replay', options={'cassette': FILE})"
            return Readiness(ready=False, detail=str(error), hint=hint)
        if not path.is_file():
            return Readiness(ready=False, detail=f"there is no {kind} {path}")
        return Readiness(ready=True, detail=f"{kind} {path.name}")


def _opened(request: StartRequest, *, turns: int | None, key: str | None) -> ProviderSession:
    options = request.options
    kind, path = _source(options)
    match = chosen_word(options, "match", MATCHES, provider=NAME)
    waits = bool(own_option(options, "wait_for_interrupt", bool, "true or false", provider=NAME))
    speed = own_option(options, "speed", (int, float), "a number", provider=NAME) or 0
    if not 0 <= speed < math.inf:
        msg = f"{NAME}'s option 'speed' must be a number from 0, not {speed!r}"
        raise ConfigError(msg)
    if kind == "record":
        from caw_provider_replay.record_session import RecordSession

        return RecordSession(path, request, match=match, waits=waits, turns=turns, key=key)
    if match == "prompt":
        msg = "a cassette is played in its order; match='prompt' is for records"
        raise ConfigError(msg)
    from caw_testkit.cassettes.performance import Playing
    from caw_testkit.cassettes.session import CassetteSession
    from caw_testkit.cassettes.tape import read_cassette

    playing = Playing(any_prompt=match == "any", speed=speed, wait_for_interrupt=waits)
    return CassetteSession(read_cassette(path), playing, request, turns=turns, key=key)


def _source(options: Mapping[str, Any]) -> tuple[str, Path]:
    given = {
        kind: value
        for kind in ("cassette", "record")
        if (value := own_option(options, kind, (str, os.PathLike), "a path", provider=NAME))
    }
    if len(given) != 1:
        msg = f"{NAME} takes one of the options 'cassette' and 'record', a path"
        raise ConfigError(msg)
    ((kind, value),) = given.items()
    return kind, Path(value).expanduser()
