"""The fixtures, as a project that only installs the plugin uses them."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

ASK = """
import urllib.error, urllib.request
from caw_testkit.modelserver import reply, text

def ask(server):
    request = urllib.request.Request(server.url + "/v1/messages", b"{}")
    try:
        urllib.request.urlopen(request).read()
    except urllib.error.HTTPError:
        pass
"""


def run(tmp_path: Path, source: str, **env: str) -> str:
    (tmp_path / "test_it.py").write_text(ASK + source)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--strict-markers", "."],
        cwd=tmp_path,
        env=os.environ | env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


def test_a_test_that_does_as_scripted_passes(tmp_path: Path) -> None:
    out = run(
        tmp_path,
        "import pytest\n@pytest.mark.real_codex\ndef test_it(model_server):\n"
        "    model_server.script(reply(text('x')))\n    ask(model_server)\n",
    )
    assert "1 passed" in out


@pytest.mark.parametrize(
    ("line", "words"),
    [("ask(model_server)", "unscripted request"), ("model_server.script(reply())", "unused step")],
)
def test_the_server_is_verified_at_teardown(tmp_path: Path, line: str, words: str) -> None:
    out = run(tmp_path, f"def test_it(model_server):\n    {line}\n")
    assert "1 passed, 1 error" in out
    assert words in out


def test_a_failed_test_shows_what_the_server_saw_and_fails_once(tmp_path: Path) -> None:
    out = run(tmp_path, "def test_it(model_server):\n    ask(model_server)\n    assert False\n")
    assert "1 failed" in out
    assert "error" not in out.splitlines()[-1]
    assert "unscripted request" in out


def test_a_program_that_cannot_be_installed_is_an_error(tmp_path: Path) -> None:
    out = run(
        tmp_path,
        "def test_it(codex_program):\n    pass\n",
        CAW_PROGRAMS_DIR=str(tmp_path / "programs"),
        PATH="",
    )
    assert "1 error" in out
    assert "npm was not found on PATH" in out


def test_the_plugin_itself_imports_neither_server_nor_programs(tmp_path: Path) -> None:
    out = run(
        tmp_path,
        "",
    )
    assert "no tests ran" in out
    code = (
        "import sys, caw_testkit.plugin;"
        "print([n for n in sys.modules if n.startswith('caw_testkit.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['caw_testkit.plugin']"
