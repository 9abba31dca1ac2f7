"""The page about the hooks has all of them, as they are."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from caw_core import hookspecs
from caw_core.plugin_check import SPECS

PAGE = Path(__file__).resolve().parents[2] / "docs/reference/hooks.md"
HOOKS = {
    name: function
    for specs in SPECS
    for name, function in vars(specs).items()
    if hasattr(function, f"{hookspecs.PROJECT_NAME}_spec")
}


def test_there_are_hooks() -> None:
    assert {"start_session", "persist_turn", "price_usage"} <= set(HOOKS)


@pytest.mark.parametrize("name", HOOKS)
def test_page_has_the_hook_with_its_arguments(name: str) -> None:
    _, *arguments = inspect.signature(HOOKS[name]).parameters
    assert f"{name}({', '.join(arguments)})" in PAGE.read_text("utf-8")


@pytest.mark.parametrize("name", HOOKS)
def test_hook_says_in_the_code_what_it_is_for(name: str) -> None:
    assert inspect.getdoc(HOOKS[name])
