"""Where a prompt comes from: the argument, a file, or stdin."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from caw_core.attachments import Attachment
from caw_core.provider import Prompt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

STDIN = "-"

prompt_file_option: Callable[..., Any] = click.option(
    "--prompt-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The prompt, from a file. Arguments can be seen by every user of the machine; "
    "a file and stdin cannot.",
)

attach_option: Callable[..., Any] = click.option(
    "--attach",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="An image or a file to send with the prompt. Repeatable.",
)


def with_files(text: str, files: Sequence[Path]) -> Prompt:
    """Return a prompt with *files* attached.

    Raises:
        ConfigError: one of them cannot be read.
    """
    return Prompt(text=text, attachments=tuple(map(Attachment.from_path, files)))


def read_prompt(argument: str | None, file: Path | None, *, stdin_taken: bool = False) -> str:
    """Return the prompt.

    Args:
        argument: the prompt, ``-`` for stdin, or None for stdin if that is no terminal.
        file: the value of ``--prompt-file``.
        stdin_taken: stdin was needed for something else.

    Raises:
        click.UsageError: there is no prompt, more than one, or it is not UTF-8.
    """
    if file is not None and argument is not None:
        msg = "a prompt and --prompt-file exclude each other"
        raise click.UsageError(msg)
    if file is not None:
        data = file.read_bytes()
    elif argument not in {None, STDIN}:
        data = str(argument).encode(errors="surrogateescape")
    elif stdin_taken or (argument is None and sys.stdin.isatty()):
        msg = "there is no prompt: give one as an argument, with --prompt-file, or on stdin"
        raise click.UsageError(msg)
    else:
        data = sys.stdin.buffer.read()
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        msg = f"the prompt is not UTF-8: {error}"
        raise click.UsageError(msg) from error
    # The newline that echo and editors put at the end is not part of what was meant.
    text = text.removesuffix("\n").removesuffix("\r")
    if not text.strip():
        msg = "the prompt is empty"
        raise click.UsageError(msg)
    return text
