"""Codex's login: where it lies, when it runs out, and what a container needs of it."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from caw_core.credentials import ContainerCredentials, CredentialFile
from caw_core.json_fields import mapping, number, text
from caw_core.process import child_environment
from caw_provider_codex.readiness import KEY_VARIABLES, LOGIN_FILE, codex_home

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_FOLDER: Final = ".codex"
_NOWHERE: Final = "http://127.0.0.1:9/"

_NOTE: Final = (
    "A container uses the login as it is and does not renew it: codex puts a new file in place of "
    "the old one, which a mounted file does not allow, and a login that is renewed and not kept is "
    "lost. Renewing is left to codex on this machine; start it here before the login expires."
)


def login_expiry(file: Path) -> datetime | None:
    """Return when a login file's access token runs out, or None."""
    try:
        token = text(mapping(json.loads(file.read_bytes()), "tokens"), "access_token")
        # A JSON Web Token: header, claims and signature, in base64 without its padding.
        _, claims, _ = token.split(".")
        data = base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4))
        moment = number(json.loads(data), "exp")
        return None if moment is None else datetime.fromtimestamp(moment, UTC)
    except (OSError, ValueError, OverflowError, RecursionError):
        return None


def container_credentials(env: Mapping[str, str | None]) -> ContainerCredentials:
    """Answer `caw_core.hookspecs.ProviderSpecs.container_credentials`."""
    file = codex_home(child_environment(env)) / LOGIN_FILE
    return ContainerCredentials(
        files=(
            CredentialFile(
                path=file.absolute(),
                place=f"{_FOLDER}/{LOGIN_FILE}",
                what="login of codex",
                expires_at=login_expiry(file),
            ),
        ),
        variables=KEY_VARIABLES,
        folders=(_FOLDER,),
        # codex 0.169.0 asks here for a new login, and stops using the old one only when it has it.
        settings={
            "CODEX_HOME": f"~/{_FOLDER}",
            "CODEX_REFRESH_TOKEN_URL_OVERRIDE": _NOWHERE,
        },
        note=_NOTE,
    )
