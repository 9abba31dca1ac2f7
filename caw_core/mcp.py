"""Tool servers in the Model Context Protocol, as the caller gives them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from caw_core.errors import ConfigError

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def _texts(values: Iterable[str]) -> tuple[str, ...]:
    # A str would be taken apart into its characters.
    if isinstance(values, str) or not isinstance(values, Iterable):
        msg = f"an MCP server's args are a list, not {type(values).__name__}"
        raise ConfigError(msg)
    return tuple(values)


def _check_text(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, str):
        msg = f"an MCP server's {attribute.name} is a str, not {type(value).__name__}"
        raise ConfigError(msg)


def _check_texts(_: object, attribute: attrs.Attribute[Any], values: Iterable[object]) -> None:
    for value in values:
        if not isinstance(value, str):
            kind = type(value).__name__
            msg = f"an MCP server's {attribute.name} hold texts, and one of them is of type {kind}"
            raise ConfigError(msg)


def _check_pairs(self: object, attribute: attrs.Attribute[Any], pairs: object) -> None:
    if not isinstance(pairs, Mapping):
        msg = f"an MCP server's {attribute.name} is a mapping, not {type(pairs).__name__}"
        raise ConfigError(msg)
    # No value is shown: it may be a secret.
    _check_texts(self, attribute, (*pairs, *pairs.values()))


def _check_flag(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, bool):
        msg = f"an MCP server's {attribute.name} is True or False, not {value!r}"
        raise ConfigError(msg)


def _check_seconds(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is None:
        return
    # Written so that NaN, which is neither above nor below, does not fit.
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        msg = f"an MCP server's {attribute.name} is a number above 0, not {value!r}"
        raise ConfigError(msg)


@attrs.frozen(kw_only=True)
class McpServer:
    """A server of tools, given to the agent for a session.

    Either a program (``command``) or an address (``url``). A value of ``env`` or ``headers`` may
    hold ``${NAME}``, which is replaced from this process's environment when a session opens, so
    that the secret itself stands in no settings file. Values never reach argv, logs or records.

    Attributes:
        name: how its tools are told apart; letters, digits, ``_`` and ``-``.
        command: the program, for a server on stdio.
        args: its arguments; no secrets here, argv is public.
        env: its additional environment.
        url: the address, for a server on HTTP.
        headers: sent with each request.
        trusted: its tools are used without asking for permission, under ``read-only`` too: they
            are your own, and you know what they do.
        call_seconds: how long a call of its tools may take; None for what the agent allows.
    """

    name: str = attrs.field(validator=_check_text)
    command: str = attrs.field(default="", validator=_check_text)
    args: tuple[str, ...] = attrs.field(default=(), converter=_texts, validator=_check_texts)
    env: Mapping[str, str] = attrs.field(
        factory=dict, repr=lambda env: repr(sorted(env)), validator=_check_pairs
    )
    url: str = attrs.field(default="", validator=_check_text)
    headers: Mapping[str, str] = attrs.field(
        factory=dict, repr=lambda names: repr(sorted(names)), validator=_check_pairs
    )

    trusted: bool = attrs.field(default=False, validator=_check_flag)
    call_seconds: float | None = attrs.field(default=None, validator=_check_seconds)

    def __attrs_post_init__(self) -> None:
        """Refuse what no agent could use."""
        if not _NAME.fullmatch(self.name):
            msg = f"an MCP server's name is letters, digits, '_' and '-', not {self.name!r}"
            raise ConfigError(msg)
        if bool(self.command) == bool(self.url):
            msg = f"the MCP server {self.name!r} needs a command or a url, and not both"
            raise ConfigError(msg)
        if self.url and not self.url.startswith(("http://", "https://")):
            msg = f"the MCP server {self.name!r} needs an http or https address"
            raise ConfigError(msg)

    def resolved(self) -> McpServer:
        """Return the server with its references replaced.

        Raises:
            ConfigError: a variable that it refers to is not set.
        """
        return attrs.evolve(self, env=self._fill(self.env), headers=self._fill(self.headers))

    def _fill(self, values: Mapping[str, str]) -> dict[str, str]:
        def value_of(match: re.Match[str]) -> str:
            name = match[1]
            if name not in os.environ:
                msg = f"the MCP server {self.name!r} refers to {name}, which is not set"
                raise ConfigError(msg)
            return os.environ[name]

        return {key: re.sub(r"\$\{(\w+)\}", value_of, value) for key, value in values.items()}
