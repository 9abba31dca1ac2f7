"""The page of faults names tests and rows that exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/explanation/reliability.md").read_text("utf-8")
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and "| tests |" not in line]
NAMED = sorted(set(re.findall(r"`([\w/.-]+\.py)::(\w+)`", PAGE)))


@cache
def functions(file: str) -> frozenset[str]:
    """Return the names of all functions in a file, methods included."""
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize(("file", "test"), NAMED, ids=[test for _, test in NAMED])
def test_test_that_the_page_names_exists(file: str, test: str) -> None:
    assert test.startswith("test_")
    assert test in functions(file)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip())
def test_every_fault_has_a_test(row: str) -> None:
    assert "::test_" in row or "| the same" in row


def test_every_measured_row_is_one_of_the_benchmark() -> None:
    bench = (ROOT / "bench/faults.py").read_text("utf-8")
    names = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert len(names) > 15
    assert [name for name in names if not re.search(rf'name=f?"{name}["_]', bench)] == []
