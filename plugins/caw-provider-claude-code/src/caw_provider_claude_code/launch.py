"""How claude is started and greeted for a session."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from caw_core.blocks import JSON
from caw_core.own_options import chosen_word
from caw_core.process import child_environment
from caw_provider_claude_code.errors import NAME
from caw_provider_claude_code.permissions import permission_flags
from caw_provider_claude_code.program import CLAUDE

if TYPE_CHECKING:
    from caw_core.provider import StartRequest

SYSTEM_PROMPT_MODES: Final = ("append", "replace")

_FLAGS: Final = (
    "-p",
    "--verbose",
    "--input-format=stream-json",
    "--output-format=stream-json",
    "--include-partial-messages",
)


@attrs.frozen(kw_only=True)
class Launch:
    """Everything that a claude of one session is started with, but for the conversation's id.

    Attributes:
        program: the program's path.
        cwd: the folder in which the agent works.
        flags: the arguments; no prompts and no secrets are among them.
        model: the model's name, ``""`` for claude's default.
        effort: the effort, ``""`` for claude's default.
        env: the whole environment; it holds keys, so it is not part of ``repr``.
        greeting: the ``initialize`` request; it holds the system prompt.
        form: the JSON Schema of all its answers; None for none.
        present: it has its own interface and a user.
    """

    program: Path
    cwd: Path
    flags: tuple[str, ...]
    model: str
    effort: str
    env: Mapping[str, str] = attrs.field(repr=False)
    greeting: Mapping[str, JSON] = attrs.field(repr=False)
    form: Mapping[str, JSON] | None = attrs.field(default=None, repr=False)
    present: bool = False

    def argv(self, *conversation: str) -> list[str]:
        """Return the command line; *conversation* are the flags that name the conversation."""
        # One argument each, so that a value that begins with "-" is no flag.
        chosen = [f"--model={self.model}"] if self.model else []
        if self.effort:
            chosen.append(f"--effort={self.effort}")
        printing = () if self.present else _FLAGS
        return [str(self.program), *printing, *self.flags, *chosen, *conversation]


def prepare(request: StartRequest, *, live: bool, present: bool = False) -> Launch:
    """Work out how to start claude; nothing is started.

    Args:
        request: what was asked for.
        live: whether it is kept running and the control protocol is spoken with it.
        present: whether it is started with its own interface, for a user who is there.

    Raises:
        ConfigError: an option cannot be understood, or claude would refuse it.
        ProgramNotFoundError: there is no claude.
        UnsupportedError: two options exclude each other.
    """
    changes = dict(request.env)
    # Set inside a claude's own shell; this is another one.
    changes.setdefault("CLAUDECODE", None)
    if request.max_tokens is not None:
        changes["CLAUDE_CODE_MAX_OUTPUT_TOKENS"] = str(request.max_tokens)
    env = child_environment(changes)
    return Launch(
        program=CLAUDE.find(env, request.options),
        cwd=request.cwd,
        flags=tuple(_flags(request, env, live=live, present=present)),
        model=request.model or "",
        effort=request.reasoning or "",
        env=env,
        greeting={"subtype": "initialize", "hooks": None, **_system_prompt(request)},
        present=present,
    )


def _flags(
    request: StartRequest, env: Mapping[str, str], *, live: bool, present: bool
) -> list[str]:
    flags = permission_flags(request, env, answers=live, present=present)
    if live:
        # The echo of a prompt is how its turn is told from one that claude began by itself.
        flags.append("--replay-user-messages")
    if request.max_turns is not None and not present:
        flags.append(f"--max-turns={request.max_turns}")
    flags += [f"--add-dir={folder}" for folder in request.additional_dirs]
    sources = request.options.get("settings_sources")
    if sources is not None:
        names = sources if isinstance(sources, str) else ",".join(map(str, sources))
        flags.append(f"--setting-sources={names}")
    return flags


def _system_prompt(request: StartRequest) -> dict[str, JSON]:
    options = request.options
    mode = chosen_word(options, "system_prompt_mode", SYSTEM_PROMPT_MODES, provider=NAME)
    if not request.system_prompt:
        return {}
    if mode == "replace":
        return {"systemPrompt": [request.system_prompt]}
    return {"appendSystemPrompt": request.system_prompt}
