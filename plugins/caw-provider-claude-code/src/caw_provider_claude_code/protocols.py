"""How claude is talked to: kept running and over the control protocol, or once for each turn."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from caw_core.errors import ProcessError
from caw_core.own_options import chosen_word
from caw_core.programs import program_version, version_numbers
from caw_provider_claude_code.errors import NAME
from caw_provider_claude_code.servers import server_settings
from caw_provider_claude_code.starting import NoControlProtocolError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from caw_core.blocks import JSON
    from caw_core.provider import StartRequest

PROTOCOLS: Final = ("auto", "live", "spawn")

WITHOUT_CONTROL: Final = (
    "claude is started anew for each turn: what it asks permission for is denied, nothing can be "
    "said into a running turn, and it cannot list its models"
)

_OLDEST_LIVE: Final = (2, 0)
"""Claude Code's own SDKs require this version of the program for the control protocol."""


def protocol_of(options: Mapping[str, Any]) -> str:
    """Return the option ``protocol``; raise `ConfigError` if there is no such protocol."""
    return chosen_word(options, "protocol", PROTOCOLS, provider=NAME)


def speaks_no_control(program: Path, error: Exception) -> bool:
    """Tell from a failed start whether *program* does not speak the control protocol.

    It refused the greeting; or it ended, and its version is too old for it. Any other failure
    has another reason, and starting it in another way would only hide that.
    """
    if isinstance(error, NoControlProtocolError):
        return True
    if not isinstance(error, ProcessError):
        return False
    version = version_numbers(program_version(program))
    return bool(version) and version < _OLDEST_LIVE


class StartFiles:
    """Files, for this user alone, with what may not stand in argv and cannot be said later.

    Args:
        request: what was asked for.
        greeting: the ``initialize`` request that is not sent.
    """

    def __init__(self, request: StartRequest, greeting: Mapping[str, JSON]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="caw-claude-")
        self.flags: list[str] = []
        if "appendSystemPrompt" in greeting:
            self._add("--append-system-prompt-file", greeting["appendSystemPrompt"])
        if "systemPrompt" in greeting:
            self._add("--system-prompt-file", "\n".join(greeting["systemPrompt"]))
        if request.mcp_servers:
            servers = {"mcpServers": server_settings(request.mcp_servers)}
            self._add("--mcp-config", json.dumps(servers))

    def close(self) -> None:
        """Remove them; idempotent."""
        self._folder.cleanup()

    def _add(self, flag: str, content: str) -> None:
        # The folder is its owner's alone, so the file need not be.
        file = Path(self._folder.name) / flag.strip("-")
        file.write_text(content, encoding="utf-8")
        self.flags.append(f"{flag}={file}")
