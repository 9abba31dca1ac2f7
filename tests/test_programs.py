"""Agents' programs: finding them, asking for their versions, and what follows for readiness."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from caw_core.errors import ConfigError, ProgramNotFoundError
from caw_core.process import home_folder
from caw_core.programs import AgentProgram, ProgramVersions, program_version, version_numbers
from caw_core.readiness import program_readiness

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the programs are shell scripts")

ABACUS = AgentProgram(
    name="abacus",
    provider="sums",
    variable="MY_ABACUS",
    install_hint="Install it with: apt install abacus",
    tested="1.2",
)


def executable(path: Path, script: str = "echo 1.2.3") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_option_comes_before_the_variable_and_that_before_path(tmp_path: Path) -> None:
    chosen, named, found = (executable(tmp_path / name / "abacus") for name in "abc")
    env = {"MY_ABACUS": str(named), "PATH": str(found.parent)}
    assert ABACUS.find(env, {"binary": chosen}) == chosen
    assert ABACUS.find(env, {"binary": str(chosen)}) == chosen
    assert ABACUS.find(env, {}) == named
    assert ABACUS.find({"PATH": str(found.parent)}, {"binary": None}) == found


def test_other_places_are_looked_at_in_their_order(tmp_path: Path) -> None:
    places = [tmp_path / name / "abacus" for name in ("missing", "second", "third")]
    found = [executable(place) for place in places[1:]]
    program = attrs.evolve(ABACUS, places=lambda env: [Path(env["X"]) / "abacus", *places])
    assert program.find({"PATH": "", "X": str(tmp_path)}, {}) == found[0]


def test_program_behind_a_script_is_taken_instead(tmp_path: Path) -> None:
    script, real = executable(tmp_path / "abacus"), executable(tmp_path / "real")
    program = attrs.evolve(ABACUS, native=lambda path: path.with_name("real"))
    assert program.find({"PATH": str(tmp_path)}, {}) == real
    assert program.find({}, {"binary": script}) == real


def test_missing_program_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ProgramNotFoundError, match="apt install abacus") as caught:
        ABACUS.find({"PATH": str(tmp_path)}, {})
    assert (caught.value.program, caught.value.provider) == ("abacus", "sums")


@pytest.mark.parametrize("how", ["option", "variable"])
def test_given_path_that_is_no_file_is_not_replaced_by_another(tmp_path: Path, how: str) -> None:
    executable(tmp_path / "abacus")
    env = {"PATH": str(tmp_path)}
    options = {}
    if how == "option":
        options["binary"] = str(tmp_path / "no")
    else:
        env["MY_ABACUS"] = str(tmp_path / "no")
    with pytest.raises(ProgramNotFoundError, match="'binary' or from MY_ABACUS"):
        ABACUS.find(env, options)


def test_option_that_is_no_path_is_refused() -> None:
    with pytest.raises(ConfigError, match="sums's option 'binary' must be a path, not int"):
        ABACUS.find({}, {"binary": 7})


@pytest.mark.parametrize(
    ("version", "tested", "agrees"),
    [
        ("1.2.3", "1.2", True),
        ("1.2.3", "1.2.9", True),
        ("1.2-beta.1", "1.2", True),
        ("1", "1.2", False),
        ("1.3.0", "1.2", False),
        ("1.20.0", "1.2", False),
        ("2.2.0", "1.2", False),
    ],
)
def test_version_is_tested_if_its_first_two_numbers_agree(
    version: str, tested: str, *, agrees: bool
) -> None:
    assert attrs.evolve(ABACUS, tested=tested).is_tested(version) is agrees


@pytest.mark.parametrize(
    ("script", "version"),
    [
        ("echo 1.2.3", "1.2.3"),
        ("echo 'abacus-cli 0.169.0-alpha.1'", "0.169.0-alpha.1"),
        ("echo '2.1.197 (Abacus Code).'", "2.1.197"),
        ("echo abacus", ""),
        ("echo 1.2.3; exit 1", ""),
        ("echo 1.2.3 >&2", ""),
    ],
)
def test_version_is_read_from_what_the_program_prints(
    tmp_path: Path, script: str, version: str
) -> None:
    assert program_version(executable(tmp_path / "abacus", script)) == version


def test_numbers_of_a_version_can_be_compared() -> None:
    assert version_numbers("0.169.0-alpha.1") == (0, 169, 0)
    assert version_numbers("2.10") > version_numbers("2.9.9")
    assert version_numbers("odd") == ()


def test_program_that_cannot_be_started_has_no_version(tmp_path: Path) -> None:
    assert program_version(tmp_path / "missing") == ""
    assert ProgramVersions().of(tmp_path / "missing") == ""


def test_version_is_asked_for_once_and_again_when_the_file_changes(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    program = executable(tmp_path / "abacus", f"echo x >> {asked}; echo 1.2.3")
    versions = ProgramVersions()
    assert (versions.of(program), versions.of(program)) == ("1.2.3", "1.2.3")
    assert asked.read_text() == "x\n"
    executable(program, "echo 10.20.30")
    assert versions.of(program) == "10.20.30"


def test_version_that_could_not_be_had_is_asked_for_again(tmp_path: Path) -> None:
    done = tmp_path / "done"
    program = executable(tmp_path / "abacus", f"[ -e {done} ] && echo 1.2.3; touch {done}")
    versions = ProgramVersions()
    assert (versions.of(program), versions.of(program)) == ("", "1.2.3")


def seen(env: Mapping[str, str]) -> str:
    return "ABACUS_KEY" if env.get("ABACUS_KEY") else ""


def readiness(env: dict[str, str | None], **options: Any) -> Any:
    return program_readiness(
        ABACUS, ProgramVersions(), env, options, credentials=seen, login_hint="Log in."
    )


def test_program_with_credentials_is_ready(tmp_path: Path) -> None:
    program = executable(tmp_path / "abacus")
    ready = readiness({"PATH": str(tmp_path), "ABACUS_KEY": "secret"})
    assert attrs.asdict(ready) == {
        "ready": True,
        "detail": "abacus 1.2.3, ABACUS_KEY",
        "hint": "",
        "program_path": str(program),
        "version": "1.2.3",
        "tested_versions": "1.2",
        "tested": True,
        "credentials": "ABACUS_KEY",
        "credentials_path": "",
        "credentials_expire_at": None,
    }


def test_credentials_that_are_missing_come_with_what_to_do(tmp_path: Path) -> None:
    ready = readiness({}, binary=executable(tmp_path / "abacus", "echo 3.0"))
    assert (ready.ready, ready.tested, ready.hint) == (False, False, "Log in.")
    assert ready.detail == "abacus 3.0, no credentials seen"


def test_program_without_a_version_is_not_ready(tmp_path: Path) -> None:
    broken = executable(tmp_path / "abacus", "exit 1")
    ready = readiness({"ABACUS_KEY": "secret"}, binary=broken)
    assert (ready.ready, ready.tested, ready.hint) == (False, None, ABACUS.install_hint)
    assert ready.detail == "abacus does not say its version"


def test_missing_program_is_a_fact_and_no_error(tmp_path: Path) -> None:
    ready = readiness({"PATH": str(tmp_path), "MY_ABACUS": None})
    assert (ready.ready, ready.program_path, ready.tested_versions) == (False, "", "1.2")
    assert ready.hint == ABACUS.install_hint


def test_home_is_that_of_the_environment(tmp_path: Path) -> None:
    assert home_folder({"HOME": str(tmp_path)}) == tmp_path
    assert home_folder({}) == Path.home()
