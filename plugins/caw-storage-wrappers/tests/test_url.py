"""How wrapped storages are named, alone and one around another."""

from __future__ import annotations

from pathlib import Path

import pytest

from caw_core import Agent, Store
from caw_core.errors import CawError, ConfigError
from caw_core.redaction import REDACTED
from caw_storage_wrappers.keys import new_key
from caw_storage_wrappers.url import Wrapped


def test_own_parameters_are_taken_and_others_stay() -> None:
    wrapped = Wrapped.of("ttl+x://u:p@h/d?a=1&ttl=30d&b=%20&ttl=1h", "ttl", "ttl")
    assert wrapped.inner == "x://u:p@h/d?a=1&b=%20"
    assert wrapped.all("ttl") == ("30d", "1h")
    with pytest.raises(ConfigError, match="given 2 times"):
        wrapped.one("ttl")


def test_wrappers_go_around_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAW_STORAGE_KEYS", new_key())
    folder = tmp_path.absolute().as_uri().replace("file:", "jsonl:", 1)
    url = f"redact+ttl+encrypt+{folder}?ttl=30d&redact=canary"
    with Agent("echo", storage=url).start_session(session_id="s") as session:
        session.send("a canary here")
    record = Store(url).load("s")
    assert record is not None
    assert record.turns[0].input == f"a {REDACTED} here"
    assert Store(f"encrypt+{folder}").load("s") == record
    assert b"here" not in b"".join(
        path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()
    )


@pytest.mark.parametrize("wrapper", ["encrypt", "redact", "ttl"])
@pytest.mark.parametrize("rest", ["", "+", "+x", "://u:secret@h/d", "+nosuch://u:secret@h"])
def test_url_without_a_storage_inside_is_refused(
    wrapper: str, rest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAW_STORAGE_KEYS", new_key())
    with pytest.raises(CawError) as caught:
        Store(f"{wrapper}{rest}" if rest else f"{wrapper}:")
    assert "secret" not in str(caught.value)
