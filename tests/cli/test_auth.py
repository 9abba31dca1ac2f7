"""``caw auth``: this machine's logins in containers."""

from __future__ import annotations

import json
import shlex
import subprocess
from typing import TYPE_CHECKING

import pytest

from caw_core import credentials

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Caw

KEYS = {
    name: ""
    for declared in credentials.places.declared_credentials(None, None, None).values()
    for name in declared.variables
}
"""Whatever is set where the tests run must not count."""

CLAUDE = {"claudeAiOauth": {"accessToken": "canary", "expiresAt": 4_000_000_000_000}}


@pytest.fixture
def home(tmp_path: Path, caw: Caw) -> Path:
    """Return the user's folder, with a login of claude in it."""
    folder = tmp_path / "user"
    login = folder / ".claude" / ".credentials.json"
    login.parent.mkdir(parents=True)
    login.write_text(json.dumps(CLAUDE))
    login.chmod(0o600)
    caw.env.update(KEYS, HOME=str(folder), CLAUDE_CONFIG_DIR="", CODEX_HOME="", XDG_DATA_HOME="")
    return folder


def test_status_shows_what_there_is_and_no_value(caw: Caw, home: Path) -> None:
    done = caw("auth", "status", "-p", "claude,codex", TZ="UTC", OPENAI_API_KEY="canary")
    login = home / ".claude" / ".credentials.json"
    renewed = "runs out 2096-10-02 07:06+00:00 unless renewed, which the agent does by itself"
    assert done.out.splitlines() == [
        "PROVIDER\tLOGIN OR KEY\tSTATE\tIN A CONTAINER\tDETAIL",
        f"claude_code\t{login}\tthere\tmounted\tlogin of Claude Code; {renewed}",
        f"codex\t{home}/.codex/auth.json\tmissing\tnot given\tlogin of codex; it is not there",
        "codex\tOPENAI_API_KEY\tthere\tpassed on by name\t",
    ]
    assert "canary" not in done.out + done.err
    (line, *_) = caw("auth", "status", "--json").lines
    assert (line["present"], line["expired"], line["how"]) == (True, False, "mounted")


def test_flags_are_words_for_a_shell(caw: Caw, home: Path) -> None:
    done = caw("auth", "docker-flags", "--home", "/home/u")
    login = home / ".claude" / ".credentials.json"
    folder = "/home/u/.claude"
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        f"--mount type=bind,source={login},target={folder}/.credentials.json "
        f"--env CLAUDE_CONFIG_DIR={folder}\n"
    )
    assert (
        shlex.split(done.out)
        == caw("auth", "docker-flags", "--home", "/home/u", "--json").lines[0]["flags"]
    )


def test_flags_that_need_quoting_survive_a_shell_and_say_so(caw: Caw, home: Path) -> None:
    strange = home.parent / "a b;$(touch hacked)'"
    home.rename(strange)
    done = caw("auth", "docker-flags", HOME=str(strange))
    assert "eval" in done.err
    command = f"printf '%s\\n' {done.out}"
    words = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, check=True, cwd=strange
    ).stdout.splitlines()
    assert f"source={strange}/.claude/.credentials.json" in words[1]
    assert not (strange / "hacked").exists()


def test_setup_is_undone_by_teardown(caw: Caw, home: Path) -> None:
    done = caw("auth", "setup", "--agents", "all")
    folder = home.parent / "home" / "data" / "auth" / "claude_code" / "claude"
    assert done.out == f"claude_code: {folder}\n"
    assert "canary" not in "".join(path.read_text() for path in folder.iterdir())
    assert caw("auth", "teardown", "--dry-run").out.count("would remove") == 4
    assert caw("auth", "teardown", "-p", "cc").out.count("removed ") == 4
    assert caw("auth", "teardown").err == "there is nothing to remove\n"
    assert (home / ".claude" / ".credentials.json").exists()


def test_copy_is_called_one(caw: Caw, home: Path) -> None:
    done = caw("auth", "setup", "--copy", CAW_AUTH_DIR=str(home / "copies"))
    assert "is a COPY of a login" in done.err
    assert "canary" not in done.out + done.err


def test_login_that_cannot_be_renewed_in_a_container_is_told_when_it_has_run_out(
    caw: Caw, home: Path
) -> None:
    login = home / ".codex" / "auth.json"
    login.parent.mkdir()
    claims = "eyJleHAiOjF9"  # {"exp":1}
    login.write_text(json.dumps({"tokens": {"access_token": f"x.{claims}.x"}}))
    done = caw("auth", "docker-flags", "-p", "codex")
    assert done.code == 0
    assert "start the agent here first" in done.err


def test_nothing_to_give_has_an_exit_code_of_its_own(caw: Caw, home: Path) -> None:
    (home / ".claude" / ".credentials.json").unlink()
    done = caw("auth", "docker-flags", "-p", "claude")
    assert (done.code, done.out) == (3, "")
    assert "no credentials here of claude_code" in done.err
