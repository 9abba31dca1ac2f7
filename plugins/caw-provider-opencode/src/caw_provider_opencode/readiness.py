"""Whether opencode could start a session now, from this disk and the environment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from caw_core.json_fields import mapping
from caw_core.process import home_folder
from caw_core.readiness import SeenCredentials

if TYPE_CHECKING:
    from collections.abc import Mapping

    from caw_core.blocks import JSON

KEY_VARIABLES: Final = (
    "ANTHROPIC_API_KEY",
    "OPENAI_API_KEY",
    "OPENCODE_API_KEY",
    "GEMINI_API_KEY",
    "GOOGLE_GENERATIVE_AI_API_KEY",
    "OPENROUTER_API_KEY",
    "GROQ_API_KEY",
    "MISTRAL_API_KEY",
    "DEEPSEEK_API_KEY",
    "XAI_API_KEY",
    "GITHUB_TOKEN",
    "AWS_ACCESS_KEY_ID",
    "AZURE_API_KEY",
)
"""Keys in the environment by which opencode switches on a service by itself; there are more."""

LOGIN_FILE: Final = "auth.json"
LOGIN_HINT: Final = "Run: opencode auth login"


def data_folder(env: Mapping[str, str]) -> Path:
    """Return the folder in which opencode keeps its sessions and its logins."""
    chosen = env.get("XDG_DATA_HOME")
    return (Path(chosen) if chosen else home_folder(env) / ".local" / "share") / "opencode"


def credentials(env: Mapping[str, str]) -> str:
    """Say where credentials were seen, or return ``""``; their values are not read.

    A login (``auth.json``), a key in the environment, or a model provider in a configuration.
    """
    if _load(data_folder(env) / LOGIN_FILE):
        return LOGIN_FILE
    for name in KEY_VARIABLES:
        if env.get(name):
            return name
    configs = [_load(file) for file in _config_files(env)]
    for config in (*configs, _parse(env.get("OPENCODE_CONFIG_CONTENT", ""))):
        if mapping(config, "provider"):
            return "model provider in the configuration"
    return ""


def seen_credentials(env: Mapping[str, str]) -> SeenCredentials:
    """Do as `credentials`, and say when a login that lies in a file runs out."""
    from caw_provider_opencode.login import login_expiry

    seen = credentials(env)
    if seen != LOGIN_FILE:
        return SeenCredentials(seen=seen)
    file = data_folder(env) / LOGIN_FILE
    return SeenCredentials(seen=seen, path=str(file), expire_at=login_expiry(file))


def _config_files(env: Mapping[str, str]) -> list[Path]:
    chosen = env.get("XDG_CONFIG_HOME")
    folder = (Path(chosen) if chosen else home_folder(env) / ".config") / "opencode"
    files = [folder / name for name in ("config.json", "opencode.json", "opencode.jsonc")]
    named = env.get("OPENCODE_CONFIG")
    return [Path(named), *files] if named else files


def _load(file: Path) -> JSON:
    try:
        return _parse(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _parse(content: str) -> JSON:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        # opencode takes comments too. Whether it names a provider is all that is asked here.
        return {"provider": {"?": {}}} if '"provider"' in content else None
