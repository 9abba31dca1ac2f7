"""Claude's login: where it lies, when it runs out, and what a container needs of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from caw_core.credentials import ContainerCredentials, CredentialFile
from caw_core.json_fields import mapping, number
from caw_core.process import child_environment
from caw_provider_claude_code.readiness import CLOUDS, KEYS, LOGIN_FILE
from caw_provider_claude_code.transcripts import config_dir

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_FOLDER: Final = ".claude"
_STARTED: Final = json.dumps({"hasCompletedOnboarding": True})
"""Without it claude's own interface asks for colors and a login before anything else."""

_RENEWED: Final = (
    "When claude renews its login on this machine, containers that run keep the old one: start "
    "them anew."
)
_NO_FILE: Final = (
    "There is no login file; one in the keychain of macOS cannot be mounted. Run "
    "'claude setup-token' and set CLAUDE_CODE_OAUTH_TOKEN."
)


def login_expiry(file: Path) -> datetime | None:
    """Return when a login file's access token runs out, or None."""
    try:
        data = json.loads(file.read_bytes())
        # Milliseconds, in .credentials.json of claude 2.1.
        moment = number(mapping(data, "claudeAiOauth"), "expiresAt")
        return None if moment is None else datetime.fromtimestamp(moment / 1000, UTC)
    except (OSError, ValueError, OverflowError, RecursionError):
        return None


def container_credentials(env: Mapping[str, str | None]) -> ContainerCredentials:
    """Answer `caw_core.hookspecs.ProviderSpecs.container_credentials`."""
    file = config_dir(child_environment(env)) / LOGIN_FILE
    return ContainerCredentials(
        files=(
            CredentialFile(
                path=file.absolute(),
                place=f"{_FOLDER}/{LOGIN_FILE}",
                what="login of Claude Code",
                # claude 2.1.197 and 2.1.329 put a new file in its place, and where that cannot be,
                # as where it is mounted, write into it.
                writable=True,
                expires_at=login_expiry(file),
            ),
        ),
        variables=(*KEYS, *CLOUDS),
        folders=(_FOLDER,),
        start_files={f"{_FOLDER}/.claude.json": _STARTED},
        # Else claude's state lies beside the folder, where it cannot be kept.
        settings={"CLAUDE_CONFIG_DIR": f"~/{_FOLDER}"},
        note=_RENEWED if file.is_file() else _NO_FILE,
    )
