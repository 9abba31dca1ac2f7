"""The storage's URLs."""

from __future__ import annotations

from pathlib import Path

import pytest

from caw_core.errors import ConfigError
from caw_storage_sqlite.url import Location, location_of_url


def test_three_slashes_are_relative_to_the_folder_at_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    location = location_of_url("sqlite:///records/of mine.db")
    monkeypatch.chdir("/")
    assert location == Location(path=tmp_path / "records/of mine.db")


def test_four_slashes_are_absolute() -> None:
    assert location_of_url("sqlite:////data/a.db").path == Path("/data/a.db")


def test_names_are_percent_decoded_and_nothing_is_lost() -> None:
    location = location_of_url("sqlite:////data/a%20b%3Fc%23d%0Ae%E2%82%AC\tf")
    assert location.path.name == "a b?c#d\ne€\tf"


def test_choices_are_read() -> None:
    location = location_of_url("sqlite:////a.db?synchronous=normal&search=scan")
    assert (location.synchronous, location.search) == ("normal", "scan")


def test_a_slash_too_few_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="four slashes"):
        location_of_url(f"sqlite://{tmp_path}/sessions.db")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("sqlite://host/a.db", "names the host 'host'"),
        ("sqlite://a.db", "names the host 'a.db'"),
        ("sqlite:a.db", "has no slashes"),
        ("sqlite:/a.db", "has no slashes"),
        ("sqlite:///a.db?mode=ro", "option 'mode'; there are: synchronous, search"),
        ("sqlite:///a.db?synchronous=off", "synchronous is one of full, normal"),
        ("sqlite:///a.db#x", "has a '#'"),
        ("sqlite://", "use memory:"),
        ("sqlite:///", "use memory:"),
        ("sqlite:///:memory:", "use memory:"),
        ("sqlite:///folder/", "names no file"),
        ("sqlite:///a%00b", "names no file"),
        ("jsonl:///a", "no URL of this storage"),
        ("/just/a/path", "no URL of this storage"),
    ],
)
def test_url_that_means_nothing_is_refused(url: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        location_of_url(url)
