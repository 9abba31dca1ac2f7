"""codex's models, as it lists them itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from caw_core.json_fields import objects, text
from caw_core.provider import ModelInfo

if TYPE_CHECKING:
    from caw_core.blocks import JSON
    from caw_provider_codex.rpc import Peer

TIERS: Final = {"strongest": "gpt-6-astra", "fast": "gpt-6-luna"}
"""By codex's own words in ``model/list`` of 0.169.0: "Frontier intelligence for the most demanding
work" and "Fast and affordable model for easier tasks". Which of them an account may use is the
service's to say."""

_PAGE: Final = 100


def list_models(peer: Peer, seconds: float) -> list[ModelInfo]:
    """Ask codex for its models; no tokens are spent.

    Args:
        peer: the app-server.
        seconds: bound on each page.

    Raises:
        RpcError, ProcessError, TimeoutError: it did not say.
    """
    found: list[ModelInfo] = []
    cursor: str | None = None
    while True:
        page = peer.call("model/list", {"limit": _PAGE, "cursor": cursor}, timeout=seconds)
        found += [_model(entry) for entry in objects(page, "data")]
        cursor = text(page, "nextCursor") or None
        if cursor is None:
            return found


def _model(entry: dict[str, JSON]) -> ModelInfo:
    return ModelInfo(
        name=text(entry, "model") or text(entry, "id"),
        description=text(entry, "description"),
        is_default=entry.get("isDefault") is True,
        efforts=tuple(
            text(effort, "reasoningEffort")
            for effort in objects(entry, "supportedReasoningEfforts")
        ),
    )
