"""The suites of installed plugins, found by name.

A distribution registers its suite, a subclass of `StorageConformance` or `ProviderConformance`, in
the entry-point group `GROUP` under the name of its plugin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from importlib_metadata import EntryPoint, entry_points

from caw_core.errors import (
    AmbiguousProviderError,
    ConfigError,
    PluginInvalidError,
    PluginLoadError,
)
from caw_core.registry import default_registry
from caw_testkit.conformance.base import Conformance
from caw_testkit.conformance.storage_suite import visible

if TYPE_CHECKING:
    from pathlib import Path

    from caw_core.registry import PluginRecord

GROUP = "caw.conformance"

_REGISTERED = """\
from importlib_metadata import EntryPoint

TestPlugin = EntryPoint({name!r}, {value!r}, {group!r}).load()
"""

_GENERAL = """\
from caw_testkit.conformance import StorageConformance


class TestPlugin(StorageConformance):
    url = {url!r}
    capabilities = frozenset({capabilities!r})
    # How a lease is made to run out only the plugin's own suite knows.
    test_lease_runs_out_if_that_is_declared = None
"""


def test_module(name: str, url: str, folder: Path) -> str:
    """Return the source of a test module that checks a plugin.

    Args:
        name: the plugin's name, or an alias.
        url: for a storage: how its URL is made, with ``{folder}``; then the general suite is run
            in place of the registered one, with every hook that the storage implements declared.
        folder: an empty folder in which the storage may be opened, to see which hooks it has.

    Raises:
        ConfigError: there is no such plugin, or no suite for it.
        PluginError: the suite cannot be imported, or is none.
    """
    records = _records(name)
    if url:
        if not any(record.kind == "storage" for record in records):
            msg = f"{name!r} is no storage, so it has no URL"
            raise ConfigError(msg)
        plugin = default_registry().load_storage(url.replace("{folder}", quote(folder.as_posix())))
        return _GENERAL.format(url=url, capabilities=sorted(visible(plugin) | {"durable"}))
    entry = _registered(name, records)
    _check(entry)
    return _REGISTERED.format(name=entry.name, value=entry.value, group=GROUP)


def _records(name: str) -> list[PluginRecord]:
    registry = default_registry()
    records = [*registry.records("provider"), *registry.records("storage")]
    found = [record for record in records if name in (record.name, *record.aliases)]
    usable = [record for record in found if not record.blocked]
    if not usable:
        why = "is switched off by CAW_DISABLE_PLUGINS" if found else "is not installed"
        msg = f"{name!r} {why}. Installed: {', '.join(record.name for record in records) or 'none'}"
        raise ConfigError(msg)
    return usable


def _registered(name: str, records: list[PluginRecord]) -> EntryPoint:
    names = {word for record in records for word in (record.name, *record.aliases)}
    entries: dict[str, EntryPoint] = {
        entry.value: entry for entry in entry_points(group=GROUP) if entry.name in names
    }
    if len(entries) > 1:
        raise AmbiguousProviderError(name, candidates=sorted(entries))
    for entry in entries.values():
        return entry
    record = records[0]
    msg = f"{record.distribution} registers no conformance suite for {name!r} (group {GROUP!r})."
    if record.kind == "storage":
        msg += f" Run the general one: caw plugins --check {name} --url '{name}://{{folder}}'"
    raise ConfigError(msg)


def _check(entry: EntryPoint) -> None:
    try:
        suite = entry.load()
    except Exception as cause:
        msg = f"the suite {entry.value!r} cannot be imported: {type(cause).__name__}: {cause}"
        raise PluginLoadError(msg, name=entry.name) from cause
    if not (isinstance(suite, type) and issubclass(suite, Conformance)):
        problem = f"{entry.value!r} is no subclass of a conformance suite"
        raise PluginInvalidError(entry.name, [problem])
