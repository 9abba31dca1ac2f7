"""Finding the program and the credentials; what the provider says of itself."""

from __future__ import annotations

import json
import os
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import pytest

from caw_core.errors import ProgramNotFoundError
from caw_core.programs import program_version
from caw_core.provider import Readiness
from caw_provider_claude_code import ClaudeCodeProvider
from caw_provider_claude_code.program import CLAUDE
from caw_provider_claude_code.readiness import credentials

if TYPE_CHECKING:
    from pathlib import Path

    from caw_testkit.programs import Program


def executable(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o700)
    return path


def test_three_names_lead_to_one_provider() -> None:
    points = entry_points(group="caw.providers")
    names = ("claude_code", "claude", "cc")
    assert {points[name].load() for name in names} == {ClaudeCodeProvider}


def test_info_names_the_canonical_name() -> None:
    assert ClaudeCodeProvider().provider_info().name == "claude_code"


@pytest.mark.parametrize(
    ("env", "files", "seen"),
    [
        ({}, {}, ""),
        ({"ANTHROPIC_API_KEY": "k"}, {}, "ANTHROPIC_API_KEY"),
        ({"ANTHROPIC_AUTH_TOKEN": "k"}, {}, "ANTHROPIC_AUTH_TOKEN"),
        ({"CLAUDE_CODE_OAUTH_TOKEN": "k"}, {}, "CLAUDE_CODE_OAUTH_TOKEN"),
        ({"CLAUDE_CODE_USE_BEDROCK": "1"}, {}, "CLAUDE_CODE_USE_BEDROCK"),
        ({}, {".claude/.credentials.json": {}}, ".credentials.json"),
        ({}, {".claude/settings.json": {"apiKeyHelper": "cat key"}}, "apiKeyHelper"),
        ({}, {".claude.json": {"oauthAccount": {"x": 1}}}, "oauthAccount"),
        ({}, {".claude.json": [1]}, ""),
    ],
)
def test_credentials_are_seen_where_claude_looks(
    tmp_path: Path, env: dict[str, str], files: dict[str, Any], seen: str
) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps(content))
    assert credentials({"HOME": str(tmp_path), **env}) == seen


def test_configuration_elsewhere_holds_the_credentials(tmp_path: Path) -> None:
    (tmp_path / ".credentials.json").write_text("{}")
    env = {"HOME": "/nowhere", "CLAUDE_CONFIG_DIR": str(tmp_path)}
    assert credentials(env) == ".credentials.json"


def test_program_is_found_on_the_path_of_the_request(tmp_path: Path) -> None:
    program = executable(tmp_path / "bin" / "claude")
    assert CLAUDE.find({"PATH": str(program.parent)}, {}) == program


def test_native_program_stands_for_its_script(tmp_path: Path) -> None:
    script = executable(tmp_path / "claude")
    native = executable(
        tmp_path / "node_modules" / "@anthropic-ai" / "claude-code" / "bin" / "claude.exe"
    )
    assert CLAUDE.find({"PATH": str(script.parent)}, {}) == native


def test_own_installers_place_is_looked_at(tmp_path: Path) -> None:
    program = executable(tmp_path / ".local" / "bin" / "claude")
    assert CLAUDE.find({"PATH": "", "HOME": str(tmp_path)}, {}) == program


def test_missing_program_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ProgramNotFoundError, match="npm install"):
        CLAUDE.find({"PATH": str(tmp_path), "HOME": str(tmp_path)}, {})


def test_agents_own_environment_and_options_count(tmp_path: Path) -> None:
    program = executable(tmp_path / "mine", "#!/bin/sh\necho '2.0.5 (Claude Code)'\n")
    env = {**dict.fromkeys(os.environ), "HOME": str(tmp_path), "ANTHROPIC_API_KEY": "made-up"}
    check: Any = ClaudeCodeProvider().check_ready
    ready = check(env=env, options={"binary": str(program)})
    assert (ready.ready, ready.program_path, ready.version) == (True, str(program), "2.0.5")
    assert (ready.tested, ready.tested_versions) == (False, "2.1")
    without = check(env={**env, "ANTHROPIC_API_KEY": None}, options={"binary": str(program)})
    assert (without.ready, without.credentials) == (False, "")
    missing = check(env={**env, "PATH": str(tmp_path)}, options={})
    assert (missing.ready, missing.program_path) == (False, "")


def test_program_without_a_version_is_not_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = executable(tmp_path / "claude", "#!/bin/sh\nexit 1\n")
    monkeypatch.setenv("CAW_CLAUDE_CODE_PATH", str(broken))
    ready: Any = ClaudeCodeProvider().check_ready(env={}, options={})
    assert not ready.ready


@pytest.mark.real_claude
def test_installed_program_and_a_key_are_ready(
    claude_program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in list(os.environ):
        if name.startswith(("ANTHROPIC_", "CLAUDE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CAW_CLAUDE_CODE_PATH", str(claude_program.path))
    provider = ClaudeCodeProvider()
    without: Any = provider.check_ready(env={}, options={})
    monkeypatch.setenv("ANTHROPIC_API_KEY", "made-up")
    ready: Any = provider.check_ready(env={}, options={})
    assert isinstance(ready, Readiness)
    assert (without.ready, ready.ready) == (False, True)
    assert ready.version == claude_program.version == program_version(claude_program.path)
    assert (ready.tested, ready.credentials) == (True, "ANTHROPIC_API_KEY")
    assert "made-up" not in repr(ready)
