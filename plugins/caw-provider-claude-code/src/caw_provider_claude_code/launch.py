"""How claude is started and greeted for a session."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from caw_core.blocks import JSON
from caw_core.errors import ConfigError, DeadlineError
from caw_core.process import child_environment
from caw_core.process.group import MARKER
from caw_provider_claude_code.errors import NAME
from caw_provider_claude_code.fields import objects, strings
from caw_provider_claude_code.permissions import permission_flags
from caw_provider_claude_code.program import find_program

if TYPE_CHECKING:
    from caw_core.provider import StartRequest

START_SLOTS: Final = threading.BoundedSemaphore(max(1, os.cpu_count() or 1))
"""Starting takes about a second of one core; more at a time would only make all of them late."""

SYSTEM_PROMPT_MODES: Final = ("append", "replace")

_FLAGS: Final = (
    "-p",
    "--verbose",
    "--input-format=stream-json",
    "--output-format=stream-json",
    "--include-partial-messages",
    # The echo of a prompt is how its turn is told from one that claude began by itself.
    "--replay-user-messages",
)


class Deadline:
    """What is left of a number of seconds; None never ends."""

    def __init__(self, kind: str, seconds: float | None) -> None:
        self.kind = kind
        self.seconds = seconds
        self._end = None if seconds is None else time.monotonic() + seconds

    @property
    def left(self) -> float | None:
        """The seconds that are left, at least 0."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())

    def error(self, hint: str) -> DeadlineError:
        """Return the error for this deadline's passing."""
        return DeadlineError(self.kind, self.seconds or 0.0, provider=NAME, hint=hint)


@attrs.frozen(kw_only=True)
class Launch:
    """Everything that a claude of one session is started with, but for the conversation's id.

    Attributes:
        program: the program's path.
        cwd: the folder in which the agent works.
        flags: the arguments; no prompts and no secrets are among them.
        env: the whole environment; it holds keys, so it is not part of ``repr``.
        mark: what all that it starts carries in ``CAW_PROCESS_ID``.
        greeting: the ``initialize`` request; it holds the system prompt.
    """

    program: Path
    cwd: Path
    flags: tuple[str, ...]
    env: Mapping[str, str] = attrs.field(repr=False)
    mark: str
    greeting: Mapping[str, JSON] = attrs.field(repr=False)

    def argv(self, conversation: str) -> list[str]:
        """Return the command line; *conversation* is the flag that names the conversation."""
        return [str(self.program), *_FLAGS, *self.flags, conversation]


def prepare(request: StartRequest) -> Launch:
    """Work out how to start claude; nothing is started.

    Raises:
        ConfigError: an option cannot be understood, or claude would refuse it.
        ProgramNotFoundError: there is no claude.
    """
    changes = dict(request.env)
    # Set inside a claude's own shell; this is another one.
    changes.setdefault("CLAUDECODE", None)
    if request.max_tokens is not None:
        changes["CLAUDE_CODE_MAX_OUTPUT_TOKENS"] = str(request.max_tokens)
    env = child_environment(changes)
    mark = f"claude-{uuid.uuid4().hex}"
    env[MARKER] = ":".join(filter(None, (env.get(MARKER), mark)))
    binary = request.options.get("binary")
    return Launch(
        program=find_program(os.fspath(binary) if binary else None, env),
        cwd=request.cwd,
        flags=tuple(_flags(request, env)),
        env=env,
        mark=mark,
        greeting={"subtype": "initialize", "hooks": None, **_system_prompt(request)},
    )


def check_greeting(answer: dict[str, JSON], request: StartRequest) -> None:
    """Check what claude answered to the greeting against what was asked for.

    Raises:
        ConfigError: it does not know the effort; it would silently take its default.
    """
    levels = {
        level
        for model in objects(answer, "models")
        for level in strings(model, "supportedEffortLevels")
    }
    if request.reasoning and levels and request.reasoning not in levels:
        msg = f"claude has no effort {request.reasoning!r}; it has: {', '.join(sorted(levels))}"
        raise ConfigError(msg)


def _flags(request: StartRequest, env: Mapping[str, str]) -> list[str]:
    # One argument each, so that a value that begins with "-" is no flag.
    flags = permission_flags(request.permissions, env)
    if request.model:
        flags.append(f"--model={request.model}")
    if request.reasoning:
        flags.append(f"--effort={request.reasoning}")
    if request.max_turns is not None:
        flags.append(f"--max-turns={request.max_turns}")
    flags += [f"--add-dir={folder}" for folder in request.additional_dirs]
    sources = request.options.get("settings_sources")
    if sources is not None:
        names = sources if isinstance(sources, str) else ",".join(map(str, sources))
        flags.append(f"--setting-sources={names}")
    return flags


def _system_prompt(request: StartRequest) -> dict[str, JSON]:
    mode = request.options.get("system_prompt_mode", "append")
    if mode not in SYSTEM_PROMPT_MODES:
        msg = f"system_prompt_mode is one of {', '.join(SYSTEM_PROMPT_MODES)}, not {mode!r}"
        raise ConfigError(msg)
    if not request.system_prompt:
        return {}
    if mode == "replace":
        return {"systemPrompt": [request.system_prompt]}
    return {"appendSystemPrompt": request.system_prompt}
