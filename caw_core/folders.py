"""Where caw keeps things unless told otherwise."""

from __future__ import annotations

import os
from pathlib import Path


def caw_home() -> Path | None:
    """Return ``CAW_HOME``, which holds everything of caw's if it is set."""
    home = os.environ.get("CAW_HOME", "").strip()
    return Path(home).expanduser().absolute() if home else None


def user_data_dir() -> Path:
    """Return the folder for sessions: ``$CAW_HOME/data``, else the platform's place for data."""
    home = caw_home()
    if home is not None:
        return home / "data"
    import platformdirs

    return Path(platformdirs.user_data_dir("caw", appauthor=False))


def user_config_dir() -> Path:
    """Return the folder for the user's settings: ``$CAW_HOME``, else the platform's."""
    home = caw_home()
    if home is not None:
        return home
    import platformdirs

    return Path(platformdirs.user_config_dir("caw", appauthor=False))


def user_cache_dir() -> Path:
    """Return the folder for what can be fetched again: ``$CAW_HOME/cache``, else the platform's."""
    home = caw_home()
    if home is not None:
        return home / "cache"
    import platformdirs

    return Path(platformdirs.user_cache_dir("caw", appauthor=False))
