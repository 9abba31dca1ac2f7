"""Blocks: the finished pieces of a turn's output.

Values only. They know nothing of how they are stored (`caw_core.serialize` does) and nothing of
how they came to be (`caw_core.fold` does).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import attrs

if TYPE_CHECKING:
    from caw_core.trajectory import Trajectory

JSON: TypeAlias = Any
"""A value that `json.dumps` accepts: None, bool, int, float, str, list or dict of these."""

ToolStatus = Literal["running", "completed", "failed", "declined"]
"""``failed``: the tool ran and reported an error. ``declined``: it was not allowed to run."""


def frozen_extra() -> Any:
    """Return the field in which a value carries members that this version does not know."""
    return attrs.field(factory=dict, repr=False, kw_only=True)


@attrs.frozen(kw_only=True)
class Block:
    """Base of all blocks; ``type`` is the tag in the stored document."""

    tag: ClassVar[str] = ""

    @property
    def type(self) -> str:
        """The block's tag, such as ``"text"``."""
        return self.tag


@attrs.frozen(kw_only=True)
class TextBlock(Block):
    """Text that the agent wrote for the user."""

    tag: ClassVar[str] = "text"
    text: str
    extra: Mapping[str, JSON] = frozen_extra()


@attrs.frozen(kw_only=True)
class ThinkingBlock(Block):
    """Reasoning that the agent let us see; often a summary of it."""

    tag: ClassVar[str] = "thinking"
    text: str
    extra: Mapping[str, JSON] = frozen_extra()


@attrs.frozen(kw_only=True)
class ToolUse(Block):
    """One tool call of the agent together with its result.

    Attributes:
        id: the agent's id of the call, unique within the turn.
        name: the tool's name as the agent uses it, MCP tools as ``server.tool``.
        arguments: what the tool was called with.
        output: the result as text, exactly as the agent reported it.
        is_error: the tool failed or was declined.
        status: see `ToolStatus`; ``running`` in a finished turn means that no result ever came.
        content: the result's parts as the agent sent them, where it sends parts (MCP content
            blocks, images, structured results); ``output`` is then the text among them.
        duration_ms: how long the agent says the call took, in milliseconds.
        subagent_trajectory: for a call of a subagent that caw runs (`caw_core.AgentSpec`), that
            one's own record; what it used is no part of the turn's ``usage``.
    """

    tag: ClassVar[str] = "tool_use"
    id: str
    name: str
    arguments: Mapping[str, JSON] = attrs.field(factory=dict)
    output: str = ""
    is_error: bool = False
    status: ToolStatus = "completed"
    content: tuple[JSON, ...] = ()
    duration_ms: int | None = None
    subagent_trajectory: Trajectory | None = None
    extra: Mapping[str, JSON] = frozen_extra()


@attrs.frozen(kw_only=True)
class SteerBlock(Block):
    """What the user said into the running turn, at the place where it was delivered."""

    tag: ClassVar[str] = "steer"
    text: str
    extra: Mapping[str, JSON] = frozen_extra()


@attrs.frozen(kw_only=True)
class ImageBlock(Block):
    """An image that the agent made: base64 ``data``, or a ``uri`` where it only named one."""

    tag: ClassVar[str] = "image"
    mime_type: str
    data: str = attrs.field(default="", repr=lambda data: f"<{len(data)} characters>")
    uri: str = ""
    extra: Mapping[str, JSON] = frozen_extra()


@attrs.frozen(kw_only=True)
class UnknownBlock(Block):
    """A block of a kind that this version does not know, kept as it was read."""

    raw: Mapping[str, JSON]

    @property
    def type(self) -> str:
        """The tag that the block came with."""
        return str(self.raw.get("type", ""))
