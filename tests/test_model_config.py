"""Which model a tier means: variables, the user's file, the provider."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from caw_core import Agent, ModelTier, PluginRegistry, ProviderInfo, StartRequest, hookimpl
from caw_core.config_file import ConfigFile, check_model_name, config_path
from caw_core.errors import AuthError, ConfigError, ConfigFileError, UnsupportedError
from caw_core.model_config import describe_tier, tier_model

INFO = ProviderInfo(
    name="some-agent", tiers={"fast": "own"}, tier_variables={"fast": "AGENTS_OWN_MODEL"}
)


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where the configuration file of this test is."""
    monkeypatch.setenv("CAW_CONFIG", str(tmp_path / "settings" / "caw.json"))
    monkeypatch.delenv("AGENTS_OWN_MODEL", raising=False)
    return tmp_path / "settings" / "caw.json"


def write(file: Path, text: str | bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode() if isinstance(text, str) else text)


def test_variable_of_caw_comes_before_the_agents_own_the_file_and_the_provider(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said() -> tuple[str, str, str]:
        found = describe_tier(INFO, "fast")
        return found.model, found.source, found.origin

    assert said() == ("own", "provider", "")
    write(file, '{"models": {"some-agent": {"fast": "filed"}}}')
    assert said() == ("filed", "file", str(file))
    monkeypatch.setenv("AGENTS_OWN_MODEL", "vendors")
    assert said() == ("vendors", "environment", "AGENTS_OWN_MODEL")
    monkeypatch.setenv("CAW_MODEL_SOME_AGENT_FAST", "first")
    assert said() == ("first", "environment", "CAW_MODEL_SOME_AGENT_FAST")


def test_agents_own_changes_to_the_environment_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTS_OWN_MODEL", "outside")
    assert tier_model(INFO, ModelTier.FAST, {"AGENTS_OWN_MODEL": "inside"}) == "inside"
    assert tier_model(INFO, ModelTier.FAST, {"AGENTS_OWN_MODEL": None}) == "own"


def test_alias_in_the_file_means_the_same_provider(file: Path) -> None:
    write(file, '{"models": {"cc": {"fast": "by-alias"}}}')
    assert tier_model(ProviderInfo(name="claude_code"), ModelTier.FAST) == "by-alias"


def test_tier_that_nobody_names_says_how_to_name_one() -> None:
    with pytest.raises(UnsupportedError, match="caw config set some-agent strongest MODEL"):
        tier_model(INFO, ModelTier.STRONGEST)


def test_session_asks_for_the_model_of_the_file(file: Path) -> None:
    asked = []

    class Provider:
        caw_api = "1.0"

        @hookimpl
        def provider_info(self) -> ProviderInfo:
            return ProviderInfo(name="some-agent")

        @hookimpl
        def start_session(self, request: StartRequest) -> object:
            asked.append(request.model)
            msg = "logged out"
            raise AuthError(msg)

    registry = PluginRegistry(autoload=False)
    registry.register_provider("some-agent", Provider)
    write(file, '{"models": {"some-agent": {"fast": "filed"}}}')
    with pytest.raises(AuthError):
        Agent("some-agent", registry=registry, model=ModelTier.FAST).start_session()
    assert asked == ["filed"]


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ("{", "", "not JSON"),
        ("[]", "", "object"),
        ('{"modles": {}}', "modles", "did you mean 'models'"),
        ('{"models": {"codex": {"fsat": "m"}}}', "models.codex.fsat", "did you mean 'fast'"),
        ('{"models": {"codex": "m"}}', "models.codex", "object"),
        ('{"models": {"codex": {"fast": null}}}', "models.codex.fast", "text"),
        ('{"models": {"codex": {"fast": ""}}}', "models.codex.fast", "empty"),
        ('{"models": {"codex": {"fast": "-c x"}}}', "models.codex.fast", "begin with '-'"),
        ('{"models": {"codex": {"fast": "a\\u0007"}}}', "models.codex.fast", "control"),
        ('{"models": {"codex": {}, "codex": {}}}', "codex", "twice"),
        ('{"version": 2}', "version", "version 1"),
        ("[" * 100_000, "", "deep"),
        (b"\xff\xfe", "", "UTF-8"),
        (b" " * (1 << 21), "", "larger"),
    ],
)
def test_file_that_is_wrong_is_named_with_the_place(
    file: Path, text: str | bytes, key: str, words: str
) -> None:
    write(file, text)
    with pytest.raises(ConfigFileError, match=words) as caught:
        tier_model(INFO, ModelTier.FAST)
    assert (caught.value.path, caught.value.key) == (str(file), key)


def test_line_of_a_syntax_error_is_told(file: Path) -> None:
    write(file, '{\n "models": {\n  oops\n}}')
    with pytest.raises(ConfigFileError, match=r"caw\.json, line 3"):
        ConfigFile.read()


def test_pipe_in_the_files_place_is_refused_without_waiting(file: Path) -> None:
    file.parent.mkdir()
    os.mkfifo(file)
    with pytest.raises(ConfigFileError, match="regular file"):
        ConfigFile.read()


@pytest.mark.parametrize("name", ["", "  ", " a", "-m", "a\nb", "x" * 257, 3, None])
def test_what_cannot_be_a_models_name_is_refused(name: object) -> None:
    with pytest.raises(ConfigError, match="model's name"):
        check_model_name(name)


def test_variable_with_a_wrong_name_of_a_model_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAW_MODEL_SOME_AGENT_FAST", "--dangerous")
    with pytest.raises(ConfigError, match="CAW_MODEL_SOME_AGENT_FAST"):
        tier_model(INFO, ModelTier.FAST)


def test_file_is_written_for_its_owner_alone_and_reads_back(file: Path) -> None:
    ConfigFile.read().with_model("codex", "fast", "größte").write()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert ConfigFile.read().models == {"codex": {"fast": "größte"}}
    ConfigFile.read().with_model("codex", "fast", None).write()
    assert json.loads(file.read_bytes()) == {"version": 1, "models": {}}
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_link_to_the_file_stays_a_link(file: Path, tmp_path: Path) -> None:
    write(file, "{}")
    link = tmp_path / "link.json"
    link.symlink_to(file)
    ConfigFile.read(link).with_model("codex", "fast", "m").write()
    assert link.is_symlink()
    assert ConfigFile.read(file).models == {"codex": {"fast": "m"}}


def test_write_that_fails_leaves_the_old_file(file: Path) -> None:
    write(file, '{"models": {"codex": {"fast": "old"}}}')
    folder = file.parent / "no-folder"
    folder.write_text("")
    with pytest.raises(ConfigFileError, match="cannot be written"):
        ConfigFile(path=folder / "caw.json").write()
    assert ConfigFile.read().models == {"codex": {"fast": "old"}}


def test_file_lies_in_caws_home_unless_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CAW_CONFIG")
    monkeypatch.setenv("CAW_HOME", "/somewhere")
    assert config_path() == Path("/somewhere/config.json")
