from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

import caw_core

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"


@pytest.fixture(scope="module")
def writer() -> Any:
    """Return the tool that writes the pages."""
    spec = importlib.util.spec_from_file_location(
        "reference_pages", ROOT / "tools" / "reference_pages.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "name", ["agent-and-session.md", "errors.md", "events-and-blocks.md", "hooks.md"]
)
def test_page_says_what_the_code_says(writer: Any, name: str) -> None:
    text = (REFERENCE / name).read_text()
    assert text == writer.updated(text, writer.PAGES[name]), "run tools/reference_pages.py"


def test_there_is_a_page_for_each_that_is_written(writer: Any) -> None:
    assert all((REFERENCE / name).is_file() for name in writer.PAGES)


@pytest.mark.parametrize("name", caw_core.__all__)
def test_public_name_is_in_the_reference(name: str) -> None:
    pages = "".join(page.read_text() for page in REFERENCE.glob("*.md"))
    assert re.search(rf"\b{name}\b", pages)


def variables_in_code() -> set[str]:
    """Return every variable of caw's that the code names."""
    files = [*ROOT.glob("caw_core/**/*.py"), *ROOT.glob("plugins/*/src/**/*.py")]
    names = re.compile(r"\bCAW_[A-Z]+(?:_[A-Z]+)*\b")
    return {name for file in files for name in names.findall(file.read_text())}


def test_every_variable_in_the_code_is_on_the_page_and_none_besides() -> None:
    page = (REFERENCE / "environment.md").read_text()
    assert set(re.findall(r"^\| `(CAW_\w+)`", page, re.MULTILINE)) == variables_in_code()
