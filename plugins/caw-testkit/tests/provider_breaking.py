"""Makes test classes for providers that break a rule; ``broken_turns.py`` and others hold those."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from tests.test_reference_provider import Reference, ReferenceSession, TestReference

if TYPE_CHECKING:
    from collections.abc import Callable

ALL_CHECKS = [name for name in dir(TestReference) if name.startswith("test_")]


def breaks(*checks: str, **members: Any) -> Callable[[type], type]:
    """Put a test class for the provider, or its session, into its module, with *checks* alone."""
    wanted = {f"test_{check}" for check in checks}
    assert wanted <= set(ALL_CHECKS), wanted - set(ALL_CHECKS)

    def make(broken: type) -> type:
        module = sys.modules[broken.__module__]
        provider = broken
        if issubclass(broken, ReferenceSession):
            provider = type(
                f"{broken.__name__}Provider",
                (Reference,),
                {"session": broken, "__module__": broken.__module__},
            )
            setattr(module, provider.__name__, provider)
        others = dict.fromkeys(check for check in ALL_CHECKS if check not in wanted)
        own = {"provider": provider, "__module__": broken.__module__, **others, **members}
        name = f"Test{broken.__name__}"
        setattr(module, name, type(name, (TestReference,), own))
        return broken

    return make
