"""Writes a cassette while it is recorded; no secret ever reaches the file."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from caw_core.redaction import Redactor, is_secret_name
from caw_testkit.cassettes.places import Places, changed_texts
from caw_testkit.cassettes.tape import Frame

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from caw_testkit.cassettes.tape import Header

_PLAIN_NAMES: Final = frozenset({"key", "keys", "resume_key"})
"""Names that secrets have too, but other things more often; the key of what is played is one."""

_SAID: Final = frozenset({"agent", "event"})

_BEARER: Final = re.compile(r"\b(?:Bearer|Basic) +([\w.~+/=-]{8,})")


class TapeWriter:
    """A new cassette, for its owner alone.

    What is secret is known from *secrets*, and found out from JSON members whose names say so, and
    from what stands after ``Bearer`` and ``Basic``; it is taken out wherever it comes later too.

    Args:
        path: the file; it must not exist, or be a file that may be replaced.
        header: what it says of itself.
        places: the folders that it must not name.
        secrets: values that are known to be secret.
        leave_out: what the agent says is not written down where it holds one of these.
    """

    def __init__(
        self,
        path: Path,
        header: Header,
        places: Places,
        secrets: Iterable[str],
        leave_out: Sequence[bytes] = (),
    ) -> None:
        self._leave_out = leave_out
        self._places = places
        self._redactor = Redactor(secrets)
        self._lock = threading.Lock()
        self._began = time.monotonic()
        # A new file under a name of its own: an old one might be readable by others.
        self._part = path.with_name(f".{path.name}.part")
        self._part.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        self._file = os.fdopen(os.open(self._part, flags, 0o600), "w", encoding="utf-8")
        self._path = path
        head = header.document()
        self._redactor.add(*_named_secrets(head))
        self._write(changed_texts(head, self._clean))

    def add(
        self,
        kind: str,
        *,
        process: int = 0,
        exchange: int = 0,
        data: bytes = b"",
        **facts: Any,
    ) -> None:
        """Write a frame down; nothing happens once the cassette is closed."""
        if kind in _SAID and any(words in data for words in self._leave_out):
            return
        with self._lock:
            if self._file.closed:
                return
            # Such bytes come back as they were.
            text = data.decode(errors="surrogateescape")
            self._redactor.add(*_found_secrets(text, facts))
            clean = self._clean(text).encode(errors="surrogateescape")
            frame = Frame(
                kind=kind,
                at=round(time.monotonic() - self._began, 3),
                process=process,
                exchange=exchange,
                data=clean,
                facts=facts,
            )
            document = frame.document()
            document |= {name: changed_texts(document[name], self._clean) for name in facts}
            self._write(document)

    def close(self) -> None:
        """Put the file in its place; idempotent."""
        with self._lock:
            if not self._file.closed:
                self._file.close()
                self._part.replace(self._path)

    def discard(self) -> None:
        """Leave nothing behind."""
        with self._lock:
            self._file.close()
            self._part.unlink(missing_ok=True)

    def _clean(self, text: str) -> str:
        return self._places.shortened(self._redactor.text(text))

    def _write(self, document: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(document, separators=(",", ":")) + "\n")


def _found_secrets(text: str, facts: Mapping[str, Any]) -> Iterator[str]:
    yield from _BEARER.findall(text)
    yield from _named_secrets(facts)
    for line in text.splitlines():
        try:
            yield from _named_secrets(json.loads(line.removeprefix("data:")))
        except (ValueError, RecursionError):
            continue


def _named_secrets(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            named = is_secret_name(name) or name.lower() == "authorization"
            if named and isinstance(item, str) and name.lower() not in _PLAIN_NAMES:
                # A key is one word; other texts under such a name are talk.
                if not re.search(r"\s", item):
                    yield item
            else:
                yield from _named_secrets(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _named_secrets(item)
