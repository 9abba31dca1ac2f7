"""The pages in a real browser, where one is installed."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from caw_viewer import start_viewer_server

if TYPE_CHECKING:
    from pathlib import Path

    from caw_core import Store

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")


def dom(url: str, folder: Path) -> str:
    assert BROWSER is not None
    quiet = ("--no-first-run", "--disable-background-networking", "--disable-component-update")
    done = subprocess.run(
        [
            *(BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", *quiet),
            *("--disable-sync", f"--user-data-dir={folder}", "--dump-dom", url),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        timeout=110,
    )
    return done.stdout


def test_browser_that_opens_the_address_sees_the_list(store: Store, tmp_path: Path) -> None:
    with start_viewer_server(store) as server:
        page = dom(server.url, tmp_path / "profile")
    assert "prompt 58" in page
    assert "<title>Sessions</title>" in page


def test_nothing_that_an_agent_wrote_runs(store: Store, tmp_path: Path) -> None:
    with start_viewer_server(store) as server:
        page = dom(server.url.replace("/?", "/session/s59?"), tmp_path / "profile")
    assert "answer 59" in page
    assert "owned" not in page.partition("</head>")[0]
