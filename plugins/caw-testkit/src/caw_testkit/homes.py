"""Give each real program a home and a configuration of its own, wired to a model server."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from caw_testkit.modelserver import ModelServer

__all__ = [
    "API_KEY",
    "API_KEY_VARIABLE",
    "PROVIDER",
    "ProgramHome",
    "bare_env",
    "claude_home",
    "codex_home",
    "opencode_home",
]

API_KEY = "caw-testkit-key"
"""What the programs send as their credential."""

API_KEY_VARIABLE = "CAW_TESTKIT_API_KEY"
"""The environment variable that codex takes its credential from."""

PROVIDER = "testkit"
"""The name of the model provider in the configuration of codex and opencode."""


@dataclass(frozen=True, kw_only=True)
class ProgramHome:
    """Where one program keeps all it knows, and how to start it there."""

    path: Path
    """The program's ``HOME``."""
    cwd: Path
    """An empty folder to work in, outside the home."""
    config: Path
    """The file that holds the program's configuration."""
    env: dict[str, str]
    """The whole environment to start the program with; nothing of the user's is in it."""


def codex_home(
    folder: Path,
    server: ModelServer,
    *,
    model: str = "gpt-5.5",
    retries: int = 0,
    config: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
) -> ProgramHome:
    """Make a home for codex below *folder*.

    Args:
        folder: where to make it, such as pytest's ``tmp_path``.
        server: a running model server.
        model: the model that codex asks for. For one that it does not know it uses a fallback and
            says so with an item of type ``error`` in each turn.
        retries: how often codex repeats a failed request, and how often a broken stream.
        config: more settings for ``config.toml``, merged over the ones here; a mapping inside
            is a table.
        env: more environment variables, or others in place of the ones here.
    """
    home, cwd = _folders(folder, "codex")
    settings: dict[str, Any] = {
        "model": model,
        "model_provider": PROVIDER,
        "check_for_update_on_startup": False,
        "analytics": {"enabled": False},
        "feedback": {"enabled": False},
        "otel": {"exporter": "none"},
        # With plugins on, codex asks GitHub and ChatGPT for a catalogue at each start.
        "features": {"plugins": False},
        "projects": {str(cwd): {"trust_level": "trusted"}},
        # What its own interface would ask at a first start: whether to change to a newer model.
        "notice": {"model_migrations": {"gpt-5.5": "gpt-6-sol"}},
        "model_providers": {
            PROVIDER: {
                "name": PROVIDER,
                "base_url": f"{server.url}/v1",
                "env_key": API_KEY_VARIABLE,
                "wire_api": "responses",
                "request_max_retries": retries,
                "stream_max_retries": retries,
            }
        },
    }
    file = home / ".codex" / "config.toml"
    file.parent.mkdir()
    file.write_text(_toml(_merged(settings, config or {})), encoding="utf-8")
    own = {"CODEX_HOME": str(file.parent), API_KEY_VARIABLE: API_KEY}
    return ProgramHome(path=home, cwd=cwd, config=file, env=bare_env(home) | own | dict(env or {}))


def claude_home(
    folder: Path,
    server: ModelServer,
    *,
    retries: int = 0,
    config: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
) -> ProgramHome:
    """Make a home for claude below *folder*.

    Args:
        folder: where to make it, such as pytest's ``tmp_path``.
        server: a running model server.
        retries: how often claude repeats a failed request.
        config: settings for ``.claude/settings.json``, merged over the ones here.
        env: more environment variables, or others in place of the ones here.
    """
    home, cwd = _folders(folder, "claude")
    file = home / ".claude" / "settings.json"
    file.parent.mkdir()
    file.write_text(json.dumps(_merged({"includeCoAuthoredBy": False}, config or {})), "utf-8")
    # What the program would ask at a first start; it waits for a person otherwise.
    state = {
        "hasCompletedOnboarding": True,
        "customApiKeyResponses": {"approved": [API_KEY[-20:]], "rejected": []},
        "projects": {str(cwd): {"hasTrustDialogAccepted": True}},
    }
    (home / ".claude.json").write_text(json.dumps(state), encoding="utf-8")
    own = {
        "ANTHROPIC_BASE_URL": server.url,
        "ANTHROPIC_API_KEY": API_KEY,
        "CLAUDE_CODE_MAX_RETRIES": str(retries),
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
        "DISABLE_TELEMETRY": "1",
        "DISABLE_ERROR_REPORTING": "1",
        # Without it the program refuses to skip permissions when root starts it.
        "IS_SANDBOX": "1",
    }
    return ProgramHome(path=home, cwd=cwd, config=file, env=bare_env(home) | own | dict(env or {}))


def opencode_home(
    folder: Path,
    server: ModelServer,
    *,
    model: str = "m1",
    config: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
) -> ProgramHome:
    """Make a home for opencode below *folder*; its model speaks Chat Completions.

    opencode repeats what failed without limit; no setting changes that.

    Args:
        folder: where to make it, such as pytest's ``tmp_path``.
        server: a running model server.
        model: the model of provider ``testkit``, so that its full name is ``testkit/m1``.
        config: more settings for ``opencode.json``, merged over the ones here.
        env: more environment variables, or others in place of the ones here.
    """
    home, cwd = _folders(folder, "opencode")
    settings: dict[str, Any] = {
        "$schema": "https://opencode.ai/config.json",
        "model": f"{PROVIDER}/{model}",
        "small_model": f"{PROVIDER}/{model}",
        "autoupdate": False,
        "share": "disabled",
        "enabled_providers": [PROVIDER],
        "provider": {
            PROVIDER: {
                "npm": "@ai-sdk/openai-compatible",
                "name": PROVIDER,
                "options": {"baseURL": f"{server.url}/v1", "apiKey": API_KEY},
                "models": {
                    model: {
                        "name": model,
                        "tool_call": True,
                        "limit": {"context": 200_000, "output": 32_000},
                    }
                },
            }
        },
    }
    file = home / ".config" / "opencode" / "opencode.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(_merged(settings, config or {}), indent=2), encoding="utf-8")
    own = {
        "OPENCODE_CONFIG": str(file),
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
        "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
        "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1",
        # At its first start in a home it would install a package for writing plugins.
        "npm_config_offline": "true",
    }
    return ProgramHome(path=home, cwd=cwd, config=file, env=bare_env(home) | own | dict(env or {}))


def bare_env(home: Path) -> dict[str, str]:
    """Return the smallest environment that programs run in, with *home* as their home.

    It holds the standard folders for commands, a UTF-8 locale, and no proxy for loopback.
    """
    temporary = home / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    env = {
        "PATH": _command_path(),
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "XDG_DATA_HOME": str(home / ".local" / "share"),
        "XDG_STATE_HOME": str(home / ".local" / "state"),
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
        "SHELL": "/bin/sh",
        "NO_COLOR": "1",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    if sys.platform == "win32":
        env |= {"USERPROFILE": str(home), "TEMP": str(temporary), "TMP": str(temporary)}
        # No program starts on Windows without these.
        env |= {name: os.environ[name] for name in ("SYSTEMROOT", "COMSPEC") if name in os.environ}
    return env


def _command_path() -> str:
    if sys.platform == "win32":
        return os.environ.get("PATH", os.defpath)
    standard = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin", "/opt/homebrew/bin"]
    return os.pathsep.join(standard)


def _folders(folder: Path, program: str) -> tuple[Path, Path]:
    home, cwd = folder / f"{program}-home", folder / f"{program}-work"
    for made in (home, cwd):
        made.mkdir(parents=True)
    return home, cwd


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in over.items():
        old = merged.get(name)
        if isinstance(old, dict) and isinstance(value, dict):
            merged[name] = _merged(old, value)
        else:
            merged[name] = value
    return merged


def _toml(table: Mapping[str, Any], path: tuple[str, ...] = ()) -> str:
    plain = {name: value for name, value in table.items() if not isinstance(value, dict)}
    lines = [f"[{'.'.join(map(json.dumps, path))}]"] if path else []
    # JSON's strings, numbers, booleans and lists are TOML's as well.
    lines += [f"{json.dumps(name)} = {json.dumps(value)}" for name, value in plain.items()]
    tables = [
        _toml(value, (*path, name)) for name, value in table.items() if isinstance(value, dict)
    ]
    return "\n".join([*lines, "", *tables])
