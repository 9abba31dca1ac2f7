"""Check an installed plugin: ``python -m caw_testkit.conformance NAME [--url URL] --report FILE``.

``caw plugins --check`` runs this in a process of its own. The exit code is 0 if every check held
and 1 if one did not. If there is nothing to run, stderr says why, and the code is the one that
``caw`` has for such an error.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import pytest

from caw_core.cli.exit_codes import exit_code_for
from caw_core.errors import CawError
from caw_testkit.conformance.installed import test_module

_OPTIONS = [
    *("--import-mode=importlib", "-p", "no:cacheprovider", "-p", "no:warnings"),
    # What came of each check is in the report; here it only shows that the run gets on.
    *("--quiet", "--no-header", "--no-summary", "--tb=no"),
]


def main() -> int:
    """Run the suites of one plugin."""
    parser = argparse.ArgumentParser(prog="python -m caw_testkit.conformance")
    parser.add_argument("name")
    parser.add_argument("--url", default="")
    parser.add_argument("--report", required=True, type=Path)
    arguments = parser.parse_args()
    # Here the stores are, 20 MB texts among them, and pytest would keep them.
    with tempfile.TemporaryDirectory(prefix="caw-check-") as name:
        folder = Path(name)
        try:
            source = test_module(arguments.name, arguments.url, folder)
        except CawError as error:
            sys.stderr.write(f"caw: {error}\n")
            return exit_code_for(error)
        (folder / "test_plugin.py").write_text(source, encoding="utf-8")
        # A file of our own, so that no settings of the folder in which the user is count.
        (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        pytest.main(
            [
                *_OPTIONS,
                *("-c", str(folder / "pytest.ini"), "--rootdir", str(folder)),
                *("--basetemp", str(folder / "stores")),
                *("--caw-report", str(arguments.report.absolute())),
                str(folder / "test_plugin.py"),
            ],
        )
    outcome = json.loads(arguments.report.read_text(encoding="utf-8"))["outcome"]
    return 0 if outcome == "passed" else 1


if __name__ == "__main__":
    sys.exit(main())
