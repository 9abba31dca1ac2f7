"""What the homes of the programs hold."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from caw_testkit.homes import API_KEY, claude_home, codex_home, opencode_home

if TYPE_CHECKING:
    from collections.abc import Callable

    from caw_testkit.homes import ProgramHome
    from caw_testkit.modelserver import ModelServer

HOMES: list[Callable[[Path, ModelServer], ProgramHome]] = [codex_home, claude_home, opencode_home]


@pytest.mark.parametrize("make", HOMES)
def test_nothing_of_the_user_is_in_the_environment(
    tmp_path: Path,
    server: ModelServer,
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[Path, ModelServer], ProgramHome],
) -> None:
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "of-the-user")
    monkeypatch.setenv("HTTPS_PROXY", "http://of-the-user")
    made = make(tmp_path, server)
    assert not [name for name, value in made.env.items() if "of-the-user" in value]
    assert "HTTPS_PROXY" not in made.env
    outside = {
        name: value
        for name, value in made.env.items()
        if Path(value).is_absolute() and not value.startswith(str(tmp_path))
    }
    assert set(outside) <= {"PATH", "SHELL"}
    assert made.config.is_relative_to(made.path)
    assert not list(made.cwd.iterdir())


def test_codex_settings_can_be_varied(tmp_path: Path, server: ModelServer) -> None:
    made = codex_home(
        tmp_path,
        server,
        model="m",
        retries=2,
        config={
            "model_reasoning_effort": "high",
            "model_providers": {"testkit": {"stream_idle_timeout_ms": 500}},
            "mcp_servers": {"a b": {"command": "x", "args": ["1", "\u00e9"]}},
        },
        env={"EXTRA": "1"},
    )
    settings = tomllib.loads(made.config.read_text("utf-8"))
    provider = settings["model_providers"]["testkit"]
    assert settings["model"] == "m"
    assert settings["model_reasoning_effort"] == "high"
    assert settings["mcp_servers"]["a b"]["args"] == ["1", "\u00e9"]
    assert provider["base_url"] == f"{server.url}/v1"
    assert provider["wire_api"] == "responses"
    assert provider["stream_idle_timeout_ms"] == 500
    assert provider["request_max_retries"] == provider["stream_max_retries"] == 2
    assert made.env["EXTRA"] == "1"
    assert made.env[provider["env_key"]] == API_KEY


def test_claude_settings_can_be_varied(tmp_path: Path, server: ModelServer) -> None:
    made = claude_home(tmp_path, server, retries=3, config={"model": "x"})
    assert json.loads(made.config.read_text("utf-8"))["model"] == "x"
    assert made.env["CLAUDE_CODE_MAX_RETRIES"] == "3"
    assert made.env["ANTHROPIC_BASE_URL"] == server.url


def test_opencode_settings_can_be_varied(tmp_path: Path, server: ModelServer) -> None:
    made = opencode_home(tmp_path, server, model="m2", config={"permission": {"bash": "ask"}})
    settings = json.loads(made.config.read_text("utf-8"))
    assert settings["permission"] == {"bash": "ask"}
    assert settings["model"] == "testkit/m2"
    assert "m2" in settings["provider"]["testkit"]["models"]
