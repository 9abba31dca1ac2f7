"""This machine's logins in containers: where they may be, and where never."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import stat
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from caw_core import PluginRegistry, ProviderInfo, credentials, hookimpl
from caw_core.credentials import ContainerCredentials, CredentialFile
from caw_core.errors import ConfigError, ConfigFileError, NotReadyError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOGIN = "canary-login-4711"
KEY = "canary-key-0815"


@attrs.frozen
class Here:
    """A home with one agent's login, and what the tests do with it."""

    home: Path
    folder: Path
    registry: PluginRegistry

    @property
    def login(self) -> Path:
        return self.home / ".agent" / "login.json"

    @property
    def state(self) -> Path:
        return self.folder / "agent" / "agent"

    def setup(self, **given: Any) -> list[credentials.Prepared]:
        return credentials.setup(folder=self.folder, registry=self.registry, **given)

    def flags(self, **given: Any) -> list[str]:
        return credentials.docker_flags(folder=self.folder, registry=self.registry, **given)

    def teardown(self, **given: Any) -> credentials.Removed:
        return credentials.teardown(folder=self.folder, **given)

    def files_with(self, text: str) -> list[Path]:
        files = [path for path in self.home.parent.rglob("*") if path.is_file()]
        return [path for path in files if text.encode() in path.read_bytes()]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    home = tmp_path / "home"

    class Agent:
        caw_api = "1.0"

        @hookimpl
        def provider_info(self) -> ProviderInfo:
            return ProviderInfo(name="agent")

        @hookimpl
        def start_session(self) -> None:
            raise AssertionError

        @hookimpl
        def container_credentials(self) -> ContainerCredentials:
            return ContainerCredentials(
                files=(
                    CredentialFile(
                        path=home / ".agent" / "login.json",
                        place=".agent/login.json",
                        writable=True,
                    ),
                ),
                variables=("AGENT_KEY", "AGENT_OTHER_KEY"),
                folders=(".agent",),
                start_files={".agent/state.json": "{}"},
                settings={"AGENT_HOME": "~/.agent"},
            )

    registry = PluginRegistry(autoload=False)
    registry.register_provider("agent", Agent)
    made = Here(home, tmp_path / "auth", registry)
    made.login.parent.mkdir(parents=True)
    made.login.write_text(LOGIN)
    made.login.chmod(0o600)
    monkeypatch.setenv("AGENT_KEY", KEY)
    return made


def tree(folder: Path) -> dict[str, int]:
    return {
        str(path.relative_to(folder)): stat.S_IMODE(path.lstat().st_mode)
        for path in folder.rglob("*")
    }


# ------------------------------------------------------------------------------- no secret moves


def test_no_secret_is_copied_printed_or_returned(here: Here) -> None:
    said = [here.setup(), here.flags(), here.teardown(), here.setup()]
    said.append(credentials.status(folder=here.folder, registry=here.registry))
    assert here.files_with(LOGIN) == [here.login]
    assert here.files_with(KEY) == []
    assert not any(canary in repr(said) for canary in (LOGIN, KEY))


def test_flags_mount_the_login_itself_and_name_the_key(here: Here) -> None:
    assert here.flags() == [
        "--mount",
        f"type=bind,source={here.login},target=/root/.agent/login.json",
        "--env",
        "AGENT_KEY",
        "--env",
        "AGENT_HOME=/root/.agent",
    ]


def test_what_is_set_up_belongs_to_its_owner_alone_and_is_mounted_too(here: Here) -> None:
    here.setup()
    assert tree(here.folder) == {
        "manifest.json": 0o600,
        "agent": 0o700,
        "agent/agent": 0o700,
        "agent/agent/login.json": 0o600,
        "agent/agent/state.json": 0o600,
    }
    flags = here.flags(home="/home/u", user="1000:1000")
    assert flags[:8] == [
        *("--user", "1000:1000", "--env", "HOME=/home/u"),
        *("--mount", f"type=bind,source={here.state},target=/home/u/.agent"),
        *("--mount", f"type=bind,source={here.login},target=/home/u/.agent/login.json"),
    ]


def test_copy_is_made_only_when_asked_for_and_teardown_removes_it(here: Here) -> None:
    (prepared,) = here.setup(copy=True)
    (copy,) = prepared.copied
    assert sorted(here.files_with(LOGIN)) == sorted([here.login, copy])
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert not any(str(here.login) in flag for flag in here.flags())
    copy.write_text("renewed in a container")
    here.teardown()
    assert not here.folder.exists()
    assert here.files_with(LOGIN) == [here.login]


def test_setting_up_without_copies_takes_the_copies_away(here: Here) -> None:
    here.setup(copy=True)
    here.setup()
    assert here.files_with(LOGIN) == [here.login]


def test_link_to_a_login_mounts_what_it_leads_to(here: Here) -> None:
    real = here.home / "elsewhere.json"
    here.login.rename(real)
    here.login.symlink_to(real)
    assert f"source={real}," in here.flags()[1]


# -------------------------------------------------------------------------------------- teardown


def test_teardown_removes_what_was_made_and_once_is_enough(here: Here) -> None:
    here.setup()
    here.setup()
    assert len(here.teardown(dry_run=True).removed) == len(tree(here.folder)) - 1
    assert len(here.teardown().removed) == 4
    assert here.teardown() == credentials.Removed()
    assert not here.folder.exists()
    assert here.login.read_text() == LOGIN


def test_what_a_container_has_written_stays_until_everything_is_to_go(here: Here) -> None:
    here.setup()
    (here.state / "conversation").write_text("hours of work")
    (here.state / "login.json").write_text("made in a container")
    done = here.teardown()
    assert set(done.kept) == {here.state, here.state / "login.json"}
    here.teardown(everything=True)
    assert not here.folder.exists()


def test_login_of_a_container_is_kept_where_a_copy_once_was(here: Here) -> None:
    here.setup(copy=True)
    (here.state / "conversation").write_text("hours of work")
    here.teardown()
    (here.state / "login.json").write_text("made in a container")
    here.teardown()
    assert (here.state / "login.json").exists()


def test_copy_that_a_crash_left_unfinished_is_removed(here: Here) -> None:
    here.setup()
    # So it is listed, and then killed while the copy was written.
    document = json.loads((here.folder / "manifest.json").read_bytes())
    document["providers"]["agent"]["copies"] = [".agent/login.json"]
    (here.folder / "manifest.json").write_text(json.dumps(document))
    (here.state / "login.json").write_text(LOGIN[:5])
    here.teardown()
    assert not here.folder.exists()


def test_files_of_others_in_the_folder_are_not_touched(here: Here) -> None:
    here.folder.mkdir()
    (here.folder / "mine.txt").write_text("mine")
    (here.folder / "agent" / "agent").mkdir(parents=True)
    (here.state / "state.json").write_text("older than caw")
    here.setup()
    here.teardown()
    assert set(tree(here.folder)) == {
        *("mine.txt", "manifest.json", "agent", "agent/agent", "agent/agent/state.json")
    }


@pytest.mark.parametrize("name", ["state.json", "login.json"])
def test_link_that_a_container_left_is_never_written_or_removed_through(
    here: Here, name: str
) -> None:
    target = here.home / "precious"
    target.write_text("precious")
    here.setup()
    (here.state / name).unlink()
    (here.state / name).symlink_to(target)
    here.setup()
    here.teardown(everything=True)
    assert target.read_text() == "precious"


def test_copy_replaces_no_login_that_was_made_in_a_container(here: Here) -> None:
    here.setup()
    (here.state / "login.json").write_text("made in a container")
    with pytest.raises(ConfigError, match="did not copy"):
        here.setup(copy=True)
    assert (here.state / "login.json").read_text() == "made in a container"


@pytest.mark.parametrize(
    "providers",
    [
        {"../..": {"folders": {}}},
        {"agent": {"folders": {".agent": ".."}}},
        {"agent": {"folders": {".agent": "/etc"}}},
        {"agent": {"folders": {".agent": "a"}, "copies": ["../../home/.agent/login.json"]}},
        {"agent": {"folders": {".agent": "a"}, "copies": [".other/login.json"]}},
        {"agent": []},
        [],
    ],
)
def test_list_that_leads_elsewhere_removes_nothing(here: Here, providers: Any) -> None:
    here.setup()
    empty: dict[str, Any] = {"start_files": [], "mount_points": [], "copies": []}
    if isinstance(providers, dict):
        providers = {
            name: {**empty, **made} if isinstance(made, dict) else made
            for name, made in providers.items()
        }
    document = {"version": 1, "providers": providers}
    (here.folder / "manifest.json").write_text(json.dumps(document))
    before = tree(here.folder)
    with pytest.raises(ConfigFileError):
        here.teardown(everything=True)
    assert tree(here.folder) == before
    assert here.login.exists()


# ---------------------------------------------------------------------------------- what is wrong


def test_nothing_to_give_is_an_error(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AGENT_KEY")
    here.login.unlink()
    for attempt in (here.flags, here.setup):
        with pytest.raises(NotReadyError, match="no credentials"):
            attempt()


def test_provider_that_cannot_say_is_an_error_only_if_it_is_named(here: Here) -> None:
    class Silent:
        caw_api = "1.0"

        @hookimpl
        def provider_info(self) -> ProviderInfo:
            return ProviderInfo(name="silent")

        @hookimpl
        def start_session(self) -> None:
            raise AssertionError

    here.registry.register_provider("silent", Silent)
    assert here.flags()
    with pytest.raises(UnsupportedError, match="'silent'"):
        here.flags(names=["silent"])


@pytest.mark.parametrize(
    "given",
    [
        {"home": "relative"},
        {"home": "/a/../b"},
        {"home": "/a\nb"},
        {"user": "a b"},
        {"user": "--privileged"},
        {"user": "1:2:3"},
        {"user": ""},
    ],
)
def test_home_and_user_that_make_no_sense_are_refused(here: Here, given: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        here.flags(**given)


@pytest.mark.parametrize("place", ["/etc/passwd", "../x", "", ".", "a//b", "a\nb"])
def test_place_outside_of_the_home_is_refused(place: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="below the container's home"):
        CredentialFile(path=tmp_path, place=place)


def test_start_file_deeper_than_the_folder_is_refused() -> None:
    # A container could put a link into a folder's folder.
    with pytest.raises(ConfigError, match="directly"):
        ContainerCredentials(folders=(".agent",), start_files={".agent/deep/state.json": ""})


def test_login_that_others_may_read_is_told(here: Here) -> None:
    here.login.chmod(0o644)
    login, key = asyncio.run(credentials.status_async(folder=here.folder, registry=here.registry))
    assert "chmod 600" in login.problem
    assert (login.present, login.how) == (True, "mounted")
    assert (key.name, key.how) == ("AGENT_KEY", "passed on by name")


# -------------------------------------------------------------------------- what others make of it


@pytest.fixture
def daemon() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Return the address of what docker takes for its daemon, and what it is asked to create."""
    asked: list[dict[str, Any]] = []

    class Daemon(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.path.partition("?")[0].endswith("/containers/create"):
                asked.append(json.loads(body))
            data = json.dumps({"Id": "0" * 64, "Warnings": []}).encode()
            self.send_response(201 if body else 200)
            self.send_header("Api-Version", "1.44")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        do_GET = do_HEAD = do_POST = answer  # noqa: N815 - the names that the base class calls

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Daemon)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"tcp://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.skipif(shutil.which("docker") is None, reason="there is no docker client here")
@pytest.mark.parametrize("name", ["plain", "with a blank", 'a,b":c', "größe$(x)"])
def test_docker_itself_understands_the_flags(
    here: Here, daemon: tuple[str, list[dict[str, Any]]], name: str, tmp_path: Path
) -> None:
    address, asked = daemon
    here.setup()
    moved = tmp_path / name
    here.folder.rename(moved)
    flags = attrs.evolve(here, folder=moved).flags(user="7:8", home=f"/home/{name}")
    command = ["docker", "--host", address, "create", *flags, "an-image"]
    env = {**os.environ, "AGENT_KEY": KEY, "DOCKER_CONFIG": str(tmp_path / "docker")}
    subprocess.run(command, env=env, check=True, capture_output=True, timeout=60)
    (wanted,) = asked
    assert wanted["User"] == "7:8"
    assert sorted(wanted["Env"]) == [
        f"AGENT_HOME=/home/{name}/.agent",
        f"AGENT_KEY={KEY}",
        f"HOME=/home/{name}",
    ]
    assert [(m["Source"], m["Target"]) for m in wanted["HostConfig"]["Mounts"]] == [
        (str(moved / "agent" / "agent"), f"/home/{name}/.agent"),
        (str(here.login), f"/home/{name}/.agent/login.json"),
    ]
