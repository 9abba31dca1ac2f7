"""What the conformance suites share: declared capabilities, and failures that say what to do."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

MARK = "caw_needs"
"""The pytest mark that carries the capabilities a check is about; `needs` sets it."""


def needs(*capabilities: str) -> pytest.MarkDecorator:
    """Mark a check as being about *capabilities*: it is skipped unless all of them are declared."""
    return getattr(pytest.mark, MARK)(*capabilities)  # type: ignore[no-any-return]  # pytest's marks are made by name


def broken(what: str, advice: str) -> NoReturn:
    """Fail the check.

    Args:
        what: what the plugin did that it must not do.
        advice: what its author should do.
    """
    pytest.fail(f"{what}\nWhat to do: {advice}", pytrace=False)


class Conformance:
    """Base of the suites; a plugin's author subclasses a suite, not this.

    Attributes:
        kind: what is tested: ``"storage"`` or ``"provider"``.
        known_capabilities: every capability that can be declared, and what declaring it promises.
        capabilities: those that the plugin declares. A check of a declared capability that fails
            is a failure; the checks of the others are skipped and say so.
    """

    kind: ClassVar[str] = ""
    known_capabilities: ClassVar[Mapping[str, str]] = MappingProxyType({})
    capabilities: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        unknown = sorted(set(cls.capabilities) - set(cls.known_capabilities))
        if unknown:
            known = ", ".join(sorted(cls.known_capabilities)) or "none"
            msg = f"{cls.__name__}.capabilities has {', '.join(unknown)}; there are: {known}"
            raise TypeError(msg)

    @pytest.fixture(autouse=True)
    def _only_what_is_declared(self, request: pytest.FixtureRequest) -> None:
        for name in needed_by(request.node):
            if name not in self.capabilities:
                meaning = self.known_capabilities.get(name, "")
                pytest.skip(f"capability {name!r} is not declared ({meaning})")


def needed_by(item: pytest.Item) -> tuple[str, ...]:
    """Return the capabilities that a check is about."""
    return tuple(name for mark in item.iter_markers(MARK) for name in mark.args)
