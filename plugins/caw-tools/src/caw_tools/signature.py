"""A function as a tool: its name, its schema and its description; and its arguments, checked."""

from __future__ import annotations

import functools
import inspect
import re
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

import attrs
import docstring_parser
from mcp.server.mcpserver.exceptions import InvalidSignature
from mcp.server.mcpserver.utilities.func_metadata import FuncMetadata, func_metadata
from mcp.types import Tool, ToolAnnotations
from pydantic import Field, ValidationError
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind
from pydantic_core import SchemaError

from caw_core.errors import ConfigError
from caw_tools.context import ToolContext
from caw_tools.definition import ToolFacts, facts_of
from caw_tools.results import holds_image

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What all agents take: the services' rule for the names of functions."""

_UNFIT: Final = (
    PydanticUserError,
    InvalidSignature,
    SchemaError,
    ValidationError,
    TypeError,
    ValueError,
    NameError,
)
"""What pydantic and mcp raise for a type that they cannot use."""


class _Schema(GenerateJsonSchema):
    """A schema without made-up titles, which cost tokens and say nothing."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's own
        """Say no."""
        return False

    def emit_warning(self, kind: JsonSchemaWarningKind, detail: str) -> None:  # noqa: ARG002 - so
        """Refuse what cannot be described: the model would be told less than the truth."""
        raise ValueError(detail)


class ArgumentsError(ValueError):
    """What the model gave does not fit; the text is for the model."""


@attrs.frozen(kw_only=True)
class PythonTool:
    """A function that is ready to be called by an agent.

    Attributes:
        function: what is called, with keywords alone.
        offer: what the agent is told of it.
        metadata: its arguments and result, as pydantic knows them.
        context_name: the parameter that takes the `ToolContext`; ``""`` for none.
    """

    function: Callable[..., Any]
    offer: Tool
    metadata: FuncMetadata = attrs.field(repr=False)
    context_name: str

    @classmethod
    def of(cls, function: Any) -> PythonTool:
        """Read a function, a bound method or another callable.

        Raises:
            ConfigError: no agent could call it; the message names it.
        """
        if not callable(function) or inspect.isclass(function):
            msg = f"a tool is a function, not {function!r}; toolkits go in tool_servers"
            raise ConfigError(msg)
        facts = facts_of(function) or ToolFacts()
        name = facts.name or str(getattr(function, "__name__", ""))
        if not _NAME.fullmatch(name):
            msg = f"the tool {function!r} needs a name of letters, digits, '_' and '-': @tool('…')"
            raise ConfigError(msg)
        try:
            signature = inspect.signature(function, eval_str=True)
        except (NameError, TypeError, ValueError) as error:
            msg = (
                f"the types of the tool {_where(function)} cannot be read: {error}. They must be "
                "imported when the program runs, not only for type checkers."
            )
            raise ConfigError(msg) from error
        context_name = _context_name(signature)
        description, described = _documented(function)
        try:
            shown = _shown(signature, context_name, described)
            metadata = _metadata(name, shown, structured=facts.structured_output)
            schema = metadata.arg_model.model_json_schema(schema_generator=_Schema)
            schema.pop("title", None)
            annotations = facts.annotations and ToolAnnotations.model_validate(facts.annotations)
        except _UNFIT as error:
            msg = f"{_where(function)} cannot be a tool: {str(error).splitlines()[0]}"
            raise ConfigError(msg) from error
        offer = Tool(
            name=name,
            title=facts.title,
            description=facts.description or description,
            input_schema={**schema, "additionalProperties": False},
            output_schema=metadata.output_schema,
            annotations=annotations or None,
        )
        return cls(function=function, offer=offer, metadata=metadata, context_name=context_name)

    @property
    def is_async(self) -> bool:
        """Whether calling it gives an awaitable."""
        return inspect.iscoroutinefunction(_called(self.function))

    def arguments(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the function is called with, but for the context.

        Args:
            given: the model's, as JSON.

        Raises:
            ArgumentsError: they do not fit.
        """
        known = self.offer.input_schema.get("properties", {})
        strangers = sorted(set(given) - set(known))
        if strangers:
            msg = f"{self.offer.name} has no argument {', '.join(strangers)}; it has: "
            raise ArgumentsError(msg + (", ".join(known) or "none"))
        try:
            return self._read(given)
        except ValidationError as error:
            wrong = {each["loc"][0] for each in error.errors() if each["loc"]}
            told = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
            msg = f"the arguments do not fit {self.offer.name}: {'; '.join(told)}"
        # Some models write the JSON of a list or an object as a text. A text that fits stays one.
        texts = {name: value for name, value in given.items() if name in wrong}
        try:
            return self._read({**given, **self.metadata.pre_parse_json(texts)})
        except ValidationError as error:
            raise ArgumentsError(msg) from error

    def _read(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return self.metadata.arg_model.model_validate(dict(given)).model_dump_one_level()


def _documented(function: Any) -> tuple[str, dict[str, str]]:
    """Return what the docstring says of the function, and of each argument."""
    text = inspect.getdoc(_called(function)) or ""
    try:
        parsed = docstring_parser.parse(text)
    except docstring_parser.ParseError:
        return text, {}
    parts = [(parsed.description or "").strip()]
    if parsed.returns and parsed.returns.description:
        parts.append(f"Returns: {parsed.returns.description.strip()}")
    about = {param.arg_name: param.description or "" for param in parsed.params}
    return "\n\n".join(part for part in parts if part), about


def _called(function: Any) -> Any:
    """Return the function that runs in the end, with its own docstring and colour."""
    while isinstance(function, functools.partial):
        function = function.func
    return function if inspect.isroutine(function) else type(function).__call__


def _where(function: Any) -> str:
    module, name = getattr(function, "__module__", ""), getattr(function, "__qualname__", "")
    return f"{module}.{name}" if name else repr(function)


def _context_name(signature: inspect.Signature) -> str:
    for name, parameter in signature.parameters.items():
        kinds = (parameter.annotation, *typing.get_args(parameter.annotation))
        if ToolContext in kinds:
            return name
    untyped = signature.parameters.get("ctx")
    return "ctx" if untyped and untyped.annotation is inspect.Parameter.empty else ""


def _shown(
    signature: inspect.Signature, context_name: str, described: Mapping[str, str]
) -> inspect.Signature:
    """Return the signature that the model sees, with what the docstring says of each argument."""
    parameters = []
    for name, parameter in signature.parameters.items():
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            msg = f"a model cannot give *{name}: name each argument"
            raise TypeError(msg)
        if parameter.kind is parameter.POSITIONAL_ONLY:
            msg = f"arguments are given by name, and {name} may not be"
            raise TypeError(msg)
        if name == context_name:
            continue
        annotation = parameter.annotation
        if annotation is parameter.empty:
            msg = f"the argument {name} has no type"
            raise TypeError(msg)
        if described.get(name) and not _describes_itself(parameter):
            annotation = Annotated[annotation, Field(description=described[name])]
        parameters.append(parameter.replace(annotation=annotation))
    return signature.replace(parameters=parameters)


def _describes_itself(parameter: inspect.Parameter) -> bool:
    given = [parameter.default, *getattr(parameter.annotation, "__metadata__", ())]
    return any(isinstance(each, FieldInfo) and each.description for each in given)


def _metadata(name: str, shown: inspect.Signature, *, structured: bool | None) -> FuncMetadata:
    def standing_in() -> None:
        """Have the name and the signature that the library looks at."""

    standing_in.__name__ = name
    vars(standing_in)["__signature__"] = shown
    if structured is None and holds_image(shown.return_annotation):
        structured = False
    metadata = func_metadata(standing_in, structured_output=structured)
    if structured is None and metadata.wrap_output:
        # As data, a text would be {"result": "…"}, which agents show the model in its place.
        metadata = func_metadata(standing_in, structured_output=False)
    return metadata
