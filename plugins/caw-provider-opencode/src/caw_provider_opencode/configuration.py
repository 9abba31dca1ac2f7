"""The settings that opencode gets through its environment, merged over those of its files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from caw_core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

CONFIG: Final = "OPENCODE_CONFIG_CONTENT"
"""The variable whose settings opencode merges last. It is no file and not in argv."""

_OURS: Final = {"experimental": {"continue_loop_on_deny": True}}
"""Without it a "no" ends the turn, if it comes without words or answers a question."""


def served(env: Mapping[str, str], config: object) -> dict[str, str]:
    """Return the environment of opencode: the user's, the caller's settings, and no updates.

    Args:
        env: the user's environment.
        config: the option ``config``, a dict of settings or None.

    Raises:
        ConfigError: the settings cannot be merged.
    """
    whole = {**env, "OPENCODE_DISABLE_AUTOUPDATE": "1"}
    config = {} if config is None else config
    if not isinstance(config, dict):
        msg = f"opencode's option 'config' must be a dict of settings, not {type(config).__name__}"
        raise ConfigError(msg)
    try:
        users = json.loads(env.get(CONFIG) or "{}")
    except ValueError as error:
        if not config:
            # opencode takes comments too. It may then end a turn after a "no".
            return whole
        msg = f"{CONFIG} holds no JSON, so opencode's option 'config' cannot be merged into it"
        raise ConfigError(msg) from error
    try:
        # In the environment, not in argv: it may hold keys.
        whole[CONFIG] = json.dumps(merged(merged(_OURS, users), config))
    except TypeError as error:
        msg = f"opencode's option 'config' must be JSON: {error}"
        raise ConfigError(msg) from error
    return whole


def merged(base: Any, over: Mapping[str, Any]) -> dict[str, Any]:
    """Return *base* with *over* laid over it, objects inside of them merged alike."""
    result = dict(base) if isinstance(base, dict) else {}
    for name, value in over.items():
        old = result.get(name)
        result[name] = merged(old, value) if isinstance(value, dict) else value
    return result
