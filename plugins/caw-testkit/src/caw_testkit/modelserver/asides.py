"""The requests that real programs are known to make by themselves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from caw_testkit.modelserver.script import Aside
from caw_testkit.modelserver.steps import Garbage, reply, text
from caw_testkit.modelserver.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from caw_testkit.modelserver.request import RecordedRequest

__all__ = ["KNOWN_ASIDES", "document"]

_BYTES_PER_TOKEN = 4
_CLAUDE_TITLE = "Generate a concise, sentence-case title"
_CODEX_TITLE = "Generate a concise, single-line task title"
_OPENCODE_TITLE = "You are a title generator."


def document(body: Mapping[str, Any]) -> Garbage:
    """Answer with status 200 and *body* as JSON, whatever the API."""
    return Garbage(data=json.dumps(body).encode(), content_type="application/json")


def _is_greeting(request: RecordedRequest) -> bool:
    return request.method in {"GET", "HEAD"} and request.path.partition("?")[0] == "/"


def _is_model_list(request: RecordedRequest) -> bool:
    return request.api == "models"


def _is_claude_quota_probe(request: RecordedRequest) -> bool:
    return request.body.get("max_tokens") == 1 and request.user_texts() == ["quota"]


def _is_claude_title(request: RecordedRequest) -> bool:
    return any(said.startswith(_CLAUDE_TITLE) for said in request.system())


def _is_codex_title(request: RecordedRequest) -> bool:
    return request.last_user_text().startswith(_CODEX_TITLE)


def _is_opencode_title(request: RecordedRequest) -> bool:
    return any(said.startswith(_OPENCODE_TITLE) for said in request.system())


def _is_token_count(request: RecordedRequest) -> bool:
    return request.api == "count_tokens"


def _token_count(request: RecordedRequest) -> Garbage:
    size = len(json.dumps(request.body, separators=(",", ":")))
    return document({"input_tokens": size // _BYTES_PER_TOKEN})


KNOWN_ASIDES: tuple[Aside, ...] = (
    Aside(when=_is_greeting, step=document({})),
    # OpenAI and Anthropic list under "data", codex reads its own catalogue under "models".
    Aside(when=_is_model_list, step=document({"object": "list", "data": [], "models": []})),
    Aside(when=_is_token_count, step=_token_count),
    Aside(when=_is_claude_quota_probe, step=reply(text("."), usage=Usage.zero())),
    Aside(when=_is_claude_title, step=reply(text('{"title": "A title"}'), usage=Usage.zero())),
    Aside(when=_is_codex_title, step=reply(text("A title"), usage=Usage.zero())),
    Aside(when=_is_opencode_title, step=reply(text("A title"), usage=Usage.zero())),
)
"""Answered without a script on every server that is not made with ``known_asides=()``."""
