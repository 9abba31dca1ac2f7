"""What the caller notes about a session: metadata and tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from caw_core.errors import ConfigError
from caw_core.settings import check_metadata
from caw_core.trajectory import SessionInfo


def annotated(
    info: SessionInfo,
    metadata: Mapping[str, Any] | None,
    tags: Sequence[str] | None,
) -> SessionInfo:
    """Return a record's head with other metadata and tags.

    Args:
        info: the head.
        metadata: members to set; the others stay.
        tags: what its tags are from now on; None leaves them.

    Raises:
        ConfigError: a value is not JSON, or a tag is no word.
    """
    members = {**info.metadata, **check_metadata(metadata or {})}
    if tags is None:
        return attrs.evolve(info, metadata=members)
    if isinstance(tags, str) or not all(isinstance(tag, str) and tag.strip() for tag in tags):
        msg = f"tags are a sequence of words, not {tags!r}"
        raise ConfigError(msg)
    return attrs.evolve(info, metadata=members, tags=tuple(dict.fromkeys(tags)))
