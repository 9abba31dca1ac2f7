"""Names of providers as users type them."""

from __future__ import annotations

from caw_core.errors import CawError
from caw_core.model_config import canonical_provider
from caw_core.registry import default_registry


def own_name(name: str) -> str:
    """Return the name by which a provider calls itself; *name* if it is not installed here."""
    try:
        return canonical_provider(default_registry(), name)
    except CawError:
        return name
