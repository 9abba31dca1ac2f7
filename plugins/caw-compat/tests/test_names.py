"""Every public name of the wrapper is here, and takes what it took."""

from __future__ import annotations

import dataclasses
import enum
import importlib
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import caw

GOLDEN: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parent / "golden/names.json").read_text()
)

GONE = {
    "caw.auth": set(),
    "caw.health": {"claude_auth_signal", "codex_auth_signal", "opencode_auth_signal"},
    "caw.logger": {name for name in GOLDEN["caw.logger"] if name.startswith("log_")},
    "caw.mcp": {"SubagentState"},
    "caw.providers.claude_code": {"ClaudeCodeSession", "detect_usage_limit"},
    "caw.providers.codex": {"CodexSession", "detect_codex_usage_limit"},
    "caw.providers.opencode": {"OpencodeSession", "detect_opencode_usage_limit"},
}
"""Names that only the wrapper's own modules used; docs/how-to/migrate.md says so."""

OTHER_FIELDS = {
    # What FastMCP was asked for by its address is another thing now.
    "MCPServerHandle": {
        "host",
        "path",
        "port",
        "uvicorn_log_level",
        *(name for name in GOLDEN["caw"]["MCPServerHandle"]["fields"] if name.startswith("_")),
    },
}
NOT_MADE_BY_USERS = {"Session", "ViewerServer"}

NAMES = [
    (module, name)
    for module, names in GOLDEN.items()
    for name in names
    if name not in GONE.get(module, ())
]


def test_exactly_the_wrappers_names_are_exported() -> None:
    assert set(caw.__all__) == set(GOLDEN["caw"])
    assert set(caw.__all__) <= set(dir(caw))


@pytest.mark.parametrize(("module", "name"), NAMES, ids=[".".join(each) for each in NAMES])
def test_name_is_there_and_takes_what_it_took(module: str, name: str) -> None:
    value = getattr(importlib.import_module(module), name)
    check(value, GOLDEN[module][name], name)


@pytest.mark.parametrize("name", caw.__all__)
def test_page_says_where_the_name_went(name: str) -> None:
    page = (Path(__file__).parents[3] / "docs/how-to/migrate.md").read_text("utf-8")
    table = page.partition("## Names")[2].partition("## Variables")[0]
    assert re.search(rf"^\|[^|]*`{name}`[^|]*\|[^|]*\w[^|]*\|", table, re.MULTILINE)


def check(value: Any, wanted: dict[str, Any], name: str) -> None:
    """Compare a class or function with its description."""
    if "members" in wanted:
        assert issubclass(value, enum.Enum)
        assert sorted(value.__members__) == wanted["members"]
        return
    if (
        "parameters" in wanted
        and name not in NOT_MADE_BY_USERS
        and not takes(value, wanted["parameters"], name)
    ):
        raise AssertionError((name, inspect.signature(value), wanted["parameters"]))
    if "fields" in wanted and dataclasses.is_dataclass(value):
        fields = [field.name for field in dataclasses.fields(value)]
        kept = [each for each in wanted["fields"] if each not in OTHER_FIELDS.get(name, ())]
        assert fields[: len(kept)] == kept
    for attribute, description in wanted.get("attributes", {}).items():
        if attribute in OTHER_FIELDS.get(name, ()):
            continue
        here = attribute in {field.name for field in fields_of(value)}
        assert here or hasattr(value, attribute), f"{name}.{attribute}"
        if description.get("kind") == "function":
            check(getattr(value, attribute), description, f"{name}.{attribute}")


def fields_of(value: Any) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(value) if dataclasses.is_dataclass(value) else ()


def takes(function: Any, wanted: list[dict[str, Any]], name: str) -> bool:
    """Whether a call that fitted the wrapper's parameters fits these."""
    wanted = [each for each in wanted if each["name"] not in OTHER_FIELDS.get(name, ())]
    by_place = [each for each in wanted if each["kind"] == "POSITIONAL_OR_KEYWORD"]
    keywords = [each for each in wanted if each["kind"] == "KEYWORD_ONLY"]
    least = [each for each in by_place if each["required"]]
    needed = {each["name"]: None for each in keywords if each["required"]}
    every = {each["name"]: None for each in (*by_place, *keywords)}
    signature = inspect.signature(function)
    calls = [([None] * len(least), needed), ([None] * len(by_place), needed), ([], every)]
    try:
        bound = [signature.bind(*arguments, **named) for arguments, named in calls]
    except TypeError:
        return False
    # By place, each argument is the one that it was.
    filled = list(bound[1].arguments)[: len(by_place)]
    return filled == [each["name"] for each in by_place]


def test_import_brings_nothing_but_what_is_asked_for() -> None:
    code = "import sys, caw; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"caw_core.agent", "caw_tools", "rich", "mcp"} & set(done.stdout.split())


def test_wrapper_beside_it_is_refused_with_what_to_do(tmp_path: Path) -> None:
    folder = tmp_path / "coding_agent_wrapper-0.1.9.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: coding-agent-wrapper\n")
    code = f"import sys; sys.path.append({str(tmp_path)!r}); import caw"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ImportError: caw-compat and coding-agent-wrapper are both installed" in done.stderr
    assert "pip uninstall coding-agent-wrapper" in done.stderr
