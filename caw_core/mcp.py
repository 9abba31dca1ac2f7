"""Tool servers in the Model Context Protocol, as the caller gives them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping

import attrs

from caw_core.errors import ConfigError

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def _texts(values: Iterable[str]) -> tuple[str, ...]:
    # ``tuple`` itself as the converter would have mypy refuse every argument.
    return tuple(values)


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
    """

    name: str
    command: str = ""
    args: tuple[str, ...] = attrs.field(default=(), converter=_texts)
    env: Mapping[str, str] = attrs.field(factory=dict, repr=lambda env: repr(sorted(env)))
    url: str = ""
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=lambda names: repr(sorted(names)))

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
