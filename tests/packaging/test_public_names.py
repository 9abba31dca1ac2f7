"""What ``import caw_core`` gives, and what it does not bring along."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import caw_core

HEAVY = {
    "asyncio",
    "cattrs",
    "click",
    "http",
    "importlib_metadata",
    "jsonschema",
    "rich",
    "socket",
    "ssl",
    "urllib.request",
}
PLUGINS = {
    "caw",
    "caw_prices",
    "caw_provider_codex",
    "caw_provider_echo",
    "caw_provider_local",
    "caw_storage_jsonl",
    "caw_storage_memory",
    "caw_storage_postgres",
    "caw_storage_redis",
    "caw_storage_sqlite",
    "caw_storage_wrappers",
    "caw_testkit",
}


def modules_after(code: str) -> set[str]:
    # A fresh process, and nothing of this test run's own in it.
    script = f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    command = [sys.executable, "-I", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(
    "code",
    ["import caw_core", "from caw_core import Agent, Session", "from caw_core import *"],
)
def test_import_brings_nothing_heavy_and_no_plugin(code: str) -> None:
    # What the interpreter itself, or a .pth file of the environment, has imported is not ours.
    assert (HEAVY | PLUGINS) & (modules_after(code) - modules_after("pass")) == set()


def test_agent_of_a_named_provider_loads_no_other_plugin_than_observers() -> None:
    found = modules_after("from caw_core import Agent\nAgent('echo').provider")
    assert PLUGINS & found == {"caw_prices", "caw_provider_echo"}
    assert "genai_prices" not in found


def test_names_are_sorted_and_unique() -> None:
    # Constants first, as the linter wants them.
    names = sorted(set(caw_core.__all__), key=lambda name: (not name.isupper(), name))
    assert list(caw_core.__all__) == names


@pytest.mark.parametrize("name", caw_core.__all__)
def test_name_resolves(name: str) -> None:
    assert getattr(caw_core, name) is not None
    assert name in dir(caw_core)


def test_every_lazy_name_is_public() -> None:
    lazy = {name for names in caw_core._HOMES.values() for name in names}
    assert lazy == set(caw_core.__all__)


def test_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="NoSuchName"):
        _ = caw_core.NoSuchName
