"""Whether claude could start a session now, from what lies on this disk and in the environment."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from caw_core.readiness import SeenCredentials
from caw_provider_claude_code.transcripts import config_dir

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LOGIN_HINT: Final = "Log in by starting claude once, or set ANTHROPIC_API_KEY."

LOGIN_FILE: Final = ".credentials.json"

KEYS: Final = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN")
CLOUDS: Final = (
    "CLAUDE_CODE_USE_BEDROCK",
    "CLAUDE_CODE_USE_VERTEX",
    "CLAUDE_CODE_USE_FOUNDRY",
)


def credentials(env: Mapping[str, str]) -> str:
    """Say where credentials were seen, or return ``""``; their values are not read.

    A cloud's switch or a key in the environment, a login, or a command in the settings that gives
    a key. A login in the keychain of macOS shows by the account that claude's state names.
    """
    for name in (*CLOUDS, *KEYS):
        if env.get(name):
            return name
    folder = config_dir(env)
    if (folder / LOGIN_FILE).is_file():
        return LOGIN_FILE
    if _read(folder / "settings.json").get("apiKeyHelper"):
        return "apiKeyHelper"
    # Beside the folder by default, inside it where CLAUDE_CONFIG_DIR moves everything.
    state = folder if env.get("CLAUDE_CONFIG_DIR") else folder.parent
    return "oauthAccount" if _read(state / ".claude.json").get("oauthAccount") else ""


def seen_credentials(env: Mapping[str, str]) -> SeenCredentials:
    """Do as `credentials`, and say when a login that lies in a file runs out."""
    from caw_provider_claude_code.login import login_expiry

    seen = credentials(env)
    if seen != LOGIN_FILE:
        return SeenCredentials(seen=seen)
    file = config_dir(env) / LOGIN_FILE
    return SeenCredentials(seen=seen, path=str(file), expire_at=login_expiry(file))


def _read(file: Path) -> dict[str, object]:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}
