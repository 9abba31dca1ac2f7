"""opencode's logins: where they lie, when they run out, and what a container needs of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from caw_core.credentials import ContainerCredentials, CredentialFile
from caw_core.json_fields import number, text
from caw_core.process import child_environment
from caw_provider_opencode.readiness import KEY_VARIABLES, LOGIN_FILE, data_folder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_FOLDER: Final = ".local/share/opencode"


def login_expiry(file: Path) -> datetime | None:
    """Return when the first of a file's logins runs out, or None; keys do not run out."""
    try:
        data = json.loads(file.read_bytes())
        logins = data.values() if isinstance(data, dict) else ()
        # Milliseconds; auth.json of opencode 1.18 has them for logins alone.
        moments = [number(login, "expires") for login in logins if text(login, "type") == "oauth"]
        known = [moment for moment in moments if moment]
        return datetime.fromtimestamp(min(known) / 1000, UTC) if known else None
    except (OSError, ValueError, OverflowError, RecursionError):
        return None


def container_credentials(env: Mapping[str, str | None]) -> ContainerCredentials:
    """Answer `caw_core.hookspecs.ProviderSpecs.container_credentials`."""
    file = data_folder(child_environment(env)) / LOGIN_FILE
    return ContainerCredentials(
        files=(
            CredentialFile(
                path=file.absolute(),
                place=f"{_FOLDER}/{LOGIN_FILE}",
                what="logins and keys of opencode",
                # opencode 1.18.33 writes into the file itself when it renews a login.
                writable=True,
                expires_at=login_expiry(file),
            ),
        ),
        variables=KEY_VARIABLES,
        folders=(_FOLDER,),
    )
