"""Print the public names of the installed ``caw`` and what they take, as JSON."""

from __future__ import annotations

import dataclasses
import enum
import importlib
import inspect
import json
import sys
from typing import Any

MODULES = [
    "caw",
    "caw.agent",
    "caw.auth",
    "caw.config",
    "caw.display",
    "caw.faststats",
    "caw.health",
    "caw.logger",
    "caw.mcp",
    "caw.models",
    "caw.provider",
    "caw.providers.claude_code",
    "caw.providers.codex",
    "caw.providers.opencode",
    "caw.storage",
    "caw.toolkit",
    "caw.viewer",
]


def parameters(function: Any) -> list[dict[str, Any]]:
    """Describe a function's parameters."""
    return [
        {"name": each.name, "kind": each.kind.name, "required": each.default is each.empty}
        for each in inspect.signature(function).parameters.values()
    ]


def described(value: Any) -> dict[str, Any]:
    """Describe a class, a function or something else."""
    if not inspect.isclass(value):
        kind = "function" if inspect.isroutine(value) else "value"
        return {"kind": kind} | ({"parameters": parameters(value)} if kind == "function" else {})
    found: dict[str, Any] = {"kind": "class"}
    if issubclass(value, BaseException):
        return found
    if issubclass(value, enum.Enum):
        return found | {"members": sorted(value.__members__)}
    if dataclasses.is_dataclass(value):
        found["fields"] = [field.name for field in dataclasses.fields(value) if field.init]
    found["parameters"] = parameters(value)
    found["attributes"] = {
        name: described(member) if inspect.isroutine(member := getattr(value, name)) else {}
        for name in sorted(dir(value))
        if not name.startswith("_")
    }
    return found


def public(module: Any) -> list[str]:
    """Return the names that a module defines for others."""
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and getattr(value, "__module__", "").startswith("caw")
        and value.__module__ == module.__name__
    ]


def main() -> None:
    """Print them."""
    found: dict[str, dict[str, Any]] = {}
    for name in MODULES:
        module = importlib.import_module(name)
        names = module.__all__ if name == "caw" else public(module)
        found[name] = {each: described(getattr(module, each)) for each in sorted(names)}
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
