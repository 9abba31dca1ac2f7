"""A plugin cannot be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caw_core.errors.base import CawError

if TYPE_CHECKING:
    from collections.abc import Sequence


class PluginError(CawError):
    """A fact about one plugin; other plugins go on working."""

    def __init__(self, message: str, *, name: str = "", distribution: str = "") -> None:
        self.name = name
        self.distribution = distribution
        super().__init__(message)


class PluginLoadError(PluginError):
    """Importing the plugin failed; ``__cause__`` is the import's own error."""


class PluginApiError(PluginError):
    """The plugin states no ``caw_api``, or one of another major version."""


class PluginInvalidError(PluginError):
    """The plugin breaks the hook contract; ``problems`` lists every way in which it does."""

    def __init__(
        self,
        name: str,
        problems: Sequence[str],
        *,
        distribution: str = "",
    ) -> None:
        self.problems = tuple(problems)
        listing = "\n".join(f"  - {problem}" for problem in self.problems)
        super().__init__(
            f"plugin {name!r} cannot be used:\n{listing}",
            name=name,
            distribution=distribution,
        )
