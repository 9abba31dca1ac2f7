"""Whether providers are there, and their logins in containers."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

import pytest

from caw import (
    Agent,
    auth_get_docker_flags,
    auth_get_status,
    auth_setup,
    check_providers,
    installed_providers,
)
from caw.auth import teardown

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the program is a script with #!")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home with a login of codex, on a machine with a program called so."""
    monkeypatch.setenv("CAW_HOME", str(tmp_path / "caw"))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("CODEX_HOME", "CLAUDE_CONFIG_DIR", "OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / ".codex").mkdir()
    (tmp_path / ".codex/auth.json").write_text('{"OPENAI_API_KEY": "sk-secret"}')
    program = tmp_path / "bin/codex"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho codex-cli 0.169.0\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return tmp_path


def test_each_provider_is_told_of_once_whatever_it_is_called() -> None:
    claude, codex = check_providers(["claude", "cc", "codex", "claude_code"])
    assert (claude.provider, claude.installed, claude.binary_path) == ("claude_code", False, None)
    assert (codex.provider, codex.installed, codex.probed) == ("codex", True, False)
    assert codex.auth is not None
    assert codex.auth.present
    assert "sk-secret" not in repr(codex)
    assert [each.provider for each in check_providers()][:3] == ["claude_code", "codex", "opencode"]
    with pytest.raises(ValueError, match="nobody"):
        check_providers(["nobody"])


def test_installed_ones_are_those_whose_program_is_there(home: Path) -> None:
    ((name, provider),) = installed_providers()
    assert (name, provider.binary_name) == ("codex", "codex")
    assert provider.find_binary() == str(home / "bin/codex")
    # Of an order, it is the first one that is there.
    assert Agent(provider=["claude", "codex"]).check_health().provider == "codex"


def test_login_is_mounted_and_never_copied(home: Path) -> None:
    for early in (auth_get_docker_flags, auth_get_status):
        with pytest.raises(FileNotFoundError, match="caw auth setup"):
            early()
    folder = auth_setup(["codex"])
    flags = shlex.split(auth_get_docker_flags())
    assert any(str(home / ".codex/auth.json") in flag for flag in flags)
    (login,) = (each for each in auth_get_status(["codex"]) if each.exists)
    assert (login.agent, login.strategy) == ("codex", "bind")
    held = [path.read_text() for path in folder.rglob("*") if path.is_file()]
    assert not any("sk-secret" in text for text in held)
    teardown()
    assert (home / ".codex/auth.json").exists()
