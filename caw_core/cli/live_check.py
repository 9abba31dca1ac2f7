"""Asking providers one small thing, to see that they really answer; this spends tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from caw_core.display.event_words import usage_words
from caw_core.display.plain import one_line, plain
from caw_core.provider_checks import ask_provider
from caw_core.trajectory import ErrorInfo

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from caw_core.health import Health

_WIDTH = 60


def check_live(providers: Sequence[str]) -> Iterator[Health]:
    """Ask each provider one small thing, and say so on stderr before it happens."""
    for name in providers:
        click.echo(plain(f"asking {name} for one word, which spends tokens"), err=True)
        yield ask_provider(name)


def health_document(health: Health) -> dict[str, Any]:
    """Return everything that came of asking, JSON-ready."""
    document: dict[str, Any] = {
        "type": "health",
        "provider": health.provider,
        "ok": health.ok,
        "probed": health.probed,
        "detail": health.readiness.detail,
    }
    if health.probed:
        document["rate_limited"] = health.rate_limited
        document["wait_minutes"] = health.wait_minutes
    if health.turn is not None:
        document["result"] = health.turn.result
        document["duration_ms"] = health.turn.duration_ms
        document["total_tokens"] = health.turn.usage.total_tokens
        document["cost_usd"] = health.turn.usage.cost_usd
        document["cost_source"] = health.turn.usage.cost_source
    if health.error is not None:
        error = ErrorInfo.of(health.error)
        document["error"] = {"type": error.type, "message": error.message, "data": dict(error.data)}
    return document


def health_words(health: Health) -> str:
    """Return what came of asking, in a line."""
    if health.turn is not None:
        words = [
            f"{health.provider} answers {one_line(health.turn.result, _WIDTH)!r}",
            f"{health.turn.duration_ms / 1000:.1f} s",
            *usage_words(health.turn.usage),
        ]
        return " · ".join(words)
    if health.error is not None:
        return f"{health.provider} does not answer: {health.error}"
    readiness = health.readiness
    return f"{health.provider} was not asked: {readiness.detail or 'it is not ready'}"
