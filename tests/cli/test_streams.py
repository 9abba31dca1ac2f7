"""What the command line does without a stream, or without a place for its handle."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Caw

RUN = f'"{sys.executable}" -m caw_core run -q -p echo hi'


@pytest.mark.parametrize(
    ("closed", "out"), [("<&-", "echo: hi\n"), (">&-", ""), ("2>&-", "echo: hi\n")]
)
def test_closed_stream_is_no_failure(caw: Caw, closed: str, out: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f"{RUN} {closed}"],
        capture_output=True,
        text=True,
        env=caw.env,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, out, "")


@pytest.mark.parametrize(("prompt", "code"), [("hi", 1), ("!fail auth", 3)])
def test_handle_that_cannot_be_written_is_told_in_a_line(
    caw: Caw, tmp_path: Path, prompt: str, code: int
) -> None:
    # A folder in the place of the file that is written first: nobody may replace that, not root.
    (tmp_path / "handle.part").mkdir()
    target = str(tmp_path / "handle")
    result = caw("run", "-p", "echo", "--save-handle", target, prompt)
    assert result.code == code
    assert "--save-handle: the handle could not be written" in result.err
    assert "Traceback" not in result.err
    assert "resume with" in result.err
