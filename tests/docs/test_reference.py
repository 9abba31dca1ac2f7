from __future__ import annotations

import re
from pathlib import Path

import pytest
import reference_pages

import caw_core

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"


@pytest.mark.parametrize("name", reference_pages.PAGES)
def test_page_says_what_the_code_says(name: str) -> None:
    text = (REFERENCE / name).read_text()
    made = reference_pages.updated(text, reference_pages.PAGES[name])
    assert text == made, "run tools/reference_pages.py"


@pytest.mark.parametrize("name", caw_core.__all__)
def test_public_name_is_in_the_reference(name: str) -> None:
    pages = "".join(page.read_text() for page in REFERENCE.glob("*.md"))
    assert re.search(rf"\b{name}\b", pages)


def variables_in_code() -> set[str]:
    """Return every variable of caw's that the code names, or that its tests read."""
    files = [*ROOT.glob("caw_core/**/*.py"), *ROOT.glob("plugins/*/src/**/*.py")]
    names = re.compile(r"\bCAW_[A-Z]+(?:_[A-Z]+)*\b")
    tests = [ROOT / "conftest.py", *ROOT.glob("tests/**/*.py")]
    read = re.compile(r"\benviron(?:\.get\(|\[)\"(CAW_[A-Z_]+)\"")
    return {
        name
        for pattern, paths in ((names, files), (read, tests))
        for path in paths
        for name in pattern.findall(path.read_text())
    }


def test_every_variable_in_the_code_is_on_the_page_and_none_besides() -> None:
    page = (REFERENCE / "environment.md").read_text()
    assert set(re.findall(r"^\| `(CAW_\w+)`", page, re.MULTILINE)) == variables_in_code()
