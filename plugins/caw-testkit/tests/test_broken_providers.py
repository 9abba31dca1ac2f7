"""The suite finds every provider that breaks a rule, and says what to do about it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


@pytest.mark.timeout(600)  # a run of its own, of many suites
@pytest.mark.parametrize("module", ["broken_turns.py", "broken_programs.py"])
def test_each_broken_provider_is_found(module: str, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    options = ["--import-mode=importlib", "-q", "-p", "no:cacheprovider", "-o", "timeout=100"]
    # What one of them left open is found at any time, and no other's fault.
    options += ["-W", "default::pytest.PytestUnraisableExceptionWarning"]
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
    missed = [
        f"{suite['suite']}: {check['check']} {check['outcome']} {check['message']}"
        for suite in suites
        for check in suite["checks"]
        if check["outcome"] != "failed" or "What to do:" not in check["message"]
    ]
    assert missed == []
