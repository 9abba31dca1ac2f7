"""Values to versioned JSON documents and back, losing nothing.

* A block or event carries its tag in ``type``; one with an unknown tag becomes an `UnknownBlock`
  or `UnknownEvent` and leaves as it came.
* Members that this version does not know end up in a value's ``extra`` and are written back beside
  the known ones; there is no member called ``extra``.
* Members that are empty by default are left out, and so is a turn's usual ``origin``; what the
  existing wrapper (coding-agent-wrapper 0.1.9, ``models.py``) always wrote is always written, so
  that its readers go on working.
* Scalars are strict: ``"false"`` is not True and True is not 1; an int will do for a float.

Every ``*_to_dict`` raises `TypeError` for a value that JSON has no word for, naming its type.
Every ``*_from_dict`` raises `TrajectoryFormatError`, whose ``problems`` each end in a path such as
``$.turns[0].output[2].id``.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Mapping
from typing import Any, TypeVar, cast

import attrs
from cattrs import BaseValidationError, Converter, transform_error
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from caw_core import blocks, events, usage
from caw_core.blocks import JSON, Block, ToolUse, UnknownBlock
from caw_core.errors import TrajectoryError, TrajectoryFormatError
from caw_core.events import Event, UnknownEvent
from caw_core.migrations import DOCUMENT_VERSION, migrate
from caw_core.strict_json import Reader, Writer, json_copy, object_of, strict_converter
from caw_core.trajectory import (
    ErrorInfo,
    PlanEntry,
    ResolvedOption,
    SessionInfo,
    Trajectory,
    Turn,
)
from caw_core.usage import UsageStats

__all__ = [
    "DOCUMENT_VERSION",
    "block_from_dict",
    "block_to_dict",
    "event_from_dict",
    "event_to_dict",
    "session_info_from_dict",
    "session_info_to_dict",
    "trajectory_from_dict",
    "trajectory_to_dict",
    "turn_from_dict",
    "turn_to_dict",
    "usage_from_dict",
    "usage_to_dict",
]

_T = TypeVar("_T")
_Document = dict[str, Any]

_DERIVED = frozenset({"version", "agent", "usage", "total_usage", "duration_ms"})
"""Members of a trajectory's document that are made from others, and so not read."""

_WRAPPER_DEFAULTS: Mapping[str, JSON] = {"usage_limited": False, "mcp_servers": []}
"""Members that the existing wrapper always wrote and caw has no field for."""

_ALWAYS: Mapping[type, frozenset[str]] = {
    SessionInfo: frozenset(
        {"model", "created_at", "completed_at", "system_prompt", "reasoning", "metadata"},
    ),
    Turn: frozenset({"output", "usage", "duration_ms"}),
    ToolUse: frozenset({"arguments", "output"}),
    UsageStats: frozenset(
        {"input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "cost_usd"},
    ),
}
"""Members that are written even where they are empty."""

_BY_HAND = frozenset({"extra", "raw_output", "subagent_trajectory"})
"""Members that are not written and read like the others."""

_USUAL: Mapping[type, frozenset[str]] = {Turn: frozenset({"origin"})}
"""Members that are left out at their default, though it is not empty."""


def trajectory_to_dict(trajectory: Trajectory) -> _Document:
    """Return the document of *trajectory*: its head, its turns, and what older readers look for.

    ``agent``, ``usage``, ``total_usage`` (with what subagents used) and ``duration_ms`` repeat what
    stands elsewhere in the document.
    Members stand in the order in which the existing wrapper's ``faststats.py`` looks for them: the
    head within the first 4 KiB, totals after the turns.
    """
    head = session_info_to_dict(trajectory)
    metadata = head.pop("metadata")
    known = {field.name for field in attrs.fields(SessionInfo)}
    unknown = {key: head.pop(key) for key in list(head) if key not in known and key != "version"}
    limits = {key: unknown.pop(key, value) for key, value in _WRAPPER_DEFAULTS.items()}
    return {
        "version": head.pop("version"),
        "agent": trajectory.provider,
        **head,
        **json_copy(limits),
        "turns": [turn_to_dict(turn) for turn in trajectory.turns],
        "usage": usage_to_dict(trajectory.usage),
        "total_usage": usage_to_dict(trajectory.total_usage),
        "duration_ms": trajectory.duration_ms,
        "metadata": metadata,
        **unknown,
    }


def trajectory_from_dict(data: Mapping[str, JSON]) -> Trajectory:
    """Read a trajectory's document of any version; raise `TrajectoryError` if it is none."""
    return _load(_without_derived(migrate(data)), Trajectory)


def session_info_to_dict(info: SessionInfo) -> _Document:
    """Return the document of a session's head; a `Trajectory` is written without its turns."""
    document = _writer(SessionInfo)(info)
    return {"version": DOCUMENT_VERSION, **document}


def session_info_from_dict(data: Mapping[str, JSON]) -> SessionInfo:
    """Read a head's document of any version; raise `TrajectoryError` if it is none."""
    return _load(_without_derived(migrate(data)), SessionInfo)


def turn_to_dict(turn: Turn) -> _Document:
    """Return the document of *turn*, without its ``raw_output``."""
    return _writer(Turn)(turn)


def turn_from_dict(data: Mapping[str, JSON]) -> Turn:
    """Read a turn's document of the current version."""
    return _load(data, Turn)


def block_to_dict(block: Block) -> _Document:
    """Return the document of *block*, its tag under ``type``."""
    return _writer(Block)(block)


def block_from_dict(data: Mapping[str, JSON]) -> Block:
    """Read a block's document of the current version, or an unknown one."""
    return _load(data, Block)


def event_to_dict(event: Event) -> _Document:
    """Return the document of *event*, its tag under ``type``."""
    return _writer(Event)(event)


def event_from_dict(data: Mapping[str, JSON]) -> Event:
    """Read an event's document of the current version, or an unknown one."""
    return _load(data, Event)


def usage_to_dict(stats: UsageStats) -> _Document:
    """Return the document of *stats*; an unknown cost is null."""
    return _writer(UsageStats)(stats)


def usage_from_dict(data: Mapping[str, JSON]) -> UsageStats:
    """Read the document of a usage of the current version."""
    return _load(data, UsageStats)


def _without_derived(document: _Document) -> _Document:
    return {
        key: value
        for key, value in document.items()
        if key not in _DERIVED
        and not (key in _WRAPPER_DEFAULTS and _same(value, _WRAPPER_DEFAULTS[key]))
    }


def _same(value: JSON, default: JSON) -> bool:
    return type(value) is type(default) and bool(value == default)


# ------------------------------------------------------------------------------------ the converter


def _load(data: object, cls: type[_T]) -> _T:
    try:
        return cast("_T", _reader(cast("type", cls))(data, cls))
    except RecursionError:
        problems = ["nested too deeply @ $"]
    except BaseValidationError as error:
        problems = transform_error(error, format_exception=_problem)
    except (TypeError, ValueError) as error:
        problems = [f"{_problem(error, None)} @ $"]
    raise TrajectoryFormatError(problems)


def _problem(error: BaseException, _: type | None) -> str:
    # Documents hold prompts and keys, so a message names types and members and quotes no value.
    return "required member is missing" if isinstance(error, KeyError) else str(error)


# A storage writes a turn while the agent waits, so what happens for each block and member here goes
# from function to function, without asking the converter each time which one it is.


@functools.cache
def _writer(cls: type) -> Writer:
    return _converter().get_unstructure_hook(cls)


@functools.cache
def _reader(cls: type) -> Reader:
    return _converter().get_structure_hook(cls)


_BUILDING = threading.Lock()


def _converter() -> Converter:
    with _BUILDING:
        return _build()


@functools.cache
def _build() -> Converter:
    converter = strict_converter()
    # A block knows the trajectories' type by name only: its module is below theirs.
    attrs.resolve_types(ToolUse, localns={"Trajectory": Trajectory})
    for cls in (ErrorInfo, ResolvedOption, PlanEntry, usage.UsageStats):
        _register(converter, cls)
    _register_tagged(converter, Block, UnknownBlock, blocks)
    _register(converter, Turn)
    _register(converter, SessionInfo)
    _register(converter, Trajectory)
    _register_tagged(converter, Event, UnknownEvent, events)
    return converter


def _register(converter: Converter, cls: type) -> tuple[Writer, Reader]:
    always = _ALWAYS.get(cls, frozenset())
    fields = [field for field in attrs.fields(cls) if field.name not in _BY_HAND]
    known = frozenset(field.name for field in fields)
    hidden: dict[str, Any] = {
        field.name: override(omit=True) for field in attrs.fields(cls) if field not in fields
    }
    optional: dict[str, Any] = {
        field.name: override(omit_if_default=True)
        for field in fields
        if (field.name not in always and _is_empty(field.default))
        or field.name in _USUAL.get(cls, frozenset())
    }
    write: Writer = make_dict_unstructure_fn(cls, converter, **hidden, **optional)
    read: Reader = make_dict_structure_fn(cls, converter, **hidden)
    tag = getattr(cls, "tag", None)
    reserved = known | (_DERIVED if issubclass(cls, SessionInfo) else set())
    reserved |= {"type"} if tag is not None else set()

    def to_dict(value: Any) -> _Document:
        document = write(value) if tag is None else {"type": tag, **write(value)}
        if value.extra:
            extra = {key: item for key, item in value.extra.items() if key not in reserved}
            document |= json_copy(extra)
        return document

    def from_dict(data: object, _: object) -> Any:
        document = object_of(data)
        value = read(document, cls)
        if reserved.issuperset(document):
            return value
        extra = {key: item for key, item in document.items() if key not in reserved}
        return attrs.evolve(value, extra=json_copy(extra))

    converter.register_unstructure_hook(cls, to_dict)
    converter.register_structure_hook(cls, from_dict)
    return to_dict, from_dict


def _register_tool_use(converter: Converter, cls: type) -> tuple[Writer, Reader]:
    """Do as `_register`; a subagent's trajectory is a whole document in the call's."""
    write, read = _register(converter, cls)

    def to_dict(use: Any) -> _Document:
        document = write(use)
        if use.subagent_trajectory is not None:
            document["subagent_trajectory"] = trajectory_to_dict(use.subagent_trajectory)
        return document

    def from_dict(data: object, _: object) -> Any:
        document = object_of(data)
        if "subagent_trajectory" not in document:
            return read(document, None)
        try:
            nested = trajectory_from_dict(document["subagent_trajectory"])
        except TrajectoryError:
            # It is somebody else's; like everything that is not understood, it goes to ``extra``.
            return read(document, None)
        rest = {key: value for key, value in document.items() if key != "subagent_trajectory"}
        return attrs.evolve(read(rest, None), subagent_trajectory=nested)

    converter.register_unstructure_hook(cls, to_dict)
    converter.register_structure_hook(cls, from_dict)
    return to_dict, from_dict


def _register_tagged(converter: Converter, base: type, unknown: type, module: object) -> None:
    writers: dict[type, Writer] = {unknown: lambda value: cast("_Document", json_copy(value.raw))}
    readers: dict[str, Reader] = {}

    def to_dict(value: Any) -> _Document:
        write = writers.get(type(value))
        # Only a class that somebody derived from one of these is not among them.
        return write(value) if write else cast("_Document", converter.unstructure(value))

    def from_dict(data: object, _: object) -> Any:
        document = object_of(data)
        tag = document.get("type")
        read = readers.get(tag) if isinstance(tag, str) else None
        return unknown(raw=json_copy(document)) if read is None else read(document, None)

    converter.register_unstructure_hook(unknown, writers[unknown])
    converter.register_unstructure_hook_func(lambda cls: cls is base, to_dict)
    converter.register_structure_hook_func(lambda cls: cls is base, from_dict)
    # Last: members of some of these are of the base, too.
    for cls in vars(module).values():
        if isinstance(cls, type) and issubclass(cls, base) and cls not in (base, unknown):
            # Each concrete one has a tag.
            register = _register_tool_use if cls is ToolUse else _register
            writers[cls], readers[cls.tag] = register(converter, cls)  # type: ignore[attr-defined]


def _is_empty(default: Any) -> bool:
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]  # a class at run time
        return True
    return default is not attrs.NOTHING and not default
