"""Asking the program itself about its settings, its agents and a conversation, without a server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import attrs

from caw_core.errors import NotResumableError, ProtocolError
from caw_core.json_fields import mapping, objects, text
from caw_core.process import Process
from caw_provider_opencode.errors import NAME

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from caw_core.blocks import JSON
    from caw_core.deadlines import Deadline


@attrs.frozen(kw_only=True)
class Held:
    """A conversation that exists: its folder, who answered last, and the rules that it keeps."""

    directory: str
    agent: str
    rules: tuple[dict[str, JSON], ...]


class Inspector:
    """Runs the program's own commands for looking at things; each takes one to two seconds.

    Args:
        program: the program's path.
        folder: where it is asked; which settings hold depends on it.
        deadline: bounds all questions together.
    """

    def __init__(self, program: str, folder: Path, deadline: Deadline) -> None:
        self._program = program
        self.folder = folder
        self._deadline = deadline

    def conversation(self, session_id: str, env: Mapping[str, str]) -> Held:
        """Look a conversation up.

        Raises:
            NotResumableError: opencode does not have it.
            ProviderError: opencode did not say, or not in time.
        """
        process, output = self._run(env, "export", session_id)
        if "not found" in process.stderr_tail:
            # Without its id, which is the resume key and so a secret.
            msg = "opencode does not have the conversation"
            raise NotResumableError(msg, provider=NAME)
        whole = self._read(process, output, "export")
        info = mapping(whole, "info")
        agents = [text(mapping(one, "info"), "agent") for one in objects(whole, "messages")]
        return Held(
            directory=text(info, "directory"),
            agent=next(filter(None, reversed(agents)), ""),
            rules=tuple(objects(info, "permission")),
        )

    def settings(self, env: Mapping[str, str]) -> dict[str, JSON]:
        """Return the settings that hold here; they may hold keys, so keep little of them."""
        return self._ask(env, "debug", "config")

    def agent(self, name: str, env: Mapping[str, str]) -> dict[str, JSON] | None:
        """Return an agent with the rules that hold for it; None if there is none of that name."""
        process, output = self._run(env, "debug", "agent", name)
        if process.exit is None or process.exit.code:
            return None
        return self._read(process, output, "debug agent")

    def _ask(self, env: Mapping[str, str], *arguments: str) -> dict[str, JSON]:
        process, output = self._run(env, *arguments)
        return self._read(process, output, " ".join(arguments))

    def _read(self, process: Process, output: bytes, question: str) -> dict[str, JSON]:
        if process.exit is None or process.exit.code:
            raise process.exit_error(f"opencode {question} failed").again(NAME)
        try:
            answer = json.loads(output)
        except (ValueError, RecursionError) as error:
            # What it said is not shown: settings may hold keys.
            msg = f"opencode {question} answered with no JSON"
            raise ProtocolError(msg, provider=NAME) from error
        return answer if isinstance(answer, dict) else {}

    def _run(self, env: Mapping[str, str], *arguments: str) -> tuple[Process, bytes]:
        lines: list[bytes] = []
        process = Process(
            [self._program, *arguments],
            cwd=self.folder,
            env=env,
            on_line=lines.append,
            name=NAME,
        )
        process.end_input()
        if process.wait(self._deadline.left) is None:
            process.kill()
            raise self._deadline.error(f"opencode {arguments[0]} did not answer.")
        return process, b"\n".join(lines)
