"""When a login runs out, read from its file without ever failing; what a container needs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from caw_provider_opencode.login import container_credentials, login_expiry
from caw_provider_opencode.readiness import seen_credentials

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("logins", "expires"),
    [
        (
            {
                "a": {"type": "oauth", "expires": 4_000_000_000_000},
                "b": {"type": "oauth", "expires": 5_000_000_000_000},
                "c": {"type": "api", "key": "canary", "expires": 1},
            },
            datetime(2096, 10, 2, 7, 6, 40, tzinfo=UTC),
        ),
        ({"a": {"type": "api", "key": "canary"}}, None),
        ({"a": {"type": "oauth", "expires": 10**30}}, None),
        ({"a": {"type": "oauth", "expires": 0}}, None),
        ({"a": 3}, None),
        (["a"], None),
    ],
)
def test_first_login_that_runs_out_counts(
    tmp_path: Path, logins: Any, expires: datetime | None
) -> None:
    file = tmp_path / "opencode" / "auth.json"
    file.parent.mkdir()
    file.write_text(json.dumps(logins))
    env = {"XDG_DATA_HOME": str(tmp_path)}
    seen = seen_credentials(env)
    assert (seen.seen, seen.path, seen.expire_at) == ("auth.json", str(file), expires)
    (declared,) = container_credentials(env).files
    assert (declared.path, declared.expires_at, declared.writable) == (file, expires, True)
    assert "canary" not in repr(declared)


def test_file_that_is_no_login_says_nothing(tmp_path: Path) -> None:
    file = tmp_path / "login"
    assert login_expiry(file) is None
    file.write_bytes(b"\xff{")
    assert login_expiry(file) is None
