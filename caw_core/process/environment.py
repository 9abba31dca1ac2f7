"""The environment of a program."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def child_environment(changes: Mapping[str, str | None]) -> dict[str, str]:
    """Return this process's environment with *changes* made; None takes a variable away."""
    merged: dict[str, str | None] = {**os.environ, **changes}
    return {name: value for name, value in merged.items() if value is not None}


def home_folder(env: Mapping[str, str]) -> Path:
    """Return the user's folder as a program with the environment *env* finds it."""
    return Path(env.get("HOME") or Path.home())
