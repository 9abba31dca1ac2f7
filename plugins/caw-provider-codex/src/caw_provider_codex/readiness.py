"""Whether codex could start a session now, from what lies on this disk and in the environment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from caw_core.json_fields import mapping, text
from caw_core.process import home_folder
from caw_core.readiness import SeenCredentials

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY_VARIABLES: Final = ("CODEX_API_KEY", "OPENAI_API_KEY")
LOGIN_FILE: Final = "auth.json"
LOGIN_HINT: Final = "Run: codex login"

_LOGGED_IN: Final = "logged in"


def codex_home(env: Mapping[str, str]) -> Path:
    """Return the folder in which codex keeps its configuration and its threads."""
    chosen = env.get("CODEX_HOME")
    return Path(chosen) if chosen else home_folder(env) / ".codex"


def credentials(env: Mapping[str, str]) -> str:
    """Say where credentials were seen, or return ``""``; their values are not read.

    A login (``auth.json``), a key in the environment, or another model provider in
    ``config.toml`` that needs no key, or whose key is set.
    """
    home = codex_home(env)
    other = _other_provider(home / "config.toml", env)
    if other is not None:
        return other
    if (home / LOGIN_FILE).is_file():
        return _LOGGED_IN
    for name in KEY_VARIABLES:
        if env.get(name):
            return f"key in {name}"
    return ""


def seen_credentials(env: Mapping[str, str]) -> SeenCredentials:
    """Do as `credentials`, and say when a login that lies in a file runs out."""
    from caw_provider_codex.login import login_expiry

    seen = credentials(env)
    if seen != _LOGGED_IN:
        return SeenCredentials(seen=seen)
    file = codex_home(env) / LOGIN_FILE
    return SeenCredentials(seen=seen, path=str(file), expire_at=login_expiry(file))


def _other_provider(file: Path, env: Mapping[str, str]) -> str | None:
    """Return what `credentials` says of a provider that is not OpenAI's own; None if it is."""
    import tomllib

    try:
        config = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    name = text(config, "model_provider")
    provider = mapping(mapping(config, "model_providers"), name)
    if not name or name == "openai" or provider.get("requires_openai_auth") is True:
        return None
    variable = text(provider, "env_key")
    if not variable:
        return f"model provider {name!r}"
    return f"key in {variable} for {name!r}" if env.get(variable) else ""
