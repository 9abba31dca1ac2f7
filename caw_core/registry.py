"""Which plugins there are, found without importing any, and loaded one at a time."""

from __future__ import annotations

import difflib
import functools
import inspect
import logging
import os
import re
import threading
from typing import TYPE_CHECKING, Any, Literal, Self

import attrs

from caw_core.errors import (
    AmbiguousProviderError,
    ConfigError,
    PluginError,
    PluginLoadError,
    UnknownProviderError,
    UnknownStorageError,
)
from caw_core.known_plugins import KNOWN_DISTRIBUTIONS
from caw_core.plugin_check import check_plugin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from importlib_metadata import EntryPoint

GROUPS: Mapping[str, str] = {
    "provider": "caw.providers",
    "storage": "caw.storages",
    "observer": "caw.plugins",
}

log = logging.getLogger("caw.plugins")

Kind = Literal["provider", "storage", "observer"]


@attrs.frozen(kw_only=True)
class PluginRecord:
    """What is known of a plugin without importing it.

    Attributes:
        kind: ``provider``, ``storage`` or ``observer``.
        name: the entry point's name.
        aliases: other names of the same object in the same distribution.
        distribution: the distribution that offers it, ``""`` for one registered at run time.
        version: that distribution's version.
        blocked: it is switched off by ``CAW_DISABLE_PLUGINS``.
        error: why it cannot be used; None until that has been found out, and where it can.
    """

    kind: Kind
    name: str
    aliases: tuple[str, ...] = ()
    distribution: str = ""
    version: str = ""
    blocked: bool = False
    error: PluginError | AmbiguousProviderError | None = attrs.field(default=None, eq=False)


class Registration:
    """One `PluginRegistry.register_provider`, which it can undo; also a context manager."""

    def __init__(self, provider: object, undo: Callable[[Registration], None]) -> None:
        self.provider = provider
        self._undo = undo

    def unregister(self) -> None:
        """Take the provider away again; what it took the place of is back. Idempotent."""
        self._undo(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.unregister()


def _names(variable: str) -> frozenset[str]:
    return frozenset(
        filter(None, (name.strip() for name in os.environ.get(variable, "").split(",")))
    )


class PluginRegistry:
    """The plugins of this environment, and those registered at run time.

    Args:
        autoload: look at installed distributions; by default unless ``CAW_PLUGIN_AUTOLOAD=0``.
        blocked: names of plugins or distributions to leave alone, in addition to the comma list
            ``CAW_DISABLE_PLUGINS``. Blocked plugins are never imported.
    """

    def __init__(self, *, autoload: bool | None = None, blocked: Iterable[str] = ()) -> None:
        if autoload is None:
            autoload = os.environ.get("CAW_PLUGIN_AUTOLOAD", "1").strip() != "0"
        self._autoload = autoload
        self._blocked = frozenset(map(_normal, {*blocked, *_names("CAW_DISABLE_PLUGINS")}))
        self._lock = threading.RLock()
        self._index: dict[Kind, dict[str, list[EntryPoint]]] | None = None
        self._registered: dict[str, list[Registration]] = {}
        self._errors: dict[tuple[Kind, str], PluginError] = {}

    # ------------------------------------------------------------------------------ finding

    def _entries(self, kind: Kind) -> dict[str, list[EntryPoint]]:
        with self._lock:
            if self._index is None:
                self._index = {"provider": {}, "storage": {}, "observer": {}}
                if self._autoload:
                    self._scan(self._index)
            return self._index[kind]

    @staticmethod
    def _scan(index: dict[Kind, dict[str, list[EntryPoint]]]) -> None:
        from importlib_metadata import entry_points

        kinds: tuple[Kind, ...] = ("provider", "storage", "observer")
        for kind in kinds:
            for entry in entry_points(group=GROUPS[kind]):
                same_name = index[kind].setdefault(entry.name, [])
                # One distribution may be found twice, e.g. as a checkout and as installed.
                if all(_distribution(other) != _distribution(entry) for other in same_name):
                    same_name.append(entry)

    def _is_blocked(self, entry: EntryPoint) -> bool:
        return bool(self._blocked & {_normal(entry.name), _normal(_distribution(entry))})

    def _usable(self, kind: Kind, name: str) -> list[EntryPoint]:
        entries = self._entries(kind).get(name, [])
        return [entry for entry in entries if not self._is_blocked(entry)]

    def names(self, kind: Kind) -> list[str]:
        """Return every usable name of that kind, aliases included, sorted."""
        found = {name for name in self._entries(kind) if self._usable(kind, name)}
        return sorted(found | set(self._registered if kind == "provider" else ()))

    def records(self, kind: Kind) -> list[PluginRecord]:
        """Return what is known of all plugins of that kind; imports nothing."""
        records = []
        by_object: dict[tuple[str, str], list[EntryPoint]] = {}
        for entries in self._entries(kind).values():
            for entry in entries:
                by_object.setdefault((_distribution(entry), entry.value), []).append(entry)
        for (distribution, _), entries in by_object.items():
            name, *aliases = canonical_first((entry.name for entry in entries), distribution)
            owners = [_distribution(entry) for entry in self._usable(kind, name)]
            error: PluginError | AmbiguousProviderError | None = self._errors.get((kind, name))
            if len(owners) > 1:
                error = AmbiguousProviderError(name, candidates=owners)
            records.append(
                PluginRecord(
                    kind=kind,
                    name=name,
                    aliases=tuple(aliases),
                    distribution=distribution,
                    version=entries[0].dist.version if entries[0].dist else "",
                    blocked=self._is_blocked(entries[0]),
                    error=error,
                ),
            )
        if kind == "provider":
            records = [record for record in records if record.name not in self._registered]
            records += [PluginRecord(kind=kind, name=name) for name in self._registered]
        return sorted(records, key=lambda record: record.name)

    # ------------------------------------------------------------------------------ loading

    def load_provider(self, name: str) -> object:
        """Return the provider of that name, ready to be put into a plugin manager.

        A class is instantiated, each time anew, so that two agents share nothing by accident.

        Raises:
            UnknownProviderError: there is none; the message says what is near and what is there.
            AmbiguousProviderError: more than one distribution offers it.
            PluginError: it is broken.
        """
        with self._lock:
            registrations = self._registered.get(name)
            if registrations:
                return _instance("provider", name, registrations[-1].provider)
        entry = self._entry("provider", name)
        return self._entry_instance("provider", entry, self._load_entry("provider", entry))

    def load_storage(self, url: str) -> object:
        """Return the storage for *url*; its scheme is the storage's name.

        A scheme with a plus, as in ``encrypt+sqlite:///sessions.db``, is for the plugin that is
        named first, which goes around the storage that the rest names.

        Raises:
            UnknownStorageError: nothing installed answers to the scheme.
            ConfigError: the URL has no scheme, or the storage does not understand it.
        """
        scheme, colon, _ = url.partition(":")
        if not colon or not scheme:
            msg = f"a storage is given as a URL such as 'jsonl:///folder', not {url!r}"
            raise ConfigError(msg)
        scheme = scheme.partition("+")[0]
        entry = self._entry("storage", scheme)
        factory = self._load_entry("storage", entry)
        if not callable(factory):
            msg = f"storage {scheme!r}: the entry point must be a function that takes the URL"
            raise self._remember("storage", PluginLoadError(msg, name=scheme), entry)
        plugin = factory(url)
        check_plugin(plugin, name=scheme, kind="storage", distribution=_distribution(entry))
        return plugin

    def import_plugin(self, kind: Kind, name: str) -> object:
        """Return what the entry point names, imported and not made into anything.

        For looking at plugins: a storage can be imported without a URL to open.

        Raises:
            UnknownProviderError, UnknownStorageError: there is none of that kind and name.
            AmbiguousProviderError: more than one distribution offers it.
            PluginLoadError: the import failed.
        """
        return self._load_entry(kind, self._entry(kind, name))

    def load_observers(self) -> list[tuple[str, object]]:
        """Return all observers that can be used; a broken one is remembered and left out."""
        observers = []
        for name in self.names("observer"):
            try:
                entry = self._entry("observer", name)
                plugin = self._load_entry("observer", entry)
                observers.append((name, self._entry_instance("observer", entry, plugin)))
            except (PluginError, AmbiguousProviderError) as error:
                log.warning("observer %r is left out: %s", name, error)
        return observers

    def _entry(self, kind: Kind, name: str) -> EntryPoint:
        usable = self._usable(kind, name)
        if len(usable) > 1:
            raise AmbiguousProviderError(
                name, candidates=[_distribution(entry) for entry in usable]
            )
        if usable:
            return usable[0]
        known = self.names(kind)
        hints = []
        if not self._autoload:
            hints.append("Installed plugins are not looked at (CAW_PLUGIN_AUTOLOAD=0)")
        close = difflib.get_close_matches(name, [*known, *KNOWN_DISTRIBUTIONS[kind]], n=1)
        if name in self._entries(kind):
            hints.append(f"{name!r} is installed but blocked (CAW_DISABLE_PLUGINS)")
        elif close and close[0] != name:
            hints.append(f"Did you mean {close[0]!r}?")
        wanted = name if name in KNOWN_DISTRIBUTIONS[kind] else close[0] if close else ""
        distribution = KNOWN_DISTRIBUTIONS[kind].get(wanted)
        if distribution and wanted not in self._entries(kind):
            hints.append(f"Install it with: pip install {distribution}")
        error = UnknownStorageError if kind == "storage" else UnknownProviderError
        raise error(name, known=known, hint=" ".join(hints))

    def _load_entry(self, kind: Kind, entry: EntryPoint) -> Any:
        try:
            return entry.load()
        except Exception as cause:
            msg = (
                f"plugin {entry.name!r} of {_distribution(entry)} could not be imported "
                f"from {entry.value!r}: {type(cause).__name__}: {cause}"
            )
            error = PluginLoadError(msg, name=entry.name, distribution=_distribution(entry))
            raise self._remember(kind, error, entry) from cause

    def _entry_instance(self, kind: Kind, entry: EntryPoint, plugin: object) -> object:
        try:
            return _instance(kind, entry.name, plugin, _distribution(entry))
        except PluginError as error:
            self._remember(kind, error, entry)
            raise

    def _remember(self, kind: Kind, error: PluginError, entry: EntryPoint) -> PluginError:
        self._errors[kind, entry.name] = error
        return error

    # ------------------------------------------------------------------------------ run time

    def register_provider(
        self,
        name: str,
        provider: object,
        *,
        replace: bool = False,
    ) -> Registration:
        """Offer *provider* under *name* from now on.

        Args:
            name: what users will type.
            provider: an instance, a module, or a class that can be called without arguments.
            replace: take the place of an installed or registered provider of that name.

        Returns:
            A `Registration` that undoes it.

        Raises:
            ConfigError: the name is taken, or is no name.
            PluginError: the provider breaks the contract.
        """
        if not name or not name.replace("-", "_").isidentifier():
            msg = f"a provider's name is letters, digits, '_' and '-', not {name!r}"
            raise ConfigError(msg)
        _instance("provider", name, provider)
        registration = Registration(provider, lambda it: self._unregister(name, it))
        with self._lock:
            if not replace and name in self.names("provider"):
                msg = f"there is a provider {name!r} already; pass replace=True to take its place"
                raise ConfigError(msg)
            self._registered.setdefault(name, []).append(registration)
        return registration

    def _unregister(self, name: str, registration: Registration) -> None:
        with self._lock:
            registrations = self._registered.get(name, [])
            if registration in registrations:
                registrations.remove(registration)
            if not registrations:
                self._registered.pop(name, None)


def _instance(kind: Kind, name: str, plugin: object, distribution: str = "") -> object:
    try:
        if inspect.isclass(plugin):
            plugin = plugin()
    except Exception as cause:
        msg = f"plugin {name!r} could not be made: {type(cause).__name__}: {cause}"
        raise PluginLoadError(msg, name=name, distribution=distribution) from cause
    check_plugin(plugin, name=name, kind=kind, distribution=distribution)
    return plugin


def _normal(name: str) -> str:
    """Return a name in the one spelling that package indexes use for all of its spellings."""
    return re.sub(r"[-_.]+", "-", name).lower()


def canonical_first(names: Iterable[str], distribution: str) -> list[str]:
    """Sort the names of one plugin: first the one that its distribution is called after."""
    canonical, *aliases = sorted(
        names,
        key=lambda name: (name.replace("_", "-") not in distribution, -len(name), name),
    )
    return [canonical, *sorted(aliases)]


def _distribution(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else "(unknown distribution)"


@functools.cache
def default_registry() -> PluginRegistry:
    """Return the registry that agents use unless they are given one."""
    return PluginRegistry()


def register_provider(name: str, provider: object, *, replace: bool = False) -> Registration:
    """Register with the default registry; see `PluginRegistry.register_provider`."""
    return default_registry().register_provider(name, provider, replace=replace)


def installed_providers() -> list[PluginRecord]:
    """Return the providers that can be used here, without importing them.

    For whether their programs are there too, see ``caw doctor`` or `caw_core.Agent.check_ready`.
    """
    return [
        record
        for record in default_registry().records("provider")
        if not record.blocked and record.error is None
    ]
