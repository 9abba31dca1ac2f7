"""Documents of either form as records."""

from __future__ import annotations

import json
from typing import Literal

from caw_core.errors import TrajectoryError
from caw_core.formats.atif_reading import AtifImport, from_atif
from caw_core.handles import new_session_id
from caw_core.serialize import trajectory_from_dict


def read_document(
    text: bytes, place: str, form: Literal["caw", "atif"] | None = None
) -> AtifImport:
    """Return the record in a document, and what of it a record has no place for.

    Args:
        text: JSON in UTF-8.
        place: where it is from, for messages.
        form: what it is; default what it says that it is.

    Raises:
        TrajectoryError: it is neither, or damaged.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        msg = f"{place} is no JSON document: {error}"
        raise TrajectoryError(msg) from error
    if not isinstance(document, dict):
        msg = f"{place}: it holds no object"
        raise TrajectoryError(msg)
    if form == "atif" or (form is None and "schema_version" in document):
        return from_atif(document)
    if "turns" not in document:
        msg = f"{place} is neither a record of caw's nor an ATIF document: it has no turns"
        raise TrajectoryError(msg)
    record = trajectory_from_dict({"session_id": new_session_id(), **document})
    return AtifImport(trajectory=record)
