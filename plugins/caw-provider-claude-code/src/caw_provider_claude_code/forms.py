"""Answers in a given form.

Claude takes a JSON Schema when it is greeted, offers the model a tool ``StructuredOutput`` with it,
checks the call, and insists on one at the end of every turn; the schema of a running process cannot
be changed (2.1.197 and 2.1.329, observed). So a prompt with another form needs another process, and
where that would end what runs in the background, the form is asked for in the prompt.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import attrs

from caw_core.errors import ConfigError
from caw_core.events import StructuredDone

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from caw_core.blocks import JSON
    from caw_core.provider import Prompt

TOOL: Final = "StructuredOutput"
"""The tool that the model calls with the answer; no part of what it did for the user."""

WAYS: Final = ("tool", "prompt")

LONGEST_ARGUMENT: Final = 100_000
"""Linux refuses a longer argument than 128 KiB, see ``execve(2)``."""

IN_WORDS: Final = (
    "claude can keep to a form only when it is started anew, which would end what it has in the "
    "background; the form was asked for in the prompt instead"
)
TOO_LONG: Final = (
    "the schema is too long for an argument of claude's; the form was asked for in the prompt"
)
STILL_ASKED: Final = (
    "claude is still made to give an answer in the form of an earlier prompt: starting it anew "
    "would end what it has in the background"
)


def by_tool(options: Mapping[str, Any]) -> bool:
    """Return what the option ``structured_output`` says; raise `ConfigError` if that is unknown."""
    way = options.get("structured_output", WAYS[0])
    if way not in WAYS:
        msg = f"structured_output is one of {', '.join(WAYS)}, not {way!r}"
        raise ConfigError(msg)
    return bool(way == WAYS[0])


def greeting(schema: Mapping[str, JSON] | None) -> dict[str, JSON]:
    """Return what the greeting says of the form."""
    return {} if schema is None else {"jsonSchema": dict(schema)}


def flags(schema: Mapping[str, JSON] | None) -> list[str]:
    """Return the flag for the form, for a claude that is not greeted."""
    return [] if schema is None else [f"--json-schema={json.dumps(schema)}"]


def fits_a_flag(schema: Mapping[str, JSON] | None) -> bool:
    """Tell whether the form can be handed over in an argument."""
    return all(len(flag) < LONGEST_ARGUMENT for flag in flags(schema))


def in_words(prompt: Prompt) -> Prompt:
    """Return *prompt* with its form described in the text."""
    from caw_core.structured import ASK

    asked = ASK.format(text=prompt.text, schema=json.dumps(prompt.output_schema))
    return attrs.evolve(prompt, text=asked, output_schema=None)


def answer_in_words(said: str) -> Iterator[StructuredDone]:
    """Yield the answer that a text holds, if it holds one."""
    from caw_core.structured import parse_json

    try:
        value = parse_json(said)
    except ValueError:
        return
    yield StructuredDone(value=value)
