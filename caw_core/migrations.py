"""Bring stored documents of older versions up to date, one version at a time, on plain dicts.

A document is never read by guessing: its ``version`` says what it is, and each function below
turns one version into the next. They look only at what they change and leave whatever is not of
the expected shape to the reader in `caw_core.serialize`, which says where a document is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from caw_core.errors import TrajectoryFormatError, TrajectoryVersionError

DOCUMENT_VERSION = 2
"""The version that this caw writes."""

Document = dict[str, Any]


def migrate(data: Mapping[str, Any]) -> Document:
    """Return the document of a trajectory, or of its head, in the current version.

    Args:
        data: a document of any version; it is not changed. One without ``version`` is of
            version 1: the existing wrapper (coding-agent-wrapper 0.1.9, ``models.py``) writes none.

    Returns:
        A new dict whose ``version`` is `DOCUMENT_VERSION`.

    Raises:
        TrajectoryFormatError: *data* is no mapping, or its version is no positive integer.
        TrajectoryVersionError: it was written by a newer caw.
    """
    if not isinstance(data, Mapping):
        raise TrajectoryFormatError([f"must be an object, not {type(data).__name__} @ $"])
    version = data.get("version", 1)
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise TrajectoryFormatError(["must be a positive integer @ $.version"])
    if version > DOCUMENT_VERSION:
        raise TrajectoryVersionError(version, newest=DOCUMENT_VERSION)
    document = dict(data)
    for step in _STEPS[version - 1 :]:
        document = step(document)
    document["version"] = DOCUMENT_VERSION
    return document


def _from_wrapper(data: Document) -> Document:
    """Version 1 to 2: the existing wrapper's layout, whose reader took a default for each key."""
    head = {"session_id": "", "provider": data.get("agent", ""), **data}
    if isinstance(turns := head.get("turns"), list):
        head["turns"] = [_wrapper_turn(turn, index) for index, turn in enumerate(turns)]
    return head


def _wrapper_turn(turn: object, index: int) -> object:
    if not isinstance(turn, dict):
        return turn
    # The wrapper stored a turn only to say that it was over, so it has no word for its status.
    new = {"index": index, "input": "", "status": "completed", **turn}
    if isinstance(output := new.get("output"), list):
        new["output"] = [_wrapper_block(block) for block in output]
    if isinstance(usage := new.get("usage"), dict):
        new["usage"] = _wrapper_usage(usage)
    return new


def _wrapper_block(block: object) -> object:
    if not isinstance(block, dict):
        return block
    # Whatever was neither text nor thinking was a tool call to the wrapper.
    tag = block.get("type", "tool_use")
    if tag in ("text", "thinking"):
        return {"text": "", **block}
    if tag != "tool_use":
        return block
    status = "failed" if block.get("is_error") is True else "completed"
    return {"type": tag, "id": "", "name": "", "status": status, **block}


def _wrapper_usage(usage: Document) -> Document:
    # Its agents' ``"usage": null`` members were stored as null where a count belongs.
    new = {key: value for key, value in usage.items() if value is not None}
    cost = new.pop("cost_usd", None)
    if cost == 0 and not isinstance(cost, bool):
        # The wrapper had no word for "nobody knows" but zero, and nothing was ever free.
        return new
    if cost is not None:
        new = {**new, "cost_usd": cost, "cost_source": "computed"}
    return new


_STEPS: tuple[Callable[[Document], Document], ...] = (_from_wrapper,)
