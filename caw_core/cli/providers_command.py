"""``caw providers``: the agents that caw can run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from caw_core.cli.tables import print_table
from caw_core.cli.turn_lines import print_line
from caw_core.provider_checks import survey
from caw_core.registry import default_registry

if TYPE_CHECKING:
    from datetime import datetime

    from caw_core.provider_checks import SurveyedProvider


@click.command("providers")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
def command(*, as_json: bool) -> None:
    """List the agents that caw can run, and those that it could.

    Asks each installed provider whether it is ready: no network, no tokens.
    """
    providers = survey(default_registry())
    if as_json:
        for provider in providers:
            print_line(provider_document(provider))
        return
    rows = [
        (
            provider.name,
            provider.state,
            f"{provider.distribution} {provider.version}".strip(),
            provider_words(provider),
        )
        for provider in providers
    ]
    print_table(("NAME", "STATE", "DISTRIBUTION", "DETAIL"), rows)


def provider_words(provider: SurveyedProvider) -> str:
    """Return what a person should know of a provider, in a sentence or two."""
    aliases = f"also called {', '.join(provider.aliases)}" if provider.aliases else ""
    detail, hint = provider.readiness.detail, provider.readiness.hint
    parts = (detail, "" if hint in detail else hint, aliases)
    return ". ".join(part.removesuffix(".") for part in parts if part)


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None


def provider_document(provider: SurveyedProvider) -> dict[str, Any]:
    """Return everything known of a provider, JSON-ready."""
    return {
        "type": "provider",
        "name": provider.name,
        "state": provider.state,
        "aliases": list(provider.aliases),
        "distribution": provider.distribution,
        "version": provider.version,
        "description": provider.info.description,
        "capabilities": sorted(provider.info.capabilities),
        "options": {
            name: {"support": option.support, "how": option.how}
            for name, option in provider.info.options.items()
        },
        "extra_options": dict(provider.info.extra_options),
        "auto": provider.info.auto,
        "ready": provider.readiness.ready,
        "detail": provider.readiness.detail,
        "hint": provider.readiness.hint,
        "credentials": provider.readiness.credentials,
        "credentials_path": provider.readiness.credentials_path,
        "credentials_expire_at": _iso(provider.readiness.credentials_expire_at),
        "program_path": provider.readiness.program_path,
        "program_version": provider.readiness.version,
    }
