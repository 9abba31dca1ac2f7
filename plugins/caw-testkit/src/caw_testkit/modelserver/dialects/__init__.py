"""The three APIs: how each writes a request, an answer and an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caw_testkit.modelserver.dialects.chat import ChatDialect
from caw_testkit.modelserver.dialects.messages import MessagesDialect
from caw_testkit.modelserver.dialects.responses import ResponsesDialect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from caw_testkit.modelserver.dialects.dialect import Dialect
    from caw_testkit.modelserver.request import Api

__all__ = ["dialect_of"]

_MESSAGES = MessagesDialect()
_RESPONSES = ResponsesDialect()

_DIALECTS: Mapping[Api, Dialect] = {
    "responses": _RESPONSES,
    "chat": ChatDialect(),
    "messages": _MESSAGES,
    "count_tokens": _MESSAGES,
}


def dialect_of(api: Api) -> Dialect:
    """Return how *api* is spoken; what is none of the three gets errors as OpenAI writes them."""
    return _DIALECTS.get(api, _RESPONSES)
