"""Every Python block of every page runs, and prints what the page shows."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from caw_core.folders import user_cache_dir

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
TUTORIALS = {"write-a-provider.md", "write-a-storage.md"}
"""Followed step by step by another test."""
SCRIPTS = [
    page for page in PAGES if page.name not in TUTORIALS and "```python" in page.read_text("utf-8")
]
MARK = "\x1e"

FORBIDDEN = ("/work/", "shared/", "/tmp/", "localhost/simple")


def script_of(text: str, blocks: list[Any]) -> str:
    """Return the blocks as one program whose lines have the page's numbers."""
    lines = [""] * (text.count("\n") + 1)
    for block in blocks:
        code = block.text.splitlines()
        # The line of the fence is free, and tells whose output begins.
        lines[block.line - 2] = f"print({MARK!r})"
        lines[block.line - 1 : block.line - 1 + len(code)] = code
    return "\n".join(lines)


def run_page(page: Path, blocks: list[Any], folder: Path, env: dict[str, str], tools: Any) -> None:
    """Run the Python blocks among *blocks* as one program and compare what each prints."""
    code = [block for block in blocks if block.language == "python"]
    script = folder / "page.py"
    script.write_text(script_of(page.read_text(), code))
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    where = page.relative_to(ROOT)
    assert done.returncode == 0, f"{where}: the line numbers are the page's\n{done.stderr[-3000:]}"
    printed = dict(zip([block.line for block in code], done.stdout.split(MARK)[1:], strict=True))
    for block, after in itertools.pairwise(blocks):
        if block.language == "python" and after.info == "output":
            shown = printed[block.line]
            assert tools.matches(after.text, shown), f"{where}:{block.line} printed:\n{shown}"


@pytest.fixture
def tools(request: pytest.FixtureRequest) -> Any:
    """Return this folder's conftest, which reads pages."""
    for plugin in request.config.pluginmanager.get_plugins():
        if getattr(plugin, "__file__", None) == str(Path(__file__).with_name("conftest.py")):
            return plugin
    raise LookupError


def environment(tools: Any, folder: Path) -> dict[str, str]:
    """Return what a page is run with."""
    env: dict[str, str] = tools.clean_environment(folder / "home")
    # The local model's weights are 93 MB and checked by their hash: fetched once for all runs.
    models = os.environ.get("CAW_MODELS_DIR") or str(user_cache_dir() / "models")
    return {**env, "CAW_MODELS_DIR": models}


def runnable(tools: Any, page: Path, *, codex: bool) -> list[Any]:
    """Return the blocks of *page* that can be run here."""
    blocks = []
    skipped = False
    for block in tools.blocks_of(page.read_text()):
        if block.info == "output" and skipped:
            continue
        skipped = "norun" in block.info or ("needs=codex" in block.info and not codex)
        if not skipped:
            blocks.append(block)
    return blocks


@pytest.mark.parametrize("page", SCRIPTS, ids=lambda page: str(page.relative_to(DOCS)))
def test_page_runs_as_it_is_printed(page: Path, tools: Any, tmp_path: Path) -> None:
    run_page(
        page, runnable(tools, page, codex=False), tmp_path, environment(tools, tmp_path), tools
    )


def test_page_runs_with_codex(tools: Any, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    pytest.importorskip("caw_testkit")
    program, home, server = (
        request.getfixturevalue(name) for name in ("codex_program", "codex_home", "model_server")
    )
    from caw_testkit.modelserver import reply, text

    server.respond(lambda _: reply(text("A page and a record.")))
    env = {**environment(tools, tmp_path), **home.env, "CAW_CODEX_PATH": str(program.path)}
    page = DOCS / "tutorial" / "first-session.md"
    run_page(page, runnable(tools, page, codex=True), tmp_path, env, tools)
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "page",
    [
        page
        for page in PAGES
        if page.parent.name == "how-to" and "```console run" in page.read_text()
    ],
    ids=lambda page: page.name,
)
def test_commands_of_a_page_print_what_it_shows(page: Path, tools: Any, tmp_path: Path) -> None:
    env = environment(tools, tmp_path)
    env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), env["PATH"]])
    tools.Folder(tmp_path, env).follow(page)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_block_that_is_not_run_says_why(page: Path, tools: Any) -> None:
    for block in tools.blocks_of(page.read_text()):
        assert block.info == block.info.strip()
        if "norun" in block.info:
            assert len(block.info.partition("norun:")[2]) > 5, f"{page.name}:{block.line}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_page_names_no_place_of_one_machine(page: Path) -> None:
    text = page.read_text()
    assert not [word for word in FORBIDDEN if word in text]


def test_every_page_is_in_the_index() -> None:
    index = (DOCS / "README.md").read_text()
    missing = [page for page in PAGES if f"({page.relative_to(DOCS).as_posix()})" not in index]
    assert [page.name for page in missing] == ["README.md"]
