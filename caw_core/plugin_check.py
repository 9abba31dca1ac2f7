"""Whether an object keeps to the hook contract; pluggy alone lets too much pass."""

from __future__ import annotations

import difflib
import inspect
from typing import TYPE_CHECKING, Any

from caw_core.errors import PluginApiError, PluginInvalidError
from caw_core.hookspecs import PROJECT_NAME, ObserverSpecs, ProviderSpecs, StorageSpecs
from caw_core.provider import API_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

SPECS = (ProviderSpecs, StorageSpecs, ObserverSpecs)

REQUIRED = {
    "provider": ("start_session", "provider_info"),
    "storage": ("persist_turn", "load_trajectory"),
    "observer": (),
}


ANSWERED_BY = {
    "provider": vars(ProviderSpecs),
    "storage": vars(StorageSpecs),
    "observer": ("persist_turn", "persist_session", *vars(ObserverSpecs)),
}
"""Which hooks a plugin may implement without wrapping them."""


def hook_arguments() -> dict[str, tuple[str, ...]]:
    """Return each hook's name and the names of its arguments."""
    hooks = {}
    for spec in SPECS:
        for name, function in vars(spec).items():
            if hasattr(function, f"{PROJECT_NAME}_spec"):
                hooks[name] = tuple(inspect.signature(function).parameters)[1:]
    return hooks


def implementations(plugin: object) -> Iterator[tuple[str, Any]]:
    """Yield the name and function of everything in *plugin* that carries the hook marker."""
    for name in dir(plugin):
        # A property is not run: looking at a plugin must not make it do anything.
        if isinstance(inspect.getattr_static(plugin, name, None), property):
            continue
        function = getattr(plugin, name, None)
        if inspect.isroutine(function) and hasattr(function, f"{PROJECT_NAME}_impl"):
            yield name, function


def is_wrapper(function: Any) -> bool:
    """Tell whether a hook's function goes around the call instead of answering it."""
    options = getattr(function, f"{PROJECT_NAME}_impl")
    return bool(options["wrapper"] or options["hookwrapper"])


def _stranger(hook: str, function: Any, kind: str) -> str:
    # The last registered one is asked first, so it would answer in the place of whom it watches.
    if is_wrapper(function) or hook in ANSWERED_BY[kind]:
        return ""
    return (
        f"{hook}: it is not for a plugin of kind {kind!r} to answer it; "
        "to be around it, use @hookimpl(wrapper=True)"
    )


def _problems_of(hook: str, function: Any, allowed: tuple[str, ...]) -> Iterator[str]:
    if is_wrapper(function) and not inspect.isgeneratorfunction(function):
        yield f"{hook} is a wrapper, so it must be a generator: result = yield; return result"
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        yield f"{hook} is 'async def'; hooks are plain functions, the core makes the async twins"
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY:
            yield f"{hook}: the argument {parameter.name!r} is keyword-only, so never passed"
        elif parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            yield f"{hook}: '*{parameter.name}' would never be filled; name the arguments"
        elif parameter.name not in allowed:
            names = ", ".join(allowed) or "none"
            yield f"{hook}: there is no argument {parameter.name!r}; the hook's are: {names}"


def check_plugin(plugin: object, *, name: str, kind: str, distribution: str = "") -> None:
    """Refuse a plugin that would misbehave later.

    Args:
        plugin: a module or an instance.
        name: what it is called in messages.
        kind: ``provider``, ``storage`` or ``observer``.
        distribution: where it comes from, for messages.

    Raises:
        PluginApiError: it states no ``caw_api``, or another major version.
        PluginInvalidError: anything else, all of it at once.
    """
    api = getattr(plugin, "caw_api", None)
    if not isinstance(api, str) or api.split(".")[0] != API_VERSION.split(".")[0]:
        said = "states no caw_api" if api is None else f"states caw_api = {api!r}"
        msg = f"plugin {name!r} {said}; this caw needs caw_api = {API_VERSION!r}"
        raise PluginApiError(msg, name=name, distribution=distribution)
    hooks = hook_arguments()
    found = dict(implementations(plugin))
    problems: list[str] = []
    for hook, function in found.items():
        if hook in hooks:
            problems += _problems_of(hook, function, hooks[hook])
            problems += filter(None, [_stranger(hook, function, kind)])
        else:
            close = difflib.get_close_matches(hook, hooks, n=1)
            meant = f"; did you mean {close[0]!r}?" if close else ""
            problems.append(f"there is no hook {hook!r}{meant}")
    for hook in REQUIRED[kind]:
        if hook not in found:
            unmarked = callable(getattr(plugin, hook, None))
            how = "it lacks the marker @caw_core.hookimpl" if unmarked else "it is missing"
            problems.append(f"a {kind} must implement {hook!r}: {how}")
    if type(plugin).__eq__ is not object.__eq__ and not inspect.ismodule(plugin):
        problems.append(
            "plugins are told apart by identity: use a plain class, or attrs with eq=False",
        )
    if problems:
        raise PluginInvalidError(name, problems, distribution=distribution)


def checked_storage(plugin: object) -> object:
    """Return a storage that was given as an object, refused as `check_plugin` refuses it."""
    check_plugin(plugin, name=type(plugin).__name__, kind="storage")
    return plugin
