"""When a login runs out, read from its file without ever failing; what a container needs."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from caw_provider_codex.login import container_credentials, login_expiry
from caw_provider_codex.readiness import seen_credentials

if TYPE_CHECKING:
    from pathlib import Path


def token(claims: object) -> str:
    part = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"header.{part}.signature"


@pytest.mark.parametrize(
    ("access", "expires"),
    [
        (token({"exp": 4_000_000_000}), datetime(2096, 10, 2, 7, 6, 40, tzinfo=UTC)),
        (token({"exp": 10**30}), None),
        (token({}), None),
        (token([]), None),
        ("opaque", None),
        ("a.\u00e9.b", None),
        (None, None),
    ],
)
def test_login_says_when_it_runs_out(tmp_path: Path, access: Any, expires: datetime | None) -> None:
    file = tmp_path / "auth.json"
    file.write_text(json.dumps({"tokens": {"access_token": access}}))
    env = {"CODEX_HOME": str(tmp_path)}
    seen = seen_credentials(env)
    assert (seen.seen, seen.path, seen.expire_at) == ("logged in", str(file), expires)
    (declared,) = container_credentials(env).files
    assert (declared.path, declared.expires_at) == (file, expires)


def test_file_that_is_no_login_says_nothing(tmp_path: Path) -> None:
    file = tmp_path / "login"
    assert login_expiry(file) is None
    file.write_bytes(b"\xff{")
    assert login_expiry(file) is None


def test_container_can_not_write_to_the_login_nor_renew_it(tmp_path: Path) -> None:
    declared = container_credentials({"CODEX_HOME": str(tmp_path)})
    assert not declared.files[0].writable
    assert "CODEX_REFRESH_TOKEN_URL_OVERRIDE" in declared.settings
