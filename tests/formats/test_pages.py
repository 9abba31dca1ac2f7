"""Records as Markdown and HTML: everything is there, and nothing that was written gets out."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from caw_core import Trajectory, Turn, UsageStats
from caw_core.blocks import ImageBlock, SteerBlock, TextBlock, ThinkingBlock, ToolUse, UnknownBlock
from caw_core.formats.html import to_html
from caw_core.formats.markdown import to_markdown
from caw_core.trajectory import ErrorInfo

EVIL = '</pre><script>alert("x")</script><img src=x onerror=alert(1)>'


def record(**changes: Any) -> Trajectory:
    output = (
        ThinkingBlock(text="hm"),
        TextBlock(text="I look."),
        ToolUse(id="1", name="shell", arguments={"command": "ls"}, output="```\nfenced\n```"),
        ToolUse(id="2", name="shell", is_error=True, status="failed", output="no"),
        SteerBlock(text="be quick"),
        ImageBlock(mime_type="image/png", data="aGk="),
        ImageBlock(mime_type="image/svg+xml", uri="file:///x.svg"),
        UnknownBlock(raw={"type": "hologram"}),
    )
    turn = Turn(
        index=0,
        input="fix it\nnow",
        output=output,
        usage=UsageStats(input_tokens=1200, cost_usd=0.25),
        status="failed",
        error=ErrorInfo(type="LimitError", message="no more"),
        duration_ms=1500,
    )
    head = {"session_id": "s", "provider": "codex", "system_prompt": "be good", "tags": ("t",)}
    return Trajectory(**{**head, "turns": (turn,), **changes})


@pytest.mark.parametrize("write", [to_markdown, to_html])
def test_record_of_a_subagent_is_there_and_counted(write: Any) -> None:
    inner = record(session_id="inner", system_prompt="look things up")
    call = ToolUse(id="1", name="subagents.looker", output="found", subagent_trajectory=inner)
    page = write(record(turns=(Turn(index=0, input="go", output=(call, call)),)))
    for words in ("codex: session inner", "look things up", "I look.", "2,400 tokens, $0.5000"):
        assert words in page
    places = re.findall(r' id="([^"]*)"', page)
    assert len(set(places)) == len(places)


@pytest.mark.parametrize("write", [to_markdown, to_html])
def test_everything_that_happened_is_there(write: Any) -> None:
    page = write(record())
    for words in (
        "codex: session s",
        "be good",
        "Turn 0: failed, 1.5 s",
        "fix it",
        "hm",
        "I look.",
        "shell",
        "fenced",
        "be quick",
        "image/svg+xml",
        "hologram",
        "LimitError",
        "1,200 tokens, $0.2500",
    ):
        assert words in page, words


def test_output_cannot_end_its_fence() -> None:
    page = to_markdown(record())
    assert "````\n```\nfenced\n```\n````" in page


class Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def elements(page: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = Elements()
    parser.feed(page)
    return parser.found


def test_nothing_that_was_written_becomes_markup() -> None:
    evil = (
        TextBlock(text=EVIL),
        ThinkingBlock(text=EVIL),
        ToolUse(id="1", name=EVIL, arguments={EVIL: EVIL}, output=EVIL),
        ImageBlock(mime_type='image/png" onload="alert(1)', data="x"),
        ImageBlock(mime_type="image/png", data='"><script>alert(1)</script>'),
        UnknownBlock(raw={"type": EVIL}),
    )
    turns = (Turn(index=0, input=EVIL, output=evil, error=ErrorInfo(type=EVIL, message=EVIL)),)
    page = to_html(record(turns=turns, system_prompt=EVIL, provider=EVIL, cwd=EVIL, tags=(EVIL,)))
    found = elements(page)
    assert "script" not in {tag for tag, _ in found}
    assert not [name for _, given in found for name in given if name.startswith("on")]
    images = [given["src"] or "" for tag, given in found if tag == "img"]
    assert len(images) == 1
    assert images[0].startswith("data:image/png;base64,")


def test_page_asks_nobody_for_anything() -> None:
    page = to_html(record())
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'")
    assert not [given for _, given in elements(page) if "href" in given]
    assert "http" not in page.replace("http-equiv", "")


def test_image_that_the_agent_made_is_shown() -> None:
    assert '<img alt="an image that the agent made" src="data:image/png;base64,aGk=">' in to_html(
        record()
    )
