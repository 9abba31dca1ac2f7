"""One run of ``codex exec``: its command line, and the files that keep private things out of it.

A command line is public on most systems. So the prompt goes to stdin, and what may hold secrets or
texts of the caller (the system prompt, MCP servers, the option ``config``) into a profile, a file
of its own in ``CODEX_HOME`` that only the user may read and that is removed after the turn.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from caw_provider_codex.answer_form import asked_in_words, strict_schema
from caw_provider_codex.configuration import thread_config
from caw_provider_codex.inputs import user_input
from caw_provider_codex.readiness import codex_home

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from caw_core.attachments import Attachment
    from caw_core.blocks import JSON
    from caw_core.provider import Permissions, Prompt, StartRequest

SANDBOX: Final[dict[Permissions, str]] = {
    "read-only": "read-only",
    # Nobody can be asked here, so whatever would need a yes is not allowed.
    "ask": "read-only",
    "auto-edit": "workspace-write",
    "full": "danger-full-access",
}


@contextlib.contextmanager
def prepared(
    request: StartRequest, env: Mapping[str, str], prompt: Prompt, thread_id: str | None
) -> Iterator[tuple[list[str], bytes]]:
    """Yield the arguments for the program and what it gets on stdin; files last as long.

    Args:
        request: what was asked for.
        env: the program's environment.
        prompt: the prompt.
        thread_id: the conversation to continue; None for a new one.

    Raises:
        UnsupportedError: an attachment, or the tools, cannot be had.
    """
    form = prompt.output_schema
    schema = strict_schema(form) if form is not None else None
    in_words = asked_in_words(form) if form is not None and schema is None else ""
    parts = [part for part in user_input(prompt, more=in_words) if part["type"] == "text"]
    arguments = [
        "exec",
        "--json",
        "--skip-git-repo-check",
        "--color=never",
        f"--cd={request.cwd}",
        f"--sandbox={SANDBOX[request.permissions]}",
        '--config=approval_policy="never"',
    ]
    if request.model:
        arguments.append(f"--model={request.model}")
    if request.reasoning:
        arguments.append(f"--config=model_reasoning_effort={json.dumps(request.reasoning)}")
    with contextlib.ExitStack() as files:
        profile = files.enter_context(_profile(request, env))
        if profile:
            arguments.append(f"--profile={profile}")
        folder = Path(files.enter_context(tempfile.TemporaryDirectory(prefix="caw-codex-")))
        if thread_id is not None:
            arguments.append("resume")
        if schema is not None:
            file = folder / "schema.json"
            file.write_text(json.dumps(schema), encoding="utf-8")
            arguments.append(f"--output-schema={file}")
        images = [item for item in prompt.attachments if item.is_image]
        arguments += [f"--image={_written(folder, item, at)}" for at, item in enumerate(images)]
        if thread_id is not None:
            arguments.append(thread_id)
        said = "\n\n".join(part["text"] for part in parts)
        yield [*arguments, "-"], said.encode()


def _written(folder: Path, item: Attachment, number: int) -> Path:
    file = folder / f"{number}.{item.mime_type.rpartition('/')[2]}"
    file.write_bytes(item.data)
    return file


@contextlib.contextmanager
def _profile(request: StartRequest, env: Mapping[str, str]) -> Iterator[str]:
    """Yield the name of a profile that holds what must not stand on the command line, or ``""``."""
    config = thread_config(request, "")
    if request.system_prompt:
        config["developer_instructions"] = request.system_prompt
    if request.additional_dirs:
        folders = [str(folder) for folder in request.additional_dirs]
        table = config.get("sandbox_workspace_write")
        config["sandbox_workspace_write"] = {
            **(table if isinstance(table, dict) else {}),
            "writable_roots": folders,
        }
    if not config:
        yield ""
        return
    name = f"caw-{os.urandom(8).hex()}"
    file = codex_home(env) / f"{name}.config.toml"
    file.touch(mode=0o600, exist_ok=False)
    try:
        lines = (f"{json.dumps(key)} = {_toml(value)}\n" for key, value in config.items())
        file.write_text("".join(lines), encoding="utf-8")
        yield name
    finally:
        file.unlink(missing_ok=True)


def _toml(value: JSON) -> str:
    if isinstance(value, dict):
        inside = (f"{json.dumps(key)} = {_toml(entry)}" for key, entry in value.items())
        return "{" + ", ".join(inside) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    # JSON's strings, numbers and booleans are TOML's as well, but for one control character.
    return json.dumps(value).replace("\x7f", "\\u007f")
