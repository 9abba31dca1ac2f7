"""The URLs of wrapped storages: the wrapper's name, a plus, the inner storage's own URL."""

from __future__ import annotations

from urllib.parse import unquote

import attrs

from caw_core.errors import ConfigError
from caw_core.registry import default_registry


@attrs.frozen
class Wrapped:
    """A URL taken apart.

    Attributes:
        inner: the URL of the storage inside.
        options: the wrapper's own parameters, decoded, in their order.
    """

    inner: str
    options: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, url: str, wrapper: str, *names: str) -> Wrapped:
        """Take *url* apart.

        Args:
            url: as in ``encrypt+sqlite:///sessions.db?encrypt_key=env:KEYS``.
            wrapper: this wrapper's name.
            names: the parameters in the query that are its own; the others are the inner one's.

        Raises:
            ConfigError: it names no storage inside.
        """
        prefix = f"{wrapper}+"
        inner = url[len(prefix) :]
        if url[: len(prefix)].lower() != prefix or ":" not in inner:
            # What stands behind the scheme may hold a password.
            said = url.partition(":")[0]
            msg = f"{said!r} names no storage inside: write {prefix}sqlite:///sessions.db"
            raise ConfigError(msg)
        address, mark, query = inner.partition("?")
        own, others = [], []
        for part in query.split("&") if mark else ():
            name, equals, value = part.partition("=")
            if equals and name in names:
                own.append((name, unquote(value.replace("+", " "))))
            else:
                others.append(part)
        rest = "?" + "&".join(others) if others else ""
        return cls(address + rest, tuple(own))

    def all(self, name: str) -> tuple[str, ...]:
        """Return every value of a parameter."""
        return tuple(value for own, value in self.options if own == name)

    def one(self, name: str) -> str:
        """Return a parameter's value, ``""`` where there is none.

        Raises:
            ConfigError: there is more than one.
        """
        values = self.all(name)
        if len(values) > 1:
            msg = f"{name!r} is given {len(values)} times, and one is enough"
            raise ConfigError(msg)
        return values[0] if values else ""

    def storage(self) -> object:
        """Open the storage inside."""
        return default_registry().load_storage(self.inner)
