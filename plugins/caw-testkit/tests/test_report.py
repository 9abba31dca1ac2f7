"""The report says what holds, not what was hoped for."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from caw_testkit.conformance import StorageConformance

if TYPE_CHECKING:
    from pathlib import Path

SUITE = """
import pytest
from caw_testkit.conformance.base import Conformance, needs

class TestIt(Conformance):
    known_capabilities = {"flying": "it flies"}

    @pytest.fixture
    def wings(self):
        raise OSError("no wings")

    @pytest.mark.parametrize("height", [1, 2])
    def test_holds(self, height):
        '''Something holds.'''

    @pytest.mark.xfail(reason="later")
    def test_hoped_for(self):
        raise ValueError("not yet")

    def test_with_wings(self, wings):
        pass

    @needs("flying")
    def test_flying(self):
        pass

def test_of_something_else():
    pass
"""


def report_of(folder: Path, source: str) -> dict[str, Any]:
    (folder / "test_it.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    subprocess.run(
        [*command, "--strict-markers", "--caw-report", "deep/report.json"],
        cwd=folder,
        capture_output=True,
        check=False,
    )
    report: dict[str, Any] = json.loads((folder / "deep" / "report.json").read_text())
    return report


def test_report_holds_each_check_and_what_came_of_it(tmp_path: Path) -> None:
    report = report_of(tmp_path, SUITE)
    (suite,) = report["suites"]
    found = {check["check"]: (check["outcome"], check["message"]) for check in suite["checks"]}
    assert found == {
        "test_holds[1]": ("passed", ""),
        "test_holds[2]": ("passed", ""),
        "test_hoped_for": ("failed", "ValueError: not yet"),
        "test_with_wings": ("failed", "OSError: no wings"),
        "test_flying": ("skipped", "capability 'flying' is not declared (it flies)"),
    }
    assert report["counts"] == {"passed": 2, "failed": 2, "skipped": 1}
    assert report["outcome"] == "failed"
    assert suite["checks"][0]["demand"] == "Something holds."
    assert suite["checks"][-1]["capabilities"] == ["flying"]


def test_run_without_any_check_proves_nothing(tmp_path: Path) -> None:
    report = report_of(tmp_path, "def test_of_something_else():\n    pass\n")
    assert (report["outcome"], report["suites"]) == ("failed", [])


def test_capability_that_does_not_exist_is_refused_where_it_is_declared() -> None:
    with pytest.raises(TypeError, match=r"has flying; there are: delete_session, durable"):
        type("TestMine", (StorageConformance,), {"capabilities": frozenset({"flying"})})


def test_suite_that_is_not_told_how_to_open_the_storage_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotImplementedError, match="needs a 'url'"):
        StorageConformance().make_storage(tmp_path)
