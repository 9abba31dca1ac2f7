"""Finding the native program behind the scripts of package managers, and telling its version."""

from __future__ import annotations

import platform
import sys
from typing import TYPE_CHECKING

import pytest

from caw_core.errors import ProgramNotFoundError
from caw_provider_codex import CodexProvider
from caw_provider_codex.program import CODEX, native_program
from caw_provider_codex.readiness import credentials

if TYPE_CHECKING:
    from pathlib import Path

    from caw_testkit.homes import ProgramHome
    from caw_testkit.programs import Program

SYSTEM = f"{sys.platform}-{'arm64' if platform.machine() in ('arm64', 'aarch64') else 'x64'}"
NATIVE = "vendor/some-triple/bin/codex"


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    "native",
    [
        f"@openai/codex-{SYSTEM}/{NATIVE}",
        f"@openai/codex/node_modules/@openai/codex-{SYSTEM}/{NATIVE}",
        f"@openai/codex/{NATIVE}",
    ],
)
def test_native_program_is_found_behind_the_npm_script(tmp_path: Path, native: str) -> None:
    modules = tmp_path / "lib" / "node_modules"
    script = program(modules / "@openai" / "codex" / "bin" / "codex.js")
    link = tmp_path / "bin" / "codex"
    link.parent.mkdir()
    link.symlink_to(script)
    expected = program(modules / native)
    assert native_program(link) == expected
    assert CODEX.find({"PATH": str(link.parent)}, {}) == expected


def test_native_program_is_found_beside_a_shell_script(tmp_path: Path) -> None:
    shim = program(tmp_path / "node_modules" / ".bin" / "codex")
    native = program(tmp_path / "node_modules" / "@openai" / f"codex-{SYSTEM}" / NATIVE)
    assert native_program(shim) == native


def test_program_of_another_kind_is_taken_as_it_is(tmp_path: Path) -> None:
    own = program(tmp_path / "codex")
    assert CODEX.find({}, {"binary": own}) == own
    assert CODEX.find({"CAW_CODEX_PATH": str(own), "PATH": ""}, {}) == own


def test_missing_program_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ProgramNotFoundError, match="npm install") as caught:
        CODEX.find({"PATH": str(tmp_path)}, {})
    assert caught.value.provider == "codex"


@pytest.mark.parametrize(
    ("config", "env", "seen"),
    [
        (None, {}, ""),
        (None, {"OPENAI_API_KEY": "k"}, "key in OPENAI_API_KEY"),
        (None, {"CODEX_API_KEY": "k"}, "key in CODEX_API_KEY"),
        ("auth", {}, "logged in"),
        ('model_provider = "x"\n[model_providers.x]\nenv_key = "X"', {"OPENAI_API_KEY": "k"}, ""),
        (
            'model_provider = "x"\n[model_providers.x]\nenv_key = "X"',
            {"X": "k"},
            "key in X for 'x'",
        ),
        ('model_provider = "x"\n[model_providers.x]\nname = "x"', {}, "model provider 'x'"),
        ("this is no TOML [", {}, ""),
    ],
)
def test_credentials_are_seen(
    tmp_path: Path, config: str | None, env: dict[str, str], seen: str
) -> None:
    if config == "auth":
        (tmp_path / "auth.json").write_text("{}")
    elif config is not None:
        (tmp_path / "config.toml").write_text(config)
    assert credentials({"CODEX_HOME": str(tmp_path), **env}) == seen


@pytest.mark.real_codex
def test_readiness_of_the_real_program(
    codex_program: Program, codex_home: ProgramHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in codex_home.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CAW_CODEX_PATH", str(codex_program.path))
    provider = CodexProvider()
    ready = provider.check_ready(env={}, options={})
    assert (ready.ready, ready.version) == (True, codex_program.version)
    assert ready.program_path == str(codex_program.path)
    assert (ready.tested_versions, ready.tested) == ("0.169.0", True)
    assert ready.credentials == "key in CAW_TESTKIT_API_KEY for 'testkit'"
    monkeypatch.delenv("CAW_TESTKIT_API_KEY")
    assert provider.check_ready(env={}, options={}).hint == "Run: codex login"


def test_provider_that_is_not_installed_is_not_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CAW_CODEX_PATH", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    ready = CodexProvider().check_ready(env={}, options={})
    assert not ready.ready
    assert "npm install" in ready.hint
