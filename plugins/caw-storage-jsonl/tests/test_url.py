"""The storage's URLs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from caw_core.errors import ConfigError
from caw_storage_jsonl import open_storage

if TYPE_CHECKING:
    from pathlib import Path


def test_absolute_folder(tmp_path: Path) -> None:
    assert open_storage(f"jsonl://{tmp_path}").session_dir("a") == tmp_path / "sessions" / "a"


def test_relative_folder_stays_where_it_was_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    storage = open_storage("jsonl:records/of mine")
    monkeypatch.chdir("/")
    assert storage.session_dir("a") == tmp_path / "records/of mine/sessions/a"


def test_names_are_percent_decoded_and_nothing_is_lost() -> None:
    storage = open_storage("jsonl:///data/a%20b%3Fc%23d%0Ae%E2%82%AC\tf")
    assert storage.session_dir("x").parts[2] == "a b?c#d\ne€\tf"


def test_opening_touches_nothing(tmp_path: Path) -> None:
    open_storage(f"jsonl://{tmp_path}/new")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("jsonl://host/dir", "names the host 'host'"),
        ("jsonl://dir", "names the host 'dir'"),
        ("jsonl:///dir?fsync=no", "has a '\\?'"),
        ("jsonl:///dir#a", "has a '#'"),
        ("jsonl:", "names no folder"),
        ("jsonl:///", "names no folder"),
        ("jsonl:///a%00b", "names no folder"),
        ("sqlite:///a", "no URL of this storage"),
        ("/just/a/path", "no URL of this storage"),
    ],
)
def test_url_that_means_nothing_is_refused(url: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        open_storage(url)
