"""The suite finds every storage that breaks a rule, and says what to do about it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


MODULES = [
    "broken_filters.py",
    "broken_forks.py",
    "broken_leases.py",
    "broken_lists.py",
    "broken_live.py",
    "broken_records.py",
    "broken_searches.py",
    "broken_writers.py",
]


# Dozens of stores and processes each, which wait for one another on a busy machine.
@pytest.mark.timeout(600)
@pytest.mark.parametrize("module", MODULES)
def test_each_broken_storage_is_found(module: str, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    options = ["--import-mode=importlib", "-q", "-p", "no:cacheprovider", "-o", "timeout=100"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "--caw-report", str(report), f"tests/{module}"],
        # So that "tests" is the package of this distribution, also in the processes of the checks.
        cwd=FOLDER.parent,
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert report.exists(), done.stdout + done.stderr
    suites = json.loads(report.read_text())["suites"]
    assert len(suites) == (FOLDER / module).read_text().count("@breaks(")
    missed = []
    for suite in suites:
        # One of a check's parameters is enough.
        found = {name_of(check) for check in suite["checks"] if check["outcome"] == "failed"}
        assert all(check["message"] for check in suite["checks"] if check["outcome"] == "failed")
        wanted = {name_of(check) for check in suite["checks"]}
        missed += [f"{suite['suite']}: {name}" for name in sorted(wanted - found)]
    assert missed == []


def name_of(check: dict[str, str]) -> str:
    return check["check"].partition("[")[0]
