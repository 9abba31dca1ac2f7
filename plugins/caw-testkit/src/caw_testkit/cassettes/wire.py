"""What client messages are called, and which ids of now stand for a cassette's. No I/O."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from typing import Any, Final

from caw_core.json_fields import mapping, text

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_ID_NAME: Final = re.compile(r"(?:^id|^uuid|_id|Id|ID|_uuid)$")
_CHOICES: Final = ("behavior", "decision", "reply", "action")
"""Where an answer to a request for permission says yes or no."""

_MILLISECONDS: Final = re.compile(r"\b1\d{12}\b")
_FRESH: Final = 12
_DAY: Final = 86_400_000


def read_object(data: bytes) -> dict[str, Any]:
    """Return the JSON object that *data* holds, an empty one where it holds none."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def name_of(message: Mapping[str, Any]) -> str:
    """Return what a message of the client's is, as far as it must agree with the cassette.

    JSON-RPC is told by its method, other messages by ``type`` and ``subtype``. Answers are told by
    the id of the request, which is the agent's, and by what was decided.
    """
    if "method" in message:
        return text(message, "method")
    if "id" in message and ("result" in message or "error" in message):
        return f"answer to {message['id']}{_choice(mapping(message, 'result'))}"
    kind = text(message, "type") or "message"
    request, response = mapping(message, "request"), mapping(message, "response")
    if response:
        chosen = _choice(mapping(response, "response"))
        return f"{kind} {text(response, 'request_id')} {text(response, 'subtype')}{chosen}"
    return f"{kind} {text(request, 'subtype')}".strip()


def request_name(method: str, path: str, body: Mapping[str, Any]) -> str:
    """Return what a request over HTTP is; the query is passed over, it names folders."""
    return f"{method} {path.partition('?')[0]}{_choice(body)}"


def _choice(answer: Mapping[str, Any]) -> str:
    found = (answer[name] for name in _CHOICES if name in answer)
    return "".join(f" {json.dumps(value, sort_keys=True)}" for value in found)


class Ids:
    """Which id of the cassette's is which id of now, as far as the client makes them up.

    Thread-safe: what is learned while a line is translated holds for the next one.
    """

    def __init__(self) -> None:
        self._now: dict[str, str] = {}
        self._numbers: dict[int, int] = {}

    def put(self, recorded: str, now: str) -> None:
        """Take note that *now* stands for *recorded*."""
        if recorded and recorded != now:
            self._now[recorded] = now
        else:
            self._now.pop(recorded, None)

    def learn(self, recorded: Any, now: Any, name: str = "") -> None:
        """Compare two values that should agree, and take note of the ids in which they do not."""
        if isinstance(recorded, Mapping) and isinstance(now, Mapping):
            for key in recorded.keys() & now.keys():
                self.learn(recorded[key], now[key], key)
        elif isinstance(recorded, list) and isinstance(now, list):
            for one, other in zip(recorded, now, strict=False):
                self.learn(one, other, name)
        elif isinstance(recorded, str) and isinstance(now, str):
            if _ID_NAME.search(name):
                self.put(recorded, now)
            else:
                for one, other in zip(_UUID.findall(recorded), _UUID.findall(now), strict=False):
                    self.put(one, other)
        elif name == "id" and type(recorded) is int and type(now) is int:
            self._numbers[recorded] = now

    def to_client(self, line: str) -> str:
        """Return what the agent said, with the ids of now."""
        for recorded, now in tuple(self._now.items()):
            if _UUID.fullmatch(recorded) or len(recorded) > _FRESH:
                line = line.replace(recorded, now)
            else:
                line = line.replace(json.dumps(recorded), json.dumps(now))
        if any(one != other for one, other in tuple(self._numbers.items())):
            message = read_object(line.encode())
            if "method" not in message and message.get("id") in self._numbers:
                message["id"] = self._numbers[message["id"]]
                return json.dumps(message, separators=(",", ":")) + "\n"
        return line

    def to_cassette(self, line: str) -> str:
        """Return what the client says, with the ids of the cassette."""
        for recorded, now in tuple(self._now.items()):
            if _UUID.fullmatch(now) or len(now) > _FRESH:
                line = line.replace(now, recorded)
        return line


def fresh_id(recorded: str) -> str:
    """Return an id that looks as *recorded* does and is nobody else's."""
    head, tail = recorded[:-_FRESH], recorded[-_FRESH:]
    return head + re.sub(r"[0-9a-zA-Z]", lambda _: secrets.choice("0123456789abcdef"), tail)


def moved_times(line: str, around_ms: int, by_ms: int) -> str:
    """Return *line* with the times of a recording moved.

    Args:
        line: what the agent said.
        around_ms: when it was recorded, in milliseconds since 1970; numbers that are no time
            within a day of that stay.
        by_ms: how far.
    """

    def moved(found: re.Match[str]) -> str:
        number = int(found[0])
        return str(number + by_ms) if abs(number - around_ms) < _DAY else found[0]

    return _MILLISECONDS.sub(moved, line)
