"""Reading ATIF documents, caw's own and those of other programs; see `caw_core.formats.atif`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import attrs

from caw_core.blocks import JSON
from caw_core.errors import TrajectoryFormatError
from caw_core.formats.atif import OURS
from caw_core.handles import is_session_id, new_session_id
from caw_core.json_fields import count, decimal, mapping, objects, text
from caw_core.migrations import DOCUMENT_VERSION
from caw_core.serialize import trajectory_from_dict, trajectory_to_dict, usage_to_dict
from caw_core.usage import UsageStats

if TYPE_CHECKING:
    from caw_core.trajectory import Trajectory

_Document = dict[str, Any]
_DATA_URL = re.compile(r"data:[^;,]*;base64,(.*)", re.DOTALL)
_STEP: Final = frozenset(
    {
        "step_id",
        "timestamp",
        "source",
        "model_name",
        "message",
        "reasoning_content",
        "tool_calls",
        "observation",
        "metrics",
        "extra",
    }
)
_SHAPES: Final[dict[str, type | tuple[type, ...]]] = {
    "message": (str, list),
    "reasoning_content": str,
    "tool_calls": list,
    "observation": dict,
    "metrics": dict,
}
"""What these members of a step must be; what is anything else, or null, tells nothing."""

_ROOT: Final = frozenset(
    {
        "schema_version",
        "session_id",
        "trajectory_id",
        "agent",
        "steps",
        "final_metrics",
        "extra",
        "subagent_trajectories",
    }
)


@attrs.frozen(kw_only=True)
class AtifImport:
    """A record that was read from an ATIF document.

    Attributes:
        trajectory: the record; one that another program wrote holds no key to resume it by.
        left_out: what of the document is not in it, a path such as ``steps[3].is_copied_context``
            each.
    """

    trajectory: Trajectory
    left_out: tuple[str, ...] = ()


def from_atif(document: JSON) -> AtifImport:
    """Read an ATIF document of any version 1.

    Each step of the user begins a turn.

    Raises:
        TrajectoryFormatError: it is no such document, or of another major version.
    """
    version = text(document, "schema_version")
    if not version.startswith("ATIF-v1."):
        said = repr(version) if version else "missing"
        problem = f"schema_version must be ATIF-v1.x, and is {said} @ $.schema_version"
        raise TrajectoryFormatError([problem])
    steps = objects(document, "steps")
    if not steps:
        problem = "steps must be a list of one step or more @ $.steps"
        raise TrajectoryFormatError([problem])
    reader = _Reader(document)
    for place, step in enumerate(steps):
        reader.read(place, step)
    return AtifImport(
        trajectory=trajectory_from_dict(reader.record()), left_out=tuple(reader.left_out)
    )


class _Reader:
    """Puts the document of a record together."""

    def __init__(self, document: JSON) -> None:
        self._document = document
        self._subagents = {
            text(each, "trajectory_id"): each for each in objects(document, "subagent_trajectories")
        }
        self._turns: list[_Document] = []
        self._usage: dict[int, UsageStats] = {}
        self._system_prompt = ""
        self.left_out = [name for name in document if name not in _ROOT]

    def record(self) -> _Document:
        head = mapping(mapping(self._document, "extra"), OURS)
        if not head:
            session_id = text(self._document, "session_id")
            agent = mapping(self._document, "agent")
            head = {
                "version": DOCUMENT_VERSION,
                "session_id": session_id if is_session_id(session_id) else new_session_id(),
                "provider": text(agent, "name") or "unknown",
                "model": text(agent, "model_name"),
                "system_prompt": self._system_prompt,
            }
            if extra := mapping(self._document, "extra"):
                head["metadata"] = {"atif_extra": extra}
        for index, usage in self._usage.items():
            # What caw wrote itself tells more than the metrics that it made of it.
            self._turns[index].setdefault("usage", usage_to_dict(usage))
        return {**head, "turns": self._turns}

    def read(self, place: int, step: _Document) -> None:
        ours = mapping(mapping(step, "extra"), OURS)
        self.left_out += [
            f"steps[{place}].{name}"
            for name, value in step.items()
            if name not in _STEP
            or (value is not None and not isinstance(value, _SHAPES.get(name, object)))
        ]
        source = text(step, "source")
        if "turn" in ours:
            self._begin(step, ours["turn"])
        elif source == "user" and "steer" in ours:
            self._put({"type": "steer", "text": _words(step.get("message")), **ours["steer"]})
        elif source == "user":
            self._begin(step, {})
            self._note_media(place, step)
        elif source == "system":
            self._system(step)
        else:
            self._agent(place, step, ours)

    def _begin(self, step: _Document, rest: JSON) -> None:
        turn = {
            "index": len(self._turns),
            "input": _words(step.get("message")),
            "output": [],
            **({"started_at": step["timestamp"]} if text(step, "timestamp") else {}),
            **(rest if isinstance(rest, dict) else {}),
        }
        self._turns.append(turn)

    def _put(self, block: _Document) -> None:
        if not self._turns:
            self._begin({"message": ""}, {"origin": "agent"})
        self._turns[-1]["output"].append(block)

    def _system(self, step: _Document) -> None:
        words = _words(step.get("message"))
        if not self._turns and not self._system_prompt:
            self._system_prompt = words
        else:
            # No agent of caw's has such a block, so it is kept as one that caw does not know.
            self._put({"type": "atif_system", "message": words})

    def _agent(self, place: int, step: _Document, ours: _Document) -> None:
        if "block" in ours:
            self._put(_whole_block(ours["block"], step))
        elif "empty" not in ours:
            if text(step, "reasoning_content"):
                extra = mapping(ours, "thinking")
                self._put({"type": "thinking", "text": step["reasoning_content"], **extra})
            if words := _words(step.get("message")):
                self._put({"type": "text", "text": words, **mapping(ours, "text")})
            self._note_media(place, step)
            self._tools(step)
        self._used(step)

    def _tools(self, step: _Document) -> None:
        results = objects(mapping(step, "observation"), "results")
        by_call: dict[str, _Document] = {}
        for result in results:
            by_call.setdefault(text(result, "source_call_id"), result)
        for call in objects(step, "tool_calls"):
            call_id = text(call, "tool_call_id")
            result = by_call.pop(call_id, {})
            block = {
                "type": "tool_use",
                "id": call_id,
                "name": text(call, "function_name"),
                "arguments": mapping(call, "arguments"),
                "output": _words(result.get("content")) if result else "",
                **({} if result else {"status": "running"}),
                **mapping(mapping(call, "extra"), OURS),
            }
            for reference in objects(result, "subagent_trajectory_ref"):
                nested = self._subagents.get(text(reference, "trajectory_id"))
                if nested is not None:
                    inner = from_atif(nested)
                    block["subagent_trajectory"] = trajectory_to_dict(inner.trajectory)
                    self.left_out += [f"subagent: {each}" for each in inner.left_out]
            self._put(block)
        for result in by_call.values():
            self._put({"type": "atif_observation", "content": result.get("content")})

    def _used(self, step: _Document) -> None:
        metrics = mapping(step, "metrics")
        if not metrics or not self._turns:
            return
        cached = count(metrics, "cached_tokens")
        cost = decimal(metrics, "cost_usd")
        index = len(self._turns) - 1
        self._usage[index] = self._usage.get(index, UsageStats()) + UsageStats(
            input_tokens=max(0, count(metrics, "prompt_tokens") - cached),
            output_tokens=count(metrics, "completion_tokens"),
            cache_read_tokens=cached,
            cost_usd=cost,
            cost_source="unknown" if cost is None else "reported",
        )

    def _note_media(self, place: int, step: _Document) -> None:
        parts = objects(step, "message")
        self.left_out += [
            f"steps[{place}].message: {text(part, 'type')}"
            for part in parts
            if text(part, "type") != "text"
        ]


def _words(content: JSON) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "\n".join(text(part, "text") for part in parts if text(part, "type") == "text")


def _whole_block(block: _Document, step: _Document) -> _Document:
    for part in objects(step, "message"):
        path = text(mapping(part, "source"), "path")
        data = _DATA_URL.fullmatch(path)
        return {**block, "data": data[1]} if data else {**block, "uri": path}
    return block
