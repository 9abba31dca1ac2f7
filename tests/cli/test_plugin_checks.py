"""``caw plugins --check``: the conformance suite of an installed plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Caw

STORAGE = """
from caw_core import Trajectory, hookimpl

class Tiny:
    caw_api = "1.0"

    @hookimpl
    def persist_turn(self, session, turn):
        pass

    @hookimpl
    def load_trajectory(self, session_id):
        return None

def open_storage(url):
    return Tiny()
"""

SUITE = """
from caw_testkit.conformance.base import Conformance, broken, needs

class Suite(Conformance):
    kind = "storage"
    known_capabilities = {"flying": "it flies", "diving": "it dives"}
    capabilities = frozenset({"flying"})

    def test_first(self):
        '''Something holds.'''

    @needs("flying")
    def test_flying(self):
        FLYING

    @needs("diving")
    def test_diving(self):
        '''Never run.'''
"""


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    """Make a folder with a storage ``tiny`` that registers no suite."""
    folder = tmp_path / "plugins"
    info = folder / "a_tiny-1.2.dist-info"
    info.mkdir(parents=True)
    (folder / "a_tiny.py").write_text(STORAGE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: a_tiny\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text("[caw.storages]\ntiny = a_tiny:open_storage\n")
    return folder


def register(plugins: Path, flying: str) -> None:
    """Let the storage register a suite whose second check does *flying*."""
    (plugins / "a_tiny_suite.py").write_text(SUITE.replace("FLYING", flying))
    with (plugins / "a_tiny-1.2.dist-info" / "entry_points.txt").open("a") as file:
        file.write("[caw.conformance]\ntiny = a_tiny_suite:Suite\n")


def test_checks_that_hold_are_listed_and_the_code_is_0(caw: Caw, plugins: Path) -> None:
    register(plugins, "pass")
    result = caw("plugins", "--check", "tiny", PYTHONPATH=str(plugins))
    assert (result.code, result.out.splitlines()) == (
        0,
        [
            "CHECK\tOUTCOME\tABOUT\tMESSAGE",
            "first\tpassed\tevery plugin\t",
            "flying\tpassed\tflying\t",
            "diving\tskipped\tdiving\tcapability 'diving' is not declared (it dives)",
        ],
    )
    assert "tiny: 2 passed, 0 failed, 1 skipped" in result.err


def test_check_that_fails_says_why_and_the_code_is_1(caw: Caw, plugins: Path) -> None:
    register(plugins, "broken('It fell.', 'Flap harder.')")
    result = caw("plugins", "--check", "tiny", PYTHONPATH=str(plugins))
    assert result.code == 1
    assert "flying\tfailed\tflying\tIt fell. What to do: Flap harder." in result.out


def test_json_is_the_report_on_one_line(caw: Caw, plugins: Path) -> None:
    register(plugins, "raise OSError('no air')")
    result = caw("plugins", "--check", "tiny", "--json", PYTHONPATH=str(plugins))
    (report,) = result.lines
    assert (report["type"], report["name"], report["schema"]) == ("conformance", "tiny", 1)
    assert (report["outcome"], report["counts"]) == (
        "failed",
        {"passed": 1, "failed": 1, "skipped": 1},
    )
    (suite,) = report["suites"]
    assert (suite["kind"], suite["capabilities"]) == ("storage", ["flying"])
    assert [check["message"] for check in suite["checks"]][1] == "OSError: no air"


def test_storage_without_a_suite_is_told_how_to_be_checked(caw: Caw, plugins: Path) -> None:
    result = caw("plugins", "--check", "tiny", PYTHONPATH=str(plugins))
    assert (result.code, result.out) == (2, "")
    assert "a_tiny registers no conformance suite for 'tiny'" in result.err
    assert "caw plugins --check tiny --url 'tiny://{folder}'" in result.err


def test_general_suite_is_run_on_a_url(caw: Caw, plugins: Path) -> None:
    url = ["--url", "tiny://{folder}"]
    result = caw("plugins", "--check", "tiny", *url, "--json", PYTHONPATH=str(plugins))
    (report,) = result.lines
    outcomes = {check["check"]: check["outcome"] for check in report["suites"][0]["checks"]}
    assert result.code == 1
    assert outcomes["test_session_that_was_never_stored_is_none"] == "passed"
    assert outcomes["test_turn_comes_back_as_it_was"] == "failed"
    assert outcomes["test_deleted_session_is_gone"] == "skipped"


def test_suite_that_is_broken_is_told(caw: Caw, plugins: Path) -> None:
    register(plugins, "pass")
    for source, problem in (("import no_such", "no_such"), ("Suite = 5", "no subclass")):
        (plugins / "a_tiny_suite.py").write_text(source)
        result = caw("plugins", "--check", "tiny", PYTHONPATH=str(plugins))
        assert (result.code, result.out) == (3, "")
        assert problem in result.err


def test_name_that_is_not_installed_is_told(caw: Caw) -> None:
    result = caw("plugins", "--check", "nothing")
    assert (result.code, result.out) == (2, "")
    assert "'nothing' is not installed" in result.err


def test_url_of_a_provider_is_refused(caw: Caw) -> None:
    result = caw("plugins", "--check", "echo", "--url", "echo://x")
    assert result.code == 2
    assert "no storage" in result.err
    assert caw("plugins", "--url", "x").code == 2


def test_without_caw_testkit_the_pip_command_is_told(caw: Caw, tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    # A module that is None cannot be imported: as if it were not installed.
    (hidden / "sitecustomize.py").write_text("import sys; sys.modules['caw_testkit'] = None")
    result = caw("plugins", "--check", "echo", PYTHONPATH=str(hidden))
    assert result.code == 3
    assert "pip install caw-testkit" in result.err
