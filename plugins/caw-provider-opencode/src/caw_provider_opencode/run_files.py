"""What a run of opencode gets besides its arguments: settings, and files for this user alone.

A command line is public on most systems, and the environment of opencode is also that of the
commands that the agent runs. So the prompt goes to stdin, and what may hold secrets or texts of the
caller (system prompt, tool servers) into files to which the settings point.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from caw_core.errors import ConfigError, UnsupportedError
from caw_core.json_fields import strings
from caw_provider_opencode.configuration import CONFIG, merged
from caw_provider_opencode.errors import NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from caw_core.attachments import Attachment
    from caw_core.blocks import JSON
    from caw_provider_opencode.tool_servers import Given

_CLIENT: Final = "OPENCODE_CLIENT"
"""opencode offers its tool for questions to clients that it knows; we could not answer."""


class RunFiles:
    """The settings of one session's runs, and their files.

    Args:
        env: the environment without them.
        system_prompt: what is added to the agent's prompt.
        servers: the tool servers.

    Raises:
        ConfigError: the user's settings in the environment cannot be merged.
    """

    def __init__(self, env: Mapping[str, str], system_prompt: str, servers: Given) -> None:
        try:
            self._settings = json.loads(env.get(CONFIG) or "{}")
        except ValueError as error:
            msg = f"{CONFIG} holds no JSON, so caw's own settings cannot be merged into it"
            raise ConfigError(msg) from error
        self._env = env
        # The folder is its owner's alone, so the files in it need not be.
        self._folder = tempfile.TemporaryDirectory(prefix="caw-opencode-")
        self._count = 0
        over: dict[str, JSON] = {}
        if system_prompt:
            others = strings(self._settings, "instructions")
            over["instructions"] = [*others, self._file("system-prompt.md", system_prompt)]
        if servers:
            over["mcp"] = {name: self._private(json.loads(config)) for name, config in servers}
        self._settings = merged(self._settings, over)

    def add_agent(self, name: str, settings: Mapping[str, JSON]) -> None:
        """Let there be one more agent."""
        prompt = {"prompt": self._private(settings["prompt"])} if "prompt" in settings else {}
        self._settings = merged(self._settings, {"agent": {name: {**settings, **prompt}}})

    def environment(self, folder: Path) -> dict[str, str]:
        """Return the environment of a run in *folder*."""
        return {
            **self._env,
            # opencode takes this for its folder, whatever its real one is.
            "PWD": str(folder),
            _CLIENT: "caw",
            CONFIG: json.dumps(self._settings),
        }

    def attached(self, attachments: Iterable[Attachment]) -> list[str]:
        """Write attachments down and return their paths; they stay until `close`.

        Raises:
            UnsupportedError: one is no text.
        """
        paths = []
        for item in attachments:
            try:
                content = item.data.decode()
            except UnicodeDecodeError as error:
                msg = (
                    f"opencode run takes UTF-8 text only, and {item.name!r} ({item.mime_type}) is "
                    "none; that needs opencode's server"
                )
                raise UnsupportedError(msg, provider=NAME, options=("attachments",)) from error
            paths.append(self._file(Path(item.name).name or "attachment", content))
        return paths

    def close(self) -> None:
        """Remove the files; idempotent."""
        self._folder.cleanup()

    def _file(self, name: str, content: str) -> str:
        self._count += 1
        file = Path(self._folder.name) / str(self._count) / name
        file.parent.mkdir()
        file.write_bytes(utf8(content))
        return str(file)

    def _private(self, value: JSON) -> JSON:
        """Return a setting whose texts opencode reads from files; it trims what it reads."""
        if isinstance(value, dict):
            return {name: self._private(entry) for name, entry in value.items()}
        if isinstance(value, list):
            return [self._private(entry) for entry in value]
        if not isinstance(value, str) or not value.strip():
            return value
        inside = value.strip()
        before, after = value.split(inside, 1)
        return f"{before}{{file:{self._file('value', inside)}}}{after}"


def utf8(words: str) -> bytes:
    """Return *words* as bytes.

    Raises:
        ConfigError: they hold half of a surrogate pair.
    """
    try:
        return words.encode()
    except UnicodeEncodeError as error:
        msg = "the text holds half of a surrogate pair, so it is no Unicode and cannot be sent"
        raise ConfigError(msg) from error
