"""Plugins are put on `sys.path` as distributions: a ``dist-info`` folder and a module."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from caw_core import PluginRegistry, ProviderInfo, hookimpl
from caw_core.errors import (
    AmbiguousProviderError,
    ConfigError,
    PluginApiError,
    PluginInvalidError,
    PluginLoadError,
    UnknownProviderError,
    UnknownStorageError,
)

if TYPE_CHECKING:
    from pathlib import Path

Install = Callable[..., str]

GOOD = """
from caw_core import ProviderInfo, hookimpl
class Provider:
    caw_api = "1.0"
    @hookimpl
    def provider_info(self): return ProviderInfo(name="{name}")
    @hookimpl
    def start_session(self, request): ...
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Return a function that installs a distribution with one module and its entry points."""
    monkeypatch.delenv("CAW_DISABLE_PLUGINS", raising=False)
    monkeypatch.delenv("CAW_PLUGIN_AUTOLOAD", raising=False)

    def install(dist: str, entries: dict[str, dict[str, str]], code: str, *, at: str = "a") -> str:
        module = f"{dist.replace('-', '_')}_{tmp_path.name.replace('-', '_')}"
        folder = tmp_path / at
        info = folder / f"{dist.replace('-', '_')}-1.2.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: 1.2\n")
        sections = [
            f"[{group}]\n" + "\n".join(f"{name} = {module}{at}" for name, at in names.items())
            for group, names in entries.items()
        ]
        (info / "entry_points.txt").write_text("\n".join(sections) + "\n")
        (folder / f"{module}.py").write_text(code)
        if str(folder) not in sys.path:
            monkeypatch.syspath_prepend(str(folder))
        return module

    return install


def provider(install: Install, dist: str = "caw-provider-x", name: str = "x", **more: Any) -> str:
    entries = {"caw.providers": {name: ":Provider"}}
    return install(dist, entries, GOOD.format(name=name), **more)


def record(registry: PluginRegistry, name: str, kind: Any = "provider") -> Any:
    (found,) = [record for record in registry.records(kind) if record.name == name]
    return found


# ---------------------------------------------------------------------------------------- finding


def test_listing_imports_no_plugin(install: Install) -> None:
    module = provider(install)
    registry = PluginRegistry()
    found = record(registry, "x")
    assert (found.distribution, found.version, found.blocked) == ("caw-provider-x", "1.2", False)
    assert "x" in registry.names("provider")
    assert module not in sys.modules


def test_only_what_is_asked_for_is_imported(install: Install) -> None:
    wanted, other = provider(install), provider(install, "caw-provider-y", "y")
    plugin: Any = PluginRegistry().load_provider("x")
    assert plugin.provider_info().name == "x"
    assert wanted in sys.modules
    assert other not in sys.modules


def test_a_class_is_made_anew_for_each_agent(install: Install) -> None:
    provider(install)
    registry = PluginRegistry()
    assert registry.load_provider("x") is not registry.load_provider("x")


def test_two_names_of_one_object_are_one_record_with_an_alias(install: Install) -> None:
    entries = {"caw.providers": {"x-code": ":Provider", "xc": ":Provider"}}
    install("caw-provider-x-code", entries, GOOD.format(name="x-code"))
    found = record(PluginRegistry(), "x-code")
    assert found.aliases == ("xc",)


def test_autoload_can_be_switched_off(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    provider(install)
    assert PluginRegistry(autoload=False).names("provider") == []
    monkeypatch.setenv("CAW_PLUGIN_AUTOLOAD", "0")
    assert PluginRegistry().names("provider") == []


@pytest.mark.parametrize("blocked", ["x", "caw-provider-x"])
def test_blocked_plugin_is_listed_but_never_imported(
    install: Install, monkeypatch: pytest.MonkeyPatch, blocked: str
) -> None:
    module = provider(install)
    monkeypatch.setenv("CAW_DISABLE_PLUGINS", f"other, {blocked}")
    registry = PluginRegistry()
    assert record(registry, "x").blocked
    assert "x" not in registry.names("provider")
    with pytest.raises(UnknownProviderError, match="installed but blocked"):
        registry.load_provider("x")
    assert module not in sys.modules


def test_two_owners_of_one_name_are_an_error_that_names_both(install: Install) -> None:
    module = provider(install, "caw-provider-one", "same")
    provider(install, "caw-provider-two", "same")
    registry = PluginRegistry()
    with pytest.raises(AmbiguousProviderError) as caught:
        registry.load_provider("same")
    assert set(caught.value.candidates) == {"caw-provider-one", "caw-provider-two"}
    assert module not in sys.modules
    records = [found for found in registry.records("provider") if found.name == "same"]
    assert [type(found.error) for found in records] == [AmbiguousProviderError] * 2


def test_blocking_one_of_two_owners_settles_it(install: Install) -> None:
    provider(install, "caw-provider-one", "same")
    provider(install, "caw-provider-two", "same")
    registry = PluginRegistry(blocked=["caw-provider-two"])
    assert registry.load_provider("same") is not None
    errors = {found.distribution: found.error for found in registry.records("provider")}
    assert errors["caw-provider-one"] is None


def test_one_distribution_found_twice_is_one(install: Install) -> None:
    provider(install)
    provider(install, at="b")
    assert PluginRegistry().load_provider("x") is not None


def test_broken_plugin_is_a_fact_about_that_plugin(install: Install) -> None:
    install("caw-provider-bad", {"caw.providers": {"bad": ":Provider"}}, "import no_such_module_x")
    provider(install)
    registry = PluginRegistry()
    assert record(registry, "bad").error is None, "nobody has looked yet"
    with pytest.raises(PluginLoadError, match="no_such_module_x") as caught:
        registry.load_provider("bad")
    assert caught.value.distribution == "caw-provider-bad"
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)
    assert record(registry, "bad").error is caught.value
    assert registry.load_provider("x") is not None


def test_entry_point_without_the_object_it_names_is_a_load_error(install: Install) -> None:
    install("caw-provider-bad", {"caw.providers": {"bad": ":Gone"}}, "")
    with pytest.raises(PluginLoadError, match="Gone"):
        PluginRegistry().load_provider("bad")


def test_class_that_cannot_be_made_is_a_load_error(install: Install) -> None:
    code = "class Provider:\n    def __init__(self, needed): ..."
    install("caw-provider-bad", {"caw.providers": {"bad": ":Provider"}}, code)
    with pytest.raises(PluginLoadError, match="needed"):
        PluginRegistry().load_provider("bad")


def test_unknown_provider_says_near_installed_and_how_to_install(install: Install) -> None:
    provider(install)
    registry = PluginRegistry()
    with pytest.raises(UnknownProviderError) as caught:
        registry.load_provider("codex2")
    assert caught.value.known == tuple(registry.names("provider"))
    assert "Did you mean 'codex'?" in str(caught.value)


# --------------------------------------------------------------------------------------- storages

STORAGE = """
from caw_core import hookimpl
class Storage:
    caw_api = "1.0"
    def __init__(self, url): self.url = url
    @hookimpl
    def persist_turn(self, turn): ...
    @hookimpl
    def load_trajectory(self, session_id): ...
def not_a_storage(url): return object()
CONSTANT = 1
"""


def test_storage_is_found_by_the_scheme_of_its_url(install: Install) -> None:
    install("caw-storage-m", {"caw.storages": {"memo": ":Storage"}}, STORAGE)
    storage: Any = PluginRegistry().load_storage("memo:///there")
    assert storage.url == "memo:///there"


def test_what_is_no_url_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="URL"):
        PluginRegistry(autoload=False).load_storage("sessions.db")


def test_unknown_scheme_says_what_to_install() -> None:
    with pytest.raises(UnknownStorageError, match="pip install caw-storage-jsonl"):
        PluginRegistry(autoload=False).load_storage("jsonl:///x")


def test_factory_that_makes_no_storage_is_refused(install: Install) -> None:
    entries = {"caw.storages": {"memo": ":not_a_storage", "const": ":CONSTANT"}}
    install("caw-storage-m", entries, STORAGE)
    with pytest.raises(PluginApiError):
        PluginRegistry().load_storage("memo:x")
    with pytest.raises(PluginLoadError, match="takes the URL"):
        PluginRegistry().load_storage("const:x")


# -------------------------------------------------------------------------------------- observers


def test_broken_observer_is_left_out_and_remembered(install: Install) -> None:
    good = (
        "caw_api = '1.0'\nfrom caw_core import hookimpl\n@hookimpl\ndef persist_turn(turn): ...\n"
    )
    install("caw-good", {"caw.plugins": {"good": ""}}, good)
    install("caw-bad", {"caw.plugins": {"bad": ""}}, "1 / 0")
    registry = PluginRegistry()
    assert "good" in [name for name, _ in registry.load_observers()]
    assert "bad" not in [name for name, _ in registry.load_observers()]
    assert isinstance(record(registry, "bad", "observer").error, PluginLoadError)


# --------------------------------------------------------------------------------------- run time


class Good:
    caw_api = "1.0"

    @hookimpl
    def provider_info(self) -> ProviderInfo:
        return ProviderInfo(name="good")

    @hookimpl
    def start_session(self, request: Any) -> None: ...


@pytest.fixture
def registry() -> PluginRegistry:
    return PluginRegistry(autoload=False)


def test_class_instance_and_module_can_be_registered(registry: PluginRegistry) -> None:
    module = ModuleType("a_provider")
    instance = Good()
    for name in ("provider_info", "start_session"):
        setattr(module, name, getattr(instance, name))
    module.caw_api = "1.0"  # type: ignore[attr-defined]
    registry.register_provider("a", Good)
    registry.register_provider("b", instance)
    registry.register_provider("c", module)
    assert registry.names("provider") == ["a", "b", "c"]
    assert registry.load_provider("b") is instance
    assert registry.load_provider("c") is module


def test_registration_is_undone_by_its_handle(registry: PluginRegistry) -> None:
    with registry.register_provider("a", Good) as handle:
        assert registry.names("provider") == ["a"]
    handle.unregister()
    assert registry.names("provider") == []


def test_taken_name_needs_replace(registry: PluginRegistry) -> None:
    first, second = Good(), Good()
    registry.register_provider("a", first)
    with pytest.raises(ConfigError, match="replace=True"):
        registry.register_provider("a", second)
    handle = registry.register_provider("a", second, replace=True)
    assert registry.load_provider("a") is second
    handle.unregister()
    assert registry.load_provider("a") is first


def test_unregistered_provider_does_not_come_back(registry: PluginRegistry) -> None:
    outer = registry.register_provider("a", Good())
    inner = registry.register_provider("a", Good(), replace=True)
    outer.unregister()
    inner.unregister()
    assert registry.names("provider") == []


def test_installed_provider_is_back_after_its_replacement(install: Install) -> None:
    provider(install)
    registry = PluginRegistry()
    with registry.register_provider("x", Good(), replace=True):
        assert record(registry, "x").distribution == ""
    assert record(registry, "x").distribution == "caw-provider-x"


def test_refused_replacement_leaves_the_installed_provider_as_it_was(install: Install) -> None:
    provider(install)
    registry = PluginRegistry()
    with pytest.raises(PluginApiError) as caught:
        registry.register_provider("x", object(), replace=True)
    assert caught.value.distribution == ""
    assert record(registry, "x").error is None


@pytest.mark.parametrize("name", ["", "a b", "../x", "1x", "a/b", "a:b"])
def test_name_must_be_one(registry: PluginRegistry, name: str) -> None:
    with pytest.raises(ConfigError, match="name"):
        registry.register_provider(name, Good)


# ----------------------------------------------------------------------------------- the contract


def problems_of(registry: PluginRegistry, plugin: object) -> str:
    with pytest.raises(PluginInvalidError) as caught:
        registry.register_provider("a", plugin)
    return "\n".join(caught.value.problems)


@pytest.mark.parametrize("version", [None, "2.0", "0.9", 1, 1.0])
def test_other_major_version_is_refused(registry: PluginRegistry, version: Any) -> None:
    class Other(Good):
        caw_api = version

    with pytest.raises(PluginApiError, match=r"caw_api = '1\.0'"):
        registry.register_provider("a", Other)


def test_later_minor_version_is_welcome(registry: PluginRegistry) -> None:
    class Later(Good):
        caw_api = "1.7"

    registry.register_provider("a", Later)


def test_argument_that_the_hook_does_not_have(registry: PluginRegistry) -> None:
    class Bad(Good):
        @hookimpl
        def start_session(self, request: Any, prompt: str) -> None: ...  # type: ignore[override]

    assert "start_session: there is no argument 'prompt'; the hook's are: request" in problems_of(
        registry, Bad
    )


def test_keyword_only_argument(registry: PluginRegistry) -> None:
    class Bad(Good):
        @hookimpl
        def start_session(self, *, request: Any) -> None: ...  # type: ignore[override]

    assert "keyword-only" in problems_of(registry, Bad)


def test_star_arguments(registry: PluginRegistry) -> None:
    class Bad(Good):
        @hookimpl
        def start_session(self, *args: Any, **more: Any) -> None: ...

    problems = problems_of(registry, Bad)
    assert "'*args'" in problems
    assert "more" in problems


def test_async_hook(registry: PluginRegistry) -> None:
    class Bad(Good):
        @hookimpl
        async def start_session(self, request: Any) -> None: ...  # type: ignore[override]

    assert "'async def'" in problems_of(registry, Bad)


def test_misspelt_hook(registry: PluginRegistry) -> None:
    class Bad(Good):
        @hookimpl
        def resume_sesion(self, request: Any) -> None: ...

    assert "did you mean 'resume_session'?" in problems_of(registry, Bad)


def test_missing_hook_and_missing_marker_are_told_apart(registry: PluginRegistry) -> None:
    class Bad:
        caw_api = "1.0"

        def start_session(self, request: Any) -> None: ...

    problems = problems_of(registry, Bad)
    assert "'start_session': it lacks the marker @caw_core.hookimpl" in problems
    assert "'provider_info': it is missing" in problems


def test_equality_by_value(registry: PluginRegistry) -> None:
    class Bad(Good):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment]

    assert "identity" in problems_of(registry, Bad)


def test_wrapper_that_is_no_generator(registry: PluginRegistry) -> None:
    class Bad(Good):
        @hookimpl(wrapper=True)
        def resume_session(self, request: Any) -> None: ...

    assert "must be a generator" in problems_of(registry, Bad)


def test_provider_that_answers_for_storages(registry: PluginRegistry) -> None:
    class Bad(Good):
        @hookimpl
        def load_trajectory(self, session_id: str) -> None: ...

    assert "not for a plugin of kind 'provider'" in problems_of(registry, Bad)


def test_observer_that_answers_for_the_provider_is_left_out(install: Install) -> None:
    code = (
        "caw_api = '1.0'\nfrom caw_core import hookimpl\n"
        "@hookimpl\ndef start_session(request): return object()\n"
    )
    install("caw-thief", {"caw.plugins": {"thief": ""}}, code)
    registry = PluginRegistry()
    assert "thief" not in [name for name, _ in registry.load_observers()]
    assert isinstance(record(registry, "thief", "observer").error, PluginInvalidError)


def test_looking_at_a_plugin_runs_none_of_its_properties(registry: PluginRegistry) -> None:
    class Lazy(Good):
        @property
        def heavy(self) -> Any:
            raise AssertionError

    registry.register_provider("a", Lazy)


def test_every_problem_is_told_at_once(registry: PluginRegistry) -> None:
    class Bad:
        caw_api = "1.0"

        @hookimpl
        async def start_session(self, prompt: Any) -> None: ...

        @hookimpl
        def load(self) -> None: ...

    assert len(problems_of(registry, Bad).splitlines()) == 4
