"""The environment of a program."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def child_environment(changes: Mapping[str, str | None]) -> dict[str, str]:
    """Return this process's environment with *changes* made; None takes a variable away."""
    merged: dict[str, str | None] = {**os.environ, **changes}
    return {name: value for name, value in merged.items() if value is not None}
