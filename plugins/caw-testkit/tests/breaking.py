"""Makes test classes for storages that break a rule; the ``broken_*.py`` beside it hold those."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from tests.reference_storage import Reference
from tests.test_reference_storage import TestReference

if TYPE_CHECKING:
    from collections.abc import Callable

ALL_CHECKS = [name for name in dir(TestReference) if name.startswith("test_")]


def breaks(*checks: str, **members: Any) -> Callable[[type[Reference]], type[Reference]]:
    """Put a test class for the storage into its module, with the checks that must find it."""
    wanted = {f"test_{check}" for check in checks}
    assert wanted <= set(ALL_CHECKS), wanted - set(ALL_CHECKS)

    def make(storage: type[Reference]) -> type[Reference]:
        name = f"Test{storage.__name__}"
        others = dict.fromkeys(check for check in ALL_CHECKS if check not in wanted)
        own = {"storage_class": storage, "__module__": storage.__module__, **others, **members}
        setattr(sys.modules[storage.__module__], name, type(name, (TestReference,), own))
        return storage

    return make
