"""Write the reference pages about code from the code's own docstrings.

    python tools/reference_pages.py

Everything below the mark in a page comes from here; a test fails when a page is out of date.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from feature_table import FEATURES, load_agents

import caw_core
import caw_core.store
from caw_core import blocks, copying, errors, events, hookspecs, listeners, storage, watching
from caw_core.plugin_check import REQUIRED
from caw_core.storage_retry import StorageRetry

if TYPE_CHECKING:
    import enum
    from collections.abc import Callable, Iterator

    from caw_core.provider import OptionSupport

REFERENCE = Path(__file__).resolve().parents[1] / "docs" / "reference"
MARK = "<!-- Below this line: written by tools/reference_pages.py from the code. -->"
SECTIONS = ("Args", "Attributes", "Returns", "Raises", "Yields")

Doc = dict[str, str]


def main() -> None:
    """Write all pages."""
    for name, make in PAGES.items():
        page = REFERENCE / name
        page.write_text(updated(page.read_text("utf-8"), make), "utf-8")


def updated(text: str, make: Callable[[], Iterator[str]]) -> str:
    """Return a page with its lower part made anew."""
    head, _, _ = text.partition(MARK)
    return f"{head}{MARK}\n\n" + "\n\n".join(make()) + "\n"


# --------------------------------------------------------------------------------------- the text


def wrapped(text: str, indent: str = "") -> str:
    """Return *text* as Markdown in lines of 100, its roles and double backticks as code."""
    plain = " ".join(text.split()).replace("``", "`")
    return textwrap.fill(
        plain, 100, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def paragraphs(text: str) -> Iterator[str]:
    """Yield the paragraphs of a docstring's prose; indented ones are code."""
    for part in re.split(r"\n\s*\n", text.strip()):
        if part.startswith("    "):
            yield f"```text\n{textwrap.dedent(part)}\n```"
        else:
            yield wrapped(f"{part[:-1]}" if part.endswith("::") else part)


def parts(documented: Any) -> Doc:
    """Return a docstring's prose under ``""`` and its sections by name."""
    text = inspect.getdoc(documented) or ""
    heads = "|".join(SECTIONS)
    prose, *rest = re.split(rf"^({heads}):\n", text, flags=re.MULTILINE)
    return {"": prose, **dict(zip(rest[::2], rest[1::2], strict=True))}


def items(section: str) -> dict[str, str]:
    """Return a section's entries: name to text."""
    found: dict[str, str] = {}
    name = ""
    for line in textwrap.dedent(section).splitlines():
        head = re.match(r"([\w, ]+): +(.*)", line)
        if head and not line.startswith(" "):
            name = head[1]
            found[name] = head[2]
        elif name:
            found[name] += f" {line.strip()}"
        elif line.strip():
            name = ""
            found[name] = line.strip()
    return found


def listed(entry: str) -> str:
    """Return one entry of a list."""
    return wrapped(f"- {entry}", "  ")


# -------------------------------------------------------------------------------------- the pages


def hooks() -> Iterator[str]:
    """Yield every hook with its signature, when it is called, arguments, result and errors."""
    groups = {
        "Hooks of a provider": hookspecs.ProviderSpecs,
        "Hooks of a storage": hookspecs.StorageSpecs,
        "Hooks of an observer": hookspecs.ObserverSpecs,
    }
    required = {name for names in REQUIRED.values() for name in names}
    for title, specs in groups.items():
        yield f"## {title}"
        for name, function in vars(specs).items():
            if hasattr(function, f"{hookspecs.PROJECT_NAME}_spec"):
                yield from hook(name, function, required=name in required)


def hook(name: str, function: Any, *, required: bool) -> Iterator[str]:
    """Yield one hook."""
    signature = inspect.signature(function)
    arguments = [argument for argument in signature.parameters.values() if argument.name != "self"]
    prose, *fields = re.split(r"^:", inspect.getdoc(function) or "", flags=re.MULTILINE)
    said = dict(field.split(":", 1) for field in fields)
    yield f"### `{name}({', '.join(argument.name for argument in arguments)})`"
    if required:
        yield "Required."
    yield from paragraphs(prose)
    lines = []
    for argument in arguments:
        default = "" if argument.default is argument.empty else f" = {argument.default!r}"
        text = said.get(f"param {argument.name}", "")
        lines.append(listed(f"`{argument.name}: {argument.annotation}{default}`: {text}"))
    first = getattr(function, f"{hookspecs.PROJECT_NAME}_spec")["firstresult"]
    whose = "" if first else ", from each plugin"
    result = f"returns `{signature.return_annotation}`{whose}"
    lines.append(listed(f"{result}: {said['return']}" if "return" in said else result))
    lines += [
        listed(f"raises `{head.split()[1]}`: {text}")
        for head, text in said.items()
        if head.startswith("raises")
    ]
    yield "\n".join(lines)


def values() -> Iterator[str]:
    """Yield every event and every block with its fields."""
    for title, module, base in (("Events", events, events.Event), ("Blocks", blocks, blocks.Block)):
        yield f"## {title}"
        for cls in vars(module).values():
            if inspect.isclass(cls) and issubclass(cls, base) and cls is not base:
                yield from value(cls)


def value(cls: Any) -> Iterator[str]:
    """Yield one class of values."""
    tag = f" (`{cls.tag}`)" if cls.tag else ""
    yield f"### {cls.__name__}{tag}"
    doc = parts(cls)
    yield from paragraphs(doc[""])
    said = items(doc.get("Attributes", ""))
    lines = []
    for field in attrs.fields(cls):
        if field.name != "extra":
            text = f": {said[field.name]}" if field.name in said else ""
            lines.append(
                listed(f"`{field.name}: {type_of(cls, field.name)}{default_of(field)}`{text}")
            )
    if lines:
        yield "\n".join(lines)


def type_of(cls: type, name: str) -> str:
    """Return a field's type as it is written; attrs' own may have been resolved meanwhile."""
    written = (vars(base).get("__annotations__", {}) for base in cls.__mro__)
    return next(str(annotations[name]) for annotations in written if name in annotations)


def default_of(field: Any) -> str:
    """Return how a field's default is shown."""
    if field.default is attrs.NOTHING:
        return ""
    factory = getattr(field.default, "factory", None)
    return f" = {factory()!r}" if factory else f" = {field.default!r}"


def tree() -> Iterator[str]:
    """Yield the tree, and then every error with its facts."""
    drawn = (errors.__doc__ or "").partition("::\n\n")[2].partition("\n\nA message")[0]
    yield f"```text\n{textwrap.dedent(drawn)}\n```"
    # A builtin base stands in the drawing, too, and is none of ours.
    for cls in filter(None, (getattr(errors, name, None) for name in re.findall(r"\w+", drawn))):
        bases = [base.__name__ for base in cls.__bases__ if not base.__name__.startswith("_")]
        yield f"### {cls.__name__}"
        if bases != ["Exception"]:
            yield f"A {', '.join(f'`{base}`' for base in bases or ['ConfigError'])}."
        doc = parts(cls)
        yield from paragraphs(doc[""])
        lines = [
            listed(f"`{name}`: {text}") for name, text in items(doc.get("Attributes", "")).items()
        ]
        if lines:
            yield "\n".join(lines)


def api() -> Iterator[str]:
    """Yield the classes that users hold."""
    classes: tuple[type, ...] = (
        caw_core.Agent,
        caw_core.Session,
        caw_core.TurnStream,
        caw_core.PluginRegistry,
        caw_core.Display,
        listeners.TurnListener,
        caw_core.AgentLogger,
    )
    for cls in classes:
        yield from held(cls)
    yield "## Functions"
    for function in (
        caw_core.register_provider,
        caw_core.installed_providers,
        caw_core.check_providers,
        caw_core.default_registry,
        caw_core.set_provider_order,
        caw_core.get_provider_order,
        caw_core.get_provider_models,
        caw_core.set_global_display,
        caw_core.get_global_display,
        caw_core.display_paused,
        caw_core.allow,
        caw_core.allow_always,
        caw_core.deny,
    ):
        yield f"### `{function.__name__}{arguments_of(function)}`"
        if f"{function.__name__}_async" in caw_core.__all__:
            yield f"Awaitable twin: `{function.__name__}_async`."
        yield from documented(function)
    yield "## Values"
    for name in caw_core.__all__:
        cls = getattr(caw_core, name)
        if isinstance(cls, type) and attrs.has(cls) and not issubclass(cls, blocks.Block):
            yield f"### {name}"
            yield from documented(cls)
    yield "## Constants"
    yield (
        "`NATIVE`: the `OptionSupport` of an option that the provider honours as it is, for "
        "`ProviderInfo.options`."
    )
    yield "## Choices"
    choices: tuple[type[enum.Enum], ...] = (
        caw_core.ToolGroup,
        caw_core.ModelTier,
        caw_core.DisplayMode,
    )
    for choice in choices:
        yield f"### {choice.__name__}"
        yield from documented(choice)
        yield "\n".join(listed(f"`{choice.__name__}.{member.name}`") for member in choice)


def store() -> Iterator[str]:
    """Yield what there is for records without an agent."""
    for cls in (caw_core.Store, watching.Watch):
        yield from held(cls)
    yield "## Values"
    for cls in vars(storage).values():
        if attrs.has(cls) and cls.__module__ == storage.__name__:
            yield f"### {cls.__name__}"
            yield from documented(cls)
    for value in (caw_core.store.PruneReport, copying.Copied, watching.Gap, StorageRetry):
        yield f"### `{value.__module__}.{value.__name__}`"
        yield from documented(value)


def held(cls: type) -> Iterator[str]:
    """Yield a class that users hold, and all that they can do with it."""
    yield f"## {cls.__name__}"
    yield from documented(cls)
    own = {name: member for base in reversed(cls.__mro__) for name, member in vars(base).items()}
    members = [
        (name, getattr(cls, name) if isinstance(member, classmethod) else member)
        for name, member in own.items()
        if not name.startswith("_") and inspect.getdoc(member)
    ]
    names = {name for name, _ in members}
    for name, member in members:
        if name.removesuffix("_async") in names - {name} and name.endswith("_async"):
            continue
        yield f"### `{cls.__name__}.{name}{arguments_of(member)}`"
        if f"{name}_async" in names:
            yield f"Awaitable twin: `{name}_async`."
        yield from documented(member)


def arguments_of(member: Any) -> str:
    """Return the names of a function's arguments, keyword-only ones after a star."""
    if not inspect.isfunction(inspect.unwrap(member)):
        return ""
    shown = []
    starred = False
    for argument in inspect.signature(member).parameters.values():
        if argument.name == "self":
            continue
        if argument.kind is argument.KEYWORD_ONLY and not starred:
            shown.append("*")
            starred = True
        default = "" if argument.default is argument.empty else f"={argument.default!r}"
        shown.append(f"{argument.name}{default}")
    return f"({', '.join(shown)})"


def documented(member: Any) -> Iterator[str]:
    """Yield a docstring as Markdown: its prose and its sections as lists."""
    doc = parts(member)
    yield from paragraphs(doc.pop(""))
    for section, text in doc.items():
        entries = items(text)
        lines = [f"{section}:", ""]
        for name, said in entries.items():
            names = ", ".join(f"`{one.strip()}`" for one in name.split(",")) if name else ""
            lines.append(listed(f"{names}: {said}" if names else said))
        yield "\n".join(lines)


def features() -> Iterator[str]:
    """Yield the table of features, and then what is to be known of a cell."""
    agents = load_agents()
    rows = [f"| feature | what it is | {' | '.join(agents)} |", f"|---|---|{'---|' * len(agents)}"]
    notes = []
    for feature in FEATURES:
        found = {name: feature.support(provider) for name, provider in agents.items()}
        cells = " | ".join(map(cell, found.values()))
        rows.append(f"| `{feature.name}` | {feature.means} | {cells} |")
        told = [
            listed(f"{name}: {support.how}")
            for name, support in found.items()
            if support.support == "native" and support.how
        ]
        if told:
            notes.append("\n".join([f"### `{feature.name}`", "", *told]))
    yield "\n".join(rows)
    yield "## What the providers say of a yes"
    yield from notes


def cell(support: OptionSupport) -> str:
    """Return what stands in the table for one feature of one provider."""
    words = {"native": "yes", "emulated": "emulated", "unsupported": "no"}[support.support]
    return words if support.support == "native" or not support.how else f"{words}: {support.how}"


PAGES: dict[str, Callable[[], Iterator[str]]] = {
    "agent-and-session.md": api,
    "errors.md": tree,
    "events-and-blocks.md": values,
    "features.md": features,
    "hooks.md": hooks,
    "store.md": store,
}

if __name__ == "__main__":
    main()
