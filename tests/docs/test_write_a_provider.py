from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

PAGES = Path(__file__).parents[2] / "docs" / "tutorial"


@pytest.mark.timeout(600)  # pages install things, and prove what was written
@pytest.mark.skipif(os.name != "posix", reason="the page is written for a POSIX shell")
@pytest.mark.parametrize(
    ("page", "folder"),
    [
        ("write-a-provider.md", "caw-provider-abacus"),
        ("write-a-storage.md", "caw-storage-onefile"),
    ],
)
def test_tutorial_works_as_it_is_printed(reader: Any, page: str, folder: str) -> None:
    environment = reader.path / folder / ".venv" / "bin"
    # What activating the environment does for the commands after it.
    reader.env["PATH"] = f"{environment}{os.pathsep}{reader.env['PATH']}"
    reader.follow(PAGES / page)
