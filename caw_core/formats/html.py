"""Records as a page of their own, for people: no script, nothing that is fetched."""

from __future__ import annotations

import html
import json
from typing import TYPE_CHECKING

from caw_core.blocks import ImageBlock, SteerBlock, TextBlock, ThinkingBlock, ToolUse
from caw_core.formats.atif import IMAGE_TYPES
from caw_core.formats.markdown import facts_of, heading_of, title_of_record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_core.blocks import Block
    from caw_core.trajectory import Trajectory, Turn

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'"

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #f4f4f4; padding: .6rem; }
pre.said { font: inherit; background: none; padding: 0; }
blockquote { border-left: .25rem solid #3b73c4; margin: 1rem 0; padding: .1rem 1rem; }
details { margin: .6rem 0; } summary { cursor: pointer; } img { max-width: 100%; }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; }
.failed { color: #a3131f; } .facts, .quiet { color: #555; }
@media (prefers-color-scheme: dark) {
  body { background: #16181c; color: #e6e6e6; } pre { background: #24272d; }
  a { color: #8ab8ff; } .failed { color: #ff8a8a; } .facts, .quiet { color: #aaa; }
}
"""


def to_html(trajectory: Trajectory, *, back: str = "") -> str:
    """Return a record as one HTML page.

    Args:
        trajectory: the record.
        back: the address of a list that it is reached from, which the page then links to.

    Everything that the agent, its tools and the user wrote is text on it, never markup, and the
    page's own policy forbids scripts and requests.
    """
    title = html.escape(title_of_record(trajectory))
    link = f'<nav><a href="{html.escape(back, quote=True)}">All sessions</a></nav>' if back else ""
    return page(title, "\n".join([link, f"<h1>{title}</h1>", *_body(trajectory)]))


def page(title: str, body: str) -> str:
    """Return a page in the style of records; both arguments are markup."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{_STYLE}</style>
</head>
<body>
{body}
</body>
</html>
"""


def _body(trajectory: Trajectory, prefix: str = "") -> Iterator[str]:
    """Yield what a record tells; *prefix* tells its places from those of other records."""
    facts = " · ".join(f"{name}: {html.escape(value)}" for name, value in facts_of(trajectory))
    yield f'<p class="facts">{facts}</p>'
    if trajectory.system_prompt:
        yield _folded("System prompt", trajectory.system_prompt)
    for turn in trajectory.turns:
        yield from _turn(turn, prefix)


def _turn(turn: Turn, prefix: str) -> Iterator[str]:
    place = f"{prefix}turn-{turn.index}"
    yield f'<section id="{place}">'
    yield f"<h2>{html.escape(heading_of(turn))}</h2>"
    yield f"<blockquote>{_pre(turn.input, 'said')}</blockquote>"
    for number, block in enumerate(turn.output):
        yield _block(block)
        if isinstance(block, ToolUse) and block.subagent_trajectory is not None:
            yield _subagent(block.subagent_trajectory, f"{place}-{number}-")
    if turn.error is not None:
        words = html.escape(f"{turn.error.type}: {turn.error.message}")
        yield f'<p class="failed">{words}</p>'
    yield "</section>"


def _block(block: Block) -> str:
    match block:
        case TextBlock():
            return _pre(block.text, "said")
        case ThinkingBlock():
            return _folded("Thinking", block.text)
        case ToolUse():
            return _tool(block)
        case SteerBlock():
            return f"<blockquote>{_pre(block.text, 'said')}</blockquote>"
        case ImageBlock():
            return _image(block)
        case _:
            return f'<p class="quiet">A block of kind {html.escape(repr(block.type))}</p>'


def _image(block: ImageBlock) -> str:
    if block.data and block.mime_type in IMAGE_TYPES:
        source = html.escape(f"data:{block.mime_type};base64,{block.data}", quote=True)
        return f'<img alt="an image that the agent made" src="{source}">'
    return f'<p class="quiet">Image, {html.escape(f"{block.mime_type} {block.uri}")}</p>'


def _tool(use: ToolUse) -> str:
    arguments = json.dumps(dict(use.arguments), indent=2, ensure_ascii=False)
    kind = ' class="failed"' if use.is_error else ""
    ended = "" if use.status == "completed" else f" ({use.status})"
    name = html.escape(f"Tool {use.name}{ended}")
    output = _pre(use.output) if use.output else ""
    return f"<details><summary{kind}>{name}</summary>{_pre(arguments)}{output}</details>"


def _subagent(trajectory: Trajectory, prefix: str) -> str:
    title = html.escape(title_of_record(trajectory))
    body = "\n".join(_body(trajectory, prefix))
    return f"<details><summary>Subagent: {title}</summary><blockquote>{body}</blockquote></details>"


def _folded(summary: str, text: str) -> str:
    return f"<details><summary>{html.escape(summary)}</summary>{_pre(text)}</details>"


def _pre(text: str, kind: str = "") -> str:
    marked = f' class="{kind}"' if kind else ""
    return f"<pre{marked}>{html.escape(text)}</pre>"
