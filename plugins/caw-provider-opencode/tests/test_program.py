"""Finding opencode, and whether it could start, without starting a session."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from caw_core.errors import ConfigError, ProgramNotFoundError
from caw_core.programs import program_version
from caw_provider_opencode import OpencodeProvider
from caw_provider_opencode.configuration import served
from caw_provider_opencode.program import OPENCODE
from caw_provider_opencode.readiness import credentials

if TYPE_CHECKING:
    from pathlib import Path

    from caw_testkit.programs import Program


def _program(folder: Path) -> Path:
    folder.mkdir(parents=True)
    program = folder / "opencode"
    program.write_text("#!/bin/sh\necho 1.2.3\n")
    program.chmod(0o755)
    return program


def test_place_of_the_vendors_installer_is_known(tmp_path: Path) -> None:
    program = _program(tmp_path / ".opencode" / "bin")
    assert OPENCODE.find({"PATH": "", "HOME": str(tmp_path)}, {}) == program


def test_missing_program_comes_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ProgramNotFoundError, match="npm install"):
        OPENCODE.find({"PATH": "", "HOME": str(tmp_path)}, {})


@pytest.mark.real_opencode
def test_version_is_that_of_the_program(opencode_program: Program) -> None:
    assert program_version(opencode_program.path) == opencode_program.version


def test_ready_needs_a_program_and_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = _program(tmp_path / "bin")
    monkeypatch.setenv("CAW_OPENCODE_PATH", str(program))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "OPENCODE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("caw_provider_opencode.readiness.KEY_VARIABLES", ("MY_KEY",))
    provider = OpencodeProvider()
    missing = provider.check_ready(env={}, options={})
    assert (missing.ready, missing.version, missing.credentials) == (False, "1.2.3", "")
    assert missing.tested is False
    assert "auth login" in missing.hint
    monkeypatch.setenv("MY_KEY", "secret")
    ready = provider.check_ready(env={}, options={})
    assert (ready.ready, ready.credentials) == (True, "MY_KEY")
    assert "secret" not in repr(ready)


@pytest.mark.parametrize(
    ("file", "content", "seen"),
    [
        (".local/share/opencode/auth.json", '{"openai": {"key": "x"}}', "auth.json"),
        (".local/share/opencode/auth.json", "{}", ""),
        (".config/opencode/opencode.json", '{"provider": {"a": {}}}', "model provider"),
        (".config/opencode/opencode.jsonc", '{// mine\n"provider": {"a": {}}}', "model provider"),
        (".config/opencode/opencode.json", '{"model": "a/b"}', ""),
    ],
)
def test_credentials_are_seen_where_opencode_keeps_them(
    tmp_path: Path, file: str, content: str, seen: str
) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(content)
    found = credentials({"HOME": str(tmp_path)})
    assert found.startswith(seen)
    assert bool(found) is bool(seen)


def test_settings_of_the_caller_are_merged_over_those_in_the_environment() -> None:
    env = {"OPENCODE_CONFIG_CONTENT": '{"a": {"b": 1, "c": 2}}'}
    merged = served(env, {"a": {"c": 3}, "d": 4})
    given = json.loads(merged["OPENCODE_CONFIG_CONTENT"])
    assert (given["a"], given["d"]) == ({"b": 1, "c": 3}, 4)
    assert merged["OPENCODE_DISABLE_AUTOUPDATE"] == "1"


@pytest.mark.parametrize("config", ["text", {"a": {1, 2}}])
def test_settings_that_are_no_json_object_are_refused(config: object) -> None:
    with pytest.raises(ConfigError, match="config"):
        served({}, config)
