"""How providers are, as the wrapper says it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from caw.registration import known_providers, resolve_provider
from caw_core import Agent, credentials

__all__ = ["AuthSignal", "ProviderHealth", "check_providers"]


@dataclass
class AuthSignal:
    """What can be seen of credentials; None where it cannot be told."""

    present: bool
    detail: str
    credentials_path: str | None = None
    token_expires_at: datetime | None = None
    token_expired: bool | None = None


@dataclass
class ProviderHealth:
    """How one provider is; the last four are known only after a live check."""

    provider: str
    installed: bool
    binary_path: str | None = None
    auth: AuthSignal | None = None
    probed: bool = False
    rate_limited: bool | None = None
    wait_minutes: int | None = None
    error: str | None = None


def check_providers(
    names: list[str] | None = None,
    *,
    live: bool = False,
    model: str | None = None,
) -> list[ProviderHealth]:
    """Say how providers are, each once.

    Args:
        names: which, in this order; default all.
        live: also send each one small prompt, which spends tokens.
        model: for that prompt.

    Raises:
        ValueError: there is no provider of that name.
    """
    if names is None:
        found = [provider for _, provider in known_providers()]
    else:
        found = list({type(each): each for each in map(resolve_provider, names)}.values())
    return [provider.check_health(live=live, model=model) for provider in found]


def auth_signal(provider: str) -> AuthSignal:
    """Say what can be seen of a provider's credentials; no network.

    Args:
        provider: its name in caw-core.
    """
    seen = Agent(provider).check_ready().credentials
    files = [each for each in credentials.status() if each.provider == provider]
    login = next((each for each in files if each.kind == "file" and each.present), None)
    return AuthSignal(
        present=bool(seen or login),
        detail=seen or (login.what if login else "no credentials found"),
        credentials_path=login.name if login else None,
        token_expires_at=login.expires_at if login else None,
        token_expired=login.expired if login else None,
    )
