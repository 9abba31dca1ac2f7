"""What looks like a credential is not stored; everything else is."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

from caw_core import Agent, Store
from caw_core.errors import ConfigError
from caw_core.redaction import REDACTED

CREDENTIALS = {
    "private key": "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nabc=\n-----END RSA PRIVATE KEY-----",
    "half a private key": "-----BEGIN PRIVATE KEY-----\nMIIEow",
    "openai": "sk-proj-" + "a1B2" * 10,
    "anthropic": "sk-ant-api03-" + "x_Y-" * 12,
    "github": "ghp_" + "A" * 36,
    "github, fine-grained": "github_pat_" + "A1" * 41,
    "gitlab": "glpat-" + "x" * 20,
    "slack": "xoxb-123456789012-abcdef",
    "aws": "AKIA" + "A1" * 8,
    "google": "AIza" + "x" * 35,
    "token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
    "npm": "npm_" + "a" * 36,
    "url": "postgresql://name:p4ss%40word@db.example.org/x",
}

PLAIN = (
    "a sk-iing trip, ghp_short, https://example.org/a:b@c, git@github.com:x/y.git, "
    "mailto:a@b.org, 12:30, def f(key: str) -> None, sha256:0123456789abcdef0123456789abcdef, "
    "AKIA is not enough, -----BEGIN CERTIFICATE-----"
)


def url(folder: Path, query: str = "") -> str:
    return "redact+" + folder.absolute().as_uri().replace("file:", "jsonl:", 1) + query


def files(folder: Path) -> str:
    return "".join(path.read_text("utf-8") for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("kind", CREDENTIALS)
def test_credential_is_stored_nowhere(tmp_path: Path, kind: str) -> None:
    secret = CREDENTIALS[kind]
    agent = Agent("echo", storage=url(tmp_path), metadata={"note": f"x {secret}"})
    with agent.start_session(session_id="s") as session:
        turn = session.send(f"my credential: {secret}")
        session.annotate(tags=[secret])
    assert secret in turn.input
    record = Store(url(tmp_path)).load("s")
    assert record is not None
    assert REDACTED in record.turns[0].input
    assert REDACTED in record.turns[0].text
    found = files(tmp_path)
    telling = secret.split("://")[1].split("@")[0] if "://" in secret else secret.splitlines()[-1]
    assert telling not in found


def test_plain_text_is_left_as_it_is(tmp_path: Path) -> None:
    with Agent("echo", storage=url(tmp_path)).start_session(session_id="s") as session:
        session.send(PLAIN)
    record = Store(url(tmp_path)).load("s")
    assert record is not None
    assert record.turns[0].input == PLAIN


def test_session_can_be_resumed_by_its_id(tmp_path: Path) -> None:
    with Agent("echo", storage=url(tmp_path)).start_session(session_id="s") as session:
        session.send("x")
    with Agent("echo", storage=url(tmp_path)).resume_session("s") as session:
        assert session.trajectory.num_turns == 1


def test_own_patterns_are_taken_out_too(tmp_path: Path) -> None:
    query = f"?redact={quote('cust-[0-9]+')}&redact={quote('(?i)code ?name')}"
    with Agent("echo", storage=url(tmp_path, query)).start_session(session_id="s") as session:
        session.send("cust-123 has the CodeName x")
    record = Store(url(tmp_path)).load("s")
    assert record is not None
    assert record.turns[0].input == f"{REDACTED} has the {REDACTED} x"


@pytest.mark.parametrize("pattern", ["(", "x*"])
def test_pattern_that_makes_no_sense_is_refused(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(ConfigError, match="redact"):
        Store(url(tmp_path, f"?redact={quote(pattern)}"))
