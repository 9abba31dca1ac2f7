"""A login that is mounted as ``caw auth docker-flags`` says is found by the real program.

There need be no Docker: a mount namespace of this user's own, with the same mounts, stands for the
container.
"""

from __future__ import annotations

import base64
import json
import os
import shlex
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from caw_core import credentials
from caw_testkit.modelserver import reply, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caw_testkit.modelserver import ModelServer
    from caw_testkit.programs import Program

    from .conftest import Trial

PATIENCE = 100.0


@cache
def can_mount() -> bool:
    try:
        done = subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0


pytestmark = pytest.mark.skipif(not can_mount(), reason="this user may not mount anything here")


def token(**claims: Any) -> str:
    """Return a JSON Web Token that nobody has signed."""
    parts = [json.dumps(part).encode() for part in ({"alg": "none"}, claims)]
    return ".".join([*(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts), "x"])


CODEX: dict[str, Any] = {
    "OPENAI_API_KEY": None,
    "tokens": {
        "id_token": token(email="a@b.example"),
        "access_token": token(exp=1_700_000_000),
        "refresh_token": "canary-refresh",
        "account_id": "account",
    },
    "last_refresh": "2026-01-01T00:00:00Z",
}

CLAUDE: dict[str, Any] = {
    "claudeAiOauth": {
        "accessToken": "canary-access",
        "refreshToken": "canary-refresh",
        "expiresAt": 4_000_000_000_000,
        "scopes": ["user:inference", "user:profile"],
        "subscriptionType": "max",
    }
}

OPENCODE: dict[str, Any] = {"anthropic": {"type": "api", "key": "canary-key"}}


def in_container(flags: Sequence[str], command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command with the mounts and variables of *flags*, and no other variables but PATH."""
    lines = ["set -e"]
    env = {"PATH": os.environ["PATH"]}
    for name, value in zip(flags[::2], flags[1::2], strict=True):
        if name == "--env":
            key, _, text = value.partition("=")
            env[key] = text
            continue
        fields = dict(field.partition("=")[::2] for field in value.split(","))
        source, target = shlex.quote(fields["source"]), shlex.quote(fields["target"])
        lines.append(f"mkdir -p $(dirname {target})")
        lines.append(f"mkdir -p {target}" if Path(fields["source"]).is_dir() else f"touch {target}")
        lines.append(f"mount --bind {source} {target}")
        if "readonly" in fields:
            lines.append(f"mount -o remount,bind,ro {target}")
    lines.append(
        "exec " + shlex.join(["env", "-i", *(f"{k}={v}" for k, v in env.items()), *command])
    )
    return subprocess.run(
        ["unshare", "-rm", "sh", "-c", "\n".join(lines)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


LOGINS: dict[str, tuple[str, dict[str, Any], tuple[str, ...], str]] = {
    "claude_code": (
        ".claude/.credentials.json",
        CLAUDE,
        ("auth", "status"),
        '"loggedIn": true',
    ),
    "codex": (
        ".codex/auth.json",
        CODEX,
        ("login", "status"),
        "Logged in using ChatGPT",
    ),
    "opencode": (
        ".local/share/opencode/auth.json",
        OPENCODE,
        ("auth", "list"),
        "1 credentials",
    ),
}
"""Where each agent keeps its login, one, and how the program says that it has found it."""


@pytest.mark.feature("containers")
def test_login_is_found_where_it_is_mounted(trial: Trial, tmp_path: Path) -> None:
    provider = trial.kind.name
    place, login, arguments, says = LOGINS[provider]
    home, inside = tmp_path / "home", tmp_path / "container"
    (home / place).parent.mkdir(parents=True)
    (home / place).write_text(json.dumps(login))
    inside.mkdir()
    # Nothing of this user's own counts, neither logins nor places nor keys.
    env = {**dict.fromkeys(os.environ), "HOME": str(home)}
    credentials.setup([provider], folder=tmp_path / "auth", env=env)
    flags = credentials.docker_flags(
        [provider], folder=tmp_path / "auth", env=env, home=str(inside)
    )
    done = in_container([*flags, "--env", f"HOME={inside}"], [str(trial.program), *arguments])
    assert says in done.stdout
    held = [file for file in tmp_path.rglob("*") if file.is_file() and not file.is_symlink()]
    assert [file for file in held if b"canary" in file.read_bytes()] == [home / place]


@pytest.mark.real_codex
def test_codex_in_a_container_renews_no_login_that_it_could_not_keep(
    tmp_path: Path, codex_program: Program, model_server: ModelServer
) -> None:
    model_server.respond(lambda _: reply(text("done")))
    login = tmp_path / "home" / ".codex" / "auth.json"
    login.parent.mkdir(parents=True)
    login.write_text(json.dumps(CODEX))
    inside = tmp_path / "container"
    inside.mkdir()
    env = {**dict.fromkeys(os.environ), "HOME": str(tmp_path / "home")}
    credentials.setup(["codex"], folder=tmp_path / "auth", env=env)
    flags = credentials.docker_flags(["codex"], folder=tmp_path / "auth", env=env, home=str(inside))
    service = {
        "name": "'t'",
        "base_url": f"'{model_server.url}/v1'",
        "wire_api": "'responses'",
        "requires_openai_auth": "true",
        "request_max_retries": "0",
        "stream_max_retries": "0",
    }
    table = ",".join(f"{name}={value}" for name, value in service.items())
    settings = ["-c", "model_provider=t", "-c", f"model_providers.t={{{table}}}"]
    arguments = ["exec", "--skip-git-repo-check", *settings, "hi"]
    done = in_container([*flags, "--env", f"HOME={inside}"], [str(codex_program.path), *arguments])
    assert "Failed to refresh token" in done.stdout
    assert "http://127.0.0.1:9/" in done.stdout
    assert json.loads(login.read_bytes()) == CODEX
