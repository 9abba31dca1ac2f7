"""The machine-readable report of a run: every check of every suite, and what came of it.

``pytest --caw-report FILE`` writes it, as one JSON object:

``schema``
    `SCHEMA`. Members may be added; one that changes its meaning or goes raises the number.
``caw_core``, ``caw_testkit``, ``python``, ``platform``
    the versions, and `sys.platform`.
``outcome``
    ``passed`` if at least one check ran and none failed, else ``failed``.
``counts``
    how many checks ``passed``, ``failed`` and were ``skipped``.
``suites``
    one object for each class: ``suite`` (its name), ``kind`` (``storage`` or ``provider``),
    ``capabilities`` (those declared, sorted) and ``checks``, in the order in which they ran.

A check has ``check`` (the method's name, with the parameter in brackets), ``outcome``,
``capabilities`` (those that it is about, empty for what every plugin must do), ``demand`` (what is
demanded and why), ``message`` (why it failed or was skipped, ``""`` otherwise) and ``seconds``.

A check that its author expects to fail counts as failed when it fails: such a report says what
holds, not what was hoped for. So does an error in a fixture.
"""

from __future__ import annotations

import importlib.metadata
import inspect
import json
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from caw_testkit.conformance.base import Conformance, needed_by

if TYPE_CHECKING:
    from collections.abc import Generator

SCHEMA = 1

_LONGEST = 4000


class ReportWriter:
    """A pytest plugin that writes the report at the end of the run.

    Args:
        path: the file; it is replaced, and its folder is made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self._suites: dict[str, dict[str, Any]] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self,
        item: pytest.Item,
        call: pytest.CallInfo[None],
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Note what came of each phase of each check."""
        report = yield
        suite = getattr(item, "cls", None)
        if isinstance(suite, type) and issubclass(suite, Conformance):
            self._note(item, suite, report, call)
        return report

    def pytest_sessionfinish(self) -> None:
        """Write the file."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.document(), indent=1)
        self._path.write_text(text + "\n", encoding="utf-8")

    def document(self) -> dict[str, Any]:
        """Return the report."""
        suites = [
            {**suite, "checks": list(suite["checks"].values())} for suite in self._suites.values()
        ]
        outcomes = [check["outcome"] for suite in suites for check in suite["checks"]]
        counts = {name: outcomes.count(name) for name in ("passed", "failed", "skipped")}
        return {
            "schema": SCHEMA,
            "caw_core": importlib.metadata.version("caw-core"),
            "caw_testkit": importlib.metadata.version("caw-testkit"),
            "python": platform.python_version(),
            "platform": sys.platform,
            "outcome": "passed" if counts["passed"] and not counts["failed"] else "failed",
            "counts": counts,
            "suites": suites,
        }

    def _note(
        self,
        item: pytest.Item,
        suite: type[Conformance],
        report: pytest.TestReport,
        call: pytest.CallInfo[None],
    ) -> None:
        owner = item.nodeid.rpartition("::")[0]
        about = self._suites.setdefault(
            owner,
            {
                "suite": suite.__name__,
                "kind": suite.kind,
                "capabilities": sorted(suite.capabilities),
                "checks": {},
            },
        )
        check = about["checks"].setdefault(
            item.name,
            {
                "check": item.name,
                "outcome": "passed",
                "capabilities": list(needed_by(item)),
                "demand": inspect.getdoc(getattr(item, "function", None)) or "",
                "message": "",
                "seconds": 0.0,
            },
        )
        check["seconds"] = round(check["seconds"] + report.duration, 3)
        if report.passed or check["outcome"] == "failed":
            return
        # pytest calls a failure that was expected a skip; see the module's text.
        expected_to_fail = hasattr(report, "wasxfail") and call.excinfo is not None
        check["outcome"] = "failed" if report.failed or expected_to_fail else "skipped"
        check["message"] = _message(report)


def _message(report: pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(crash.message if crash is not None else report.longrepr or "")
    return text.removeprefix("Failed: ")[:_LONGEST]
