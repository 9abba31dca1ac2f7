"""Check the pages: every relative link leads somewhere, and every Python example compiles.

    python3 dev.py docs [PAGE ...]

What the tutorials do is run by tests; this finds what no test runs.
"""

from __future__ import annotations

import re
import sys
import textwrap
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"\[[^\]]*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
FENCE = re.compile(r"^( *)(`{3,}|~{3,}) *([\w+-]*)[^\n]*\n(.*?)^ *\2 *$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)


def main(names: list[str]) -> int:
    """Print what is wrong; return 1 if anything is."""
    pages = [Path(name).resolve() for name in names] or sorted(
        page
        for pattern in ("*.md", "docs/**/*.md", "bench/*.md", "plugins/*/*.md")
        for page in ROOT.glob(pattern)
    )
    problems = [problem for page in pages for problem in problems_of(page)]
    print("\n".join([*problems, f"{len(pages)} pages, {len(problems)} problems"]))
    return bool(problems)


def problems_of(page: Path) -> Iterator[str]:
    """Yield what is wrong with one page."""
    text = page.read_text("utf-8")
    where = page.relative_to(ROOT) if page.is_relative_to(ROOT) else page
    for match in FENCE.finditer(text):
        indent, _, language, code = match.groups()
        line = text.count("\n", 0, match.start()) + 1
        if language in {"python", "py"}:
            yield from compiled(textwrap.dedent(code) if indent else code, f"{where}:{line}")
    # Code is no prose: what looks like a link there is none.
    prose = re.sub(r"`[^`\n]*`", "", FENCE.sub("", text))
    for match in LINK.finditer(prose):
        target, _, anchor = unquote(match[1]).partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        path = (page.parent / target).resolve() if target else page
        if not path.exists():
            yield f"{where}: there is no {target}"
        elif anchor and path.suffix == ".md" and anchor not in anchors(path):
            yield f"{where}: {target or 'the page'} has no heading for #{anchor}"


def compiled(code: str, where: str) -> Iterator[str]:
    """Yield what keeps an example from being Python; sessions with ``>>>`` are left to doctest."""
    if code.lstrip().startswith(">>>"):
        return
    try:
        # Top-level await stands in many examples.
        compile(code, where, "exec", flags=0x2000)
    except SyntaxError as error:
        yield f"{where}: line {error.lineno} of the example: {error.msg}"


@cache
def anchors(page: Path) -> frozenset[str]:
    """Return the anchors that GitHub makes of a page's headings."""
    found: list[str] = []
    for heading in HEADING.findall(FENCE.sub("", page.read_text("utf-8"))):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        anchor = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        found.append(f"{anchor}-{found.count(anchor)}" if anchor in found else anchor)
    return frozenset(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
