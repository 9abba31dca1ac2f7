"""When a login runs out, read from its file without ever failing; what a container needs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from caw_provider_claude_code.login import container_credentials, login_expiry
from caw_provider_claude_code.readiness import seen_credentials

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("login", "expires"),
    [
        (
            {"claudeAiOauth": {"expiresAt": 4_000_000_000_000}},
            datetime(2096, 10, 2, 7, 6, 40, tzinfo=UTC),
        ),
        ({"claudeAiOauth": {"expiresAt": 10**30}}, None),
        ({"claudeAiOauth": {"expiresAt": "soon"}}, None),
        ({"claudeAiOauth": None}, None),
        ([], None),
    ],
)
def test_login_says_when_it_runs_out(tmp_path: Path, login: Any, expires: datetime | None) -> None:
    file = tmp_path / ".credentials.json"
    file.write_text(json.dumps(login))
    env = {"CLAUDE_CONFIG_DIR": str(tmp_path)}
    seen = seen_credentials(env)
    assert (seen.seen, seen.path, seen.expire_at) == (".credentials.json", str(file), expires)
    (declared,) = container_credentials(env).files
    assert (declared.path, declared.expires_at) == (file, expires)


def test_file_that_is_no_login_says_nothing(tmp_path: Path) -> None:
    file = tmp_path / "login"
    assert login_expiry(file) is None
    file.write_bytes(b"\xff{")
    assert login_expiry(file) is None
    file.write_text("[" * 100_000)
    assert login_expiry(file) is None


def test_key_in_the_environment_has_no_file() -> None:
    seen = seen_credentials({"ANTHROPIC_API_KEY": "canary"})
    assert (seen.seen, seen.path, seen.expire_at) == ("ANTHROPIC_API_KEY", "", None)


def test_container_without_a_login_is_told_what_to_do_on_macos(tmp_path: Path) -> None:
    env = {"CLAUDE_CONFIG_DIR": str(tmp_path)}
    assert "CLAUDE_CODE_OAUTH_TOKEN" in container_credentials(env).note
