"""Answers in a given form: the schema, the question, the check and the second try."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from caw_core.errors import ConfigError, StructuredOutputError

if TYPE_CHECKING:
    from caw_core.provider import Prompt
    from caw_core.trajectory import Turn

ASK = """{text}

Answer with one JSON value and nothing else: no explanation, no code fence. It must satisfy this \
JSON Schema:
{schema}"""

REPAIR = """Your answer does not fit: {problems}

Answer again with one JSON value and nothing else. It must satisfy this JSON Schema:
{schema}"""


@attrs.frozen(kw_only=True)
class StructuredAnswer:
    """An answer in the form that was asked for.

    Attributes:
        value: an instance of the class that was given as the schema, or plain JSON.
        turn: the turn that gave it; with repairs the last one.
    """

    value: Any
    turn: Turn


@attrs.frozen(kw_only=True)
class Form:
    """A schema for the agent, and a check for us.

    Attributes:
        schema: the JSON Schema.
        check: turns plain JSON into the value; raises `ValueError` that says what is wrong.
    """

    schema: Mapping[str, Any]
    check: Callable[[Any], Any]

    @classmethod
    def of(cls, schema: object) -> Form:
        """Make a form of a pydantic model, an attrs class or a JSON Schema.

        Raises:
            ConfigError: it is none of these, or what is needed to check it is not installed.
        """
        if isinstance(schema, Mapping):
            return cls(schema=schema, check=_json_schema_check(schema))
        if isinstance(schema, type) and hasattr(schema, "model_json_schema"):
            return cls(schema=schema.model_json_schema(), check=schema.model_validate)  # type: ignore[attr-defined]  # pydantic's
        if isinstance(schema, type) and attrs.has(schema):
            from caw_core.attrs_schema import attrs_check, attrs_schema

            return cls(schema=attrs_schema(schema), check=attrs_check(schema))
        msg = f"schema is a pydantic model, an attrs class or a JSON Schema, not {schema!r}"
        raise ConfigError(msg)


def _json_schema_check(schema: Mapping[str, Any]) -> Callable[[Any], Any]:
    try:
        import jsonschema
    except ImportError as error:
        msg = "checking a JSON Schema needs jsonschema: pip install 'caw-core[structured]'"
        raise ConfigError(msg) from error
    kind = jsonschema.validators.validator_for(schema)
    try:
        kind.check_schema(dict(schema))
    except jsonschema.SchemaError as error:
        msg = f"this is no JSON Schema: {error.message}"
        raise ConfigError(msg) from error
    validator = kind(dict(schema))

    def check(value: Any) -> Any:
        problems = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]
        if problems:
            raise ValueError("; ".join(problems))
        return value

    return check


def ask_for(
    send: Callable[[Prompt], Turn],
    prompt: Prompt,
    schema: object,
    repairs: int,
    *,
    native: bool,
) -> StructuredAnswer:
    """Ask, check and ask again; see `caw_core.Session.json`.

    Args:
        send: sends one prompt.
        prompt: the question.
        schema: what `Form.of` takes.
        repairs: how often to ask again.
        native: the provider has its own way to keep to a schema.

    Raises:
        ConfigError: there is no such form, or no such number.
        StructuredOutputError: the last answer did not fit either.
    """
    if isinstance(repairs, bool) or not isinstance(repairs, int) or repairs < 0:
        msg = f"repairs is a whole number not below 0, not {repairs!r}"
        raise ConfigError(msg)
    form = Form.of(schema)
    text = json.dumps(form.schema)
    question = attrs.evolve(prompt, output_schema=form.schema)
    if not native:
        question = attrs.evolve(prompt, text=ASK.format(text=prompt.text, schema=text))
    for left in range(repairs, -1, -1):
        turn = send(question)
        try:
            # Within an answer that its own mechanism cut short, a part is not the whole.
            read = json.loads if native else parse_json
            value = turn.structured if turn.structured is not None else read(turn.result)
            return StructuredAnswer(value=form.check(value), turn=turn)
        except ValueError as error:
            problem = str(error)
            if not left:
                failure = StructuredOutputError(turn.result, [problem])
                failure.turn = turn
                raise failure from error
        question = attrs.evolve(question, text=REPAIR.format(problems=problem, schema=text))
    raise AssertionError  # the last round returns or raises


def parse_json(text: str) -> Any:
    """Return the JSON value in *text*, also from within a code fence or after an introduction.

    Raises:
        ValueError: there is none.
    """
    stripped = text.strip()
    try:
        return json.loads(stripped)
    except ValueError:
        pass
    decoder = json.JSONDecoder()
    for start, character in enumerate(stripped):
        if character in "{[":
            try:
                return decoder.raw_decode(stripped, start)[0]
            except ValueError:
                continue
    msg = "the answer holds no JSON value"
    raise ValueError(msg)
