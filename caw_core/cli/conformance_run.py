"""The conformance suite of an installed plugin, run in a process of its own."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from caw_core.cli.exit_codes import FAILED
from caw_core.errors import PluginLoadError


def run_suite(name: str, url: str) -> dict[str, Any]:
    """Check a plugin and return the report, which `caw_testkit.conformance.report` describes.

    How far it is goes to stderr.

    Args:
        name: the plugin's name.
        url: how a storage's URL is made, for the general suite; else ``""``.

    Raises:
        PluginLoadError: caw-testkit is not installed.
        click.exceptions.Exit: nothing was checked; why has been told on stderr.
    """
    if importlib.util.find_spec("caw_testkit") is None:
        msg = "the checks are in caw-testkit, which is not installed: pip install caw-testkit"
        raise PluginLoadError(msg, name=name)
    with tempfile.TemporaryDirectory(prefix="caw-report-") as folder:
        report = Path(folder, "report.json")
        command = [sys.executable, "-m", "caw_testkit.conformance", name, "--report", str(report)]
        done = subprocess.run(  # noqa: S603 - this interpreter and a module of ours
            [*command, *(["--url", url] if url else [])],
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            check=False,
        )
        if not report.exists():
            # A signal is a negative number there.
            raise click.exceptions.Exit(max(done.returncode, FAILED))
        document: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
        return document
