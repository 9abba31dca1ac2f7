"""Keeps secrets out of what outlives the moment: records, logs, errors, raw output.

What a caller reads while a turn runs is not touched: a `Turn` in memory is what the agent said.
"""

from __future__ import annotations

import json
import logging
import re
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast
from urllib.parse import quote, unquote_plus

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from caw_core.mcp import McpServer
    from caw_core.provider import StartRequest

_T = TypeVar("_T")

REDACTED: Final = "[redacted]"

SHORTEST: Final = 8
"""Shorter values are left alone, in characters: they stand in ordinary text by chance."""

_SECRET_NAME = re.compile(
    r"(key|token|secret|passw(or)?d|passphrase|credentials?|cookie)s?$", re.IGNORECASE
)

_PUBLIC_HEADERS = frozenset(
    {"accept", "accept-encoding", "accept-language", "content-type", "user-agent"}
)


class Redactor:
    """Knows secret values and takes them out of texts, values and errors.

    A value is also found in the two forms in which it commonly travels: inside a JSON string, and
    percent-encoded. Thread-safe.

    Args:
        secrets: the values; those shorter than `SHORTEST` are passed over.
        patterns: what else is taken out, as far as it matches one of these.
    """

    def __init__(
        self, secrets: Iterable[str] = (), *, patterns: Iterable[re.Pattern[str]] = ()
    ) -> None:
        self._forms: tuple[str, ...] = ()
        self._patterns = tuple(patterns)
        self.add(*secrets)
        _alive.add(self)

    def add(self, *secrets: str) -> None:
        """Know more values."""
        known = set(self._forms)
        for secret in secrets:
            if len(secret) >= SHORTEST:
                known |= {secret, json.dumps(secret)[1:-1], quote(secret, safe="")}
        # One that begins another would leave the other's rest.
        self._forms = tuple(sorted(known, key=len, reverse=True))

    def text(self, text: str) -> str:
        """Return *text* without secrets; the same object if there were none."""
        for form in self._forms:
            if form in text:
                text = text.replace(form, REDACTED)
        for pattern in self._patterns:
            text = pattern.sub(REDACTED, text)
        return text

    def certain_length(self, text: str) -> int:
        """Return how much of a text that still grows cannot be the beginning of a secret.

        Where a secret has begun at the end of *text*, it ends before that.
        """
        longest = max(map(len, self._forms), default=0)
        first = max(0, len(text) - longest + 1)
        # What belongs to a whole secret does not begin another one.
        for form in self._forms:
            found = text.rfind(form, max(0, first - longest))
            first = max(first, found + len(form)) if found >= 0 else first
        for start in range(first, len(text)):
            rest = text[start:]
            if any(form.startswith(rest) for form in self._forms):
                return start
        return len(text)

    def cut_before(self, text: str, place: int) -> int:
        """Return the last place up to *place* where *text* can end without a part of a secret.

        Args:
            text: may still grow: what could be the beginning of a secret at its end is one.
            place: where it is to be cut.
        """
        place = min(place, self.certain_length(text))
        while starts := [start for start, _ in self._across(text.find, place)]:
            place = min(starts)
        return place

    def cut_after(self, text: str, place: int) -> int:
        """Return the first place from *place* on where *text* can begin without a part of a secret.

        Where a secret has begun before *place* and is not whole yet, it is the place where it
        began.

        Args:
            text: may still grow.
            place: where it is to be cut.
        """
        if not self._across(text.rfind, place):
            return min(place, self.certain_length(text))
        while ends := [end for _, end in self._across(text.rfind, place)]:
            place = max(ends)
        return place

    def _across(self, find: Callable[[str, int, int], int], place: int) -> list[tuple[int, int]]:
        """Return from where to where the secrets are that lie across *place*, one of each form."""
        found = []
        for form in self._forms:
            start = find(form, max(0, place - len(form) + 1), place + len(form) - 1)
            if start >= 0:
                found.append((start, start + len(form)))
        return found

    def value(self, value: _T) -> _T:
        """Return *value* with all its texts, however deep, without secrets.

        Args:
            value: text, attrs values, mappings, lists and tuples of such; anything else passes.

        Returns:
            The same object where nothing in it changed.
        """
        known = self._forms or self._patterns
        return self._walk(value) if known else value  # type: ignore[return-value]  # its kind stays

    def error(self, error: BaseException) -> None:
        """Take the secrets out of the texts of *error*, of its causes and of its group's members.

        The ``turn`` that an error carries is the caller's own and stays.
        """
        if not (self._forms or self._patterns):
            return
        for each in _chain(error):
            each.args = self._walk(each.args)  # type: ignore[assignment]  # a tuple stays a tuple
            for name, fact in vars(each).items():
                if name != "turn":
                    vars(each)[name] = self._walk(fact)

    def _walk(self, value: object) -> object:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            changed = {self._walk(key): self._walk(item) for key, item in value.items()}
            same = all(
                key is new_key and item is new
                for (key, item), (new_key, new) in zip(value.items(), changed.items(), strict=False)
            )
            return value if same else changed
        if type(value) in {list, tuple}:
            items = [self._walk(item) for item in value]  # type: ignore[attr-defined]  # it is one
            if all(old is new for old, new in zip(value, items, strict=True)):  # type: ignore[call-overload]
                return value
            return type(value)(items)  # type: ignore[call-arg]
        kind: Any = type(value)
        if attrs.has(kind):
            changes = {}
            for field in attrs.fields(kind):
                old = getattr(value, field.name)
                new = self._walk(old)
                if new is not old:
                    changes[field.alias] = new
            return attrs.evolve(cast("Any", value), **changes) if changes else value
        return value


_alive: weakref.WeakSet[Redactor] = weakref.WeakSet()


def _chain(error: BaseException) -> Iterator[BaseException]:
    waiting, seen = [error], set()
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        linked = [each.__cause__, each.__context__, *getattr(each, "exceptions", ())]
        waiting += [other for other in linked if other is not None]


class LogGuard(logging.NullHandler):
    """Takes what any living `Redactor` knows out of log records; writes nothing.

    Stands first on the logger ``caw``, so that it sees each record of ``caw.…`` before the
    handlers of the logger ``caw`` and of the root do. (A filter would not: a child's records never
    pass its parents' filters. A handler on a child logger itself comes before it.)
    """

    def handle(self, record: logging.LogRecord) -> bool:
        """Change the record where it must be."""
        message = clean = record.getMessage()
        for redactor in list(_alive):
            clean = redactor.text(clean)
            if record.exc_info and record.exc_info[1] is not None:
                redactor.error(record.exc_info[1])
        if clean is not message:
            record.msg, record.args = clean, ()
        return True


# ------------------------------------------------------------------------------- what is secret


def is_secret_name(name: str) -> bool:
    """Tell whether a variable or option of that name usually holds a secret, e.g. ``GH_TOKEN``."""
    return _SECRET_NAME.search(name) is not None


def session_secrets(
    environment: Mapping[str, str], request: StartRequest, servers: Iterable[McpServer]
) -> Iterator[str]:
    """Yield the secret values that a session is given.

    Args:
        environment: what the agent's program gets besides *request*'s, e.g. ``os.environ``.
        request: what the provider is asked for.
        servers: the MCP servers as the caller wrote them, with their ``${NAME}`` references.

    Yields:
        Values of variables whose names say so, and of members in the provider's own options; of
        MCP servers also what came by reference, every header but those of content negotiation,
        without the scheme (``Bearer``) too, and of an address the user, the password, and the
        values of the query whose names say so.
    """
    yield from _named_secrets(request.options)
    for name, value in {**environment, **request.env}.items():
        if value and is_secret_name(name):
            yield value
    written = {server.name: server for server in servers}
    for server in request.mcp_servers:
        raw = written.get(server.name, server)
        for name, value in server.env.items():
            if is_secret_name(name) or value != raw.env.get(name):
                yield value
        yield from _headers(server.headers)
        yield from _address(server.url)


def _address(url: str) -> Iterator[str]:
    # By hand: what the library cannot read holds secrets all the same.
    place, _, query = url.partition("#")[0].partition("?")
    user_info = place.partition("//")[2].partition("/")[0].rpartition("@")[0]
    pairs = [part.partition("=") for part in re.split("[&;]", query)]
    named = [value for name, _, value in pairs if is_secret_name(unquote_plus(name))]
    for written in [*user_info.split(":", 1), *named]:
        if written:
            yield written
            yield unquote_plus(written)


def _named_secrets(options: object, *, secret: bool = False) -> Iterator[str]:
    if isinstance(options, Mapping):
        for name, value in options.items():
            if str(name).lower().endswith("headers") and isinstance(value, Mapping):
                yield from _headers(value)
            else:
                yield from _named_secrets(value, secret=secret or is_secret_name(str(name)))
    elif isinstance(options, list | tuple):
        for value in options:
            yield from _named_secrets(value, secret=secret)
    elif isinstance(options, str) and secret:
        yield options


def _headers(headers: Mapping[str, object]) -> Iterator[str]:
    for name, value in headers.items():
        if name.lower() not in _PUBLIC_HEADERS and isinstance(value, str):
            yield value
            yield value.partition(" ")[2]
