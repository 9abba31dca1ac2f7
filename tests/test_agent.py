from __future__ import annotations

import json
import pickle
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from caw_core import Agent, Budget, Deadlines, PluginRegistry, ProviderInfo, Readiness, hookimpl
from caw_core.errors import (
    ConfigError,
    DeadlineError,
    NotResumableError,
    PersistError,
    PluginApiError,
    PluginInvalidError,
    ProviderError,
    ResumeHandleError,
    SessionBusyError,
    SessionStateError,
    StorageError,
    UnknownProviderError,
    UnsupportedError,
)
from caw_core.events import Event, Notice, TextDelta
from caw_core.provider import NATIVE, OptionSupport

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_completion_opens_sends_ends_and_returns_the_record(stage: Any) -> None:
    record = stage.agent().completion("world", metadata={"ticket": 7})
    assert record.result == "hello world"
    assert record.is_complete
    assert record.metadata == {"ticket": 7}
    assert stage.session.closed.is_set()


def test_unknown_option_names_the_likely_and_all_known_ones(stage: Any) -> None:
    with pytest.raises(ConfigError, match=r"modle.*did you mean 'model'.*system_prompt"):
        stage.agent(modle="x")


@pytest.mark.parametrize(
    "options",
    [
        {"permissions": "everything"},
        {"max_tokens": True},
        {"max_tokens": 1.5},
        {"temperature": -1},
        {"system_prompt": 7},
        {"env": {"A=B": "x"}},
        {"env": {"A": 1}},
        {"metadata": {"a": object()}},
    ],
)
def test_senseless_option_is_refused_before_anything_starts(
    stage: Any, options: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError):
        stage.agent(**options)


def test_message_about_env_does_not_show_the_value(stage: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        stage.agent(env={"TOKEN": b"s3cret"})
    assert "s3cret" not in str(caught.value)


def test_unknown_provider_is_told_when_the_agent_is_made() -> None:
    with pytest.raises(UnknownProviderError, match="pip install caw-provider-codex"):
        Agent("codx", registry=PluginRegistry(autoload=False))


def test_missing_folder_is_a_config_error(stage: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not a folder"):
        stage.agent(cwd=tmp_path / "gone").start_session()


def test_unsupported_option_is_noticed_in_the_first_turn_only(stage: Any) -> None:
    with stage.agent(temperature=0.5).start_session() as session:
        notices = [e.message for e in session.stream("a") if isinstance(e, Notice)]
        assert notices == [
            "temperature has no effect with played: the provider has no such option",
        ]
        assert not [e for e in session.stream("b") if isinstance(e, Notice)]
        (resolved,) = session.trajectory.turns[0].options
        assert (resolved.name, resolved.support) == ("temperature", "unsupported")


def test_strict_refuses_an_unsupported_option_before_the_provider_is_asked(stage: Any) -> None:
    agent = stage.agent(temperature=0.5, strict=True)
    with pytest.raises(UnsupportedError) as caught:
        agent.start_session()
    assert caught.value.options == ("temperature",)
    assert not stage.provider.sessions


def test_permissions_that_cannot_be_honoured_are_fatal_without_strict(stage: Any) -> None:
    with pytest.raises(UnsupportedError):
        stage.agent(permissions="read-only").start_session()


def test_emulated_option_stands_on_the_turn_with_how(stage: Any) -> None:
    info = {"options": {"max_tokens": OptionSupport(support="emulated", how="asked nicely")}}
    with stage.agent(info=info, max_tokens=9).start_session() as session:
        (option,) = session.send("x").options
    assert (option.name, option.support, option.how) == ("max_tokens", "emulated", "asked nicely")
    assert stage.session.request.max_tokens == 9


def test_options_of_the_provider_alone_are_checked_by_name(stage: Any) -> None:
    info = {"extra_options": {"colour": "of the answer"}}
    with pytest.raises(ConfigError, match="colour"):
        stage.agent(info=info, options={"color": "red"}).start_session()
    with stage.agent(info=info, options={"colour": "red"}).start_session():
        assert stage.session.request.options == {"colour": "red"}


def test_environment_gives_model_and_effort(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAW_MODEL", "m-1")
    monkeypatch.setenv("CAW_EFFORT", "high")
    with stage.agent().start_session() as session:
        assert (session.info.model, session.info.reasoning) == ("m-1", "high")


def test_provider_that_hangs_at_the_start_meets_the_start_deadline(stage: Any) -> None:
    release = threading.Event()
    agent = stage.agent(deadlines=Deadlines(start=0.1))

    def hang(_: Any) -> Any:
        release.wait(20)
        return late

    class Late:
        resume_key = None
        closed = threading.Event()

        def prompt(self, prompt: Any) -> Iterator[Event]:
            return iter(())

        def interrupt(self) -> None: ...

        def close(self) -> None:
            self.closed.set()

    late = Late()
    stage.provider._open = hang
    with pytest.raises(DeadlineError) as caught:
        agent.start_session()
    assert (caught.value.kind, caught.value.provider) == ("start", "played")
    release.set()
    assert late.closed.wait(20), "a session that comes too late is closed"


def test_start_session_that_returns_no_session_names_what_is_missing(stage: Any) -> None:
    agent = stage.agent()
    stage.provider._open = lambda session: object()
    with pytest.raises(PluginInvalidError, match="resume_key, prompt, interrupt, close"):
        agent.start_session()


def test_provider_error_at_the_start_gets_provider_and_session(stage: Any) -> None:
    agent = stage.agent()

    def fail(_: Any) -> Any:
        raise ProviderError("no")

    stage.provider._open = fail
    with pytest.raises(ProviderError) as caught:
        agent.start_session(session_id="s-1")
    assert (caught.value.provider, caught.value.session_id) == ("played", "s-1")


def test_provider_without_resume_is_unsupported(stage: Any) -> None:
    class Once:
        caw_api = "1.0"

        @hookimpl
        def provider_info(self) -> ProviderInfo:
            return ProviderInfo(name="once")

        @hookimpl
        def start_session(self, request: Any) -> Any: ...

    stage.registry.register_provider("once", Once)
    handle = '{"version": 1, "provider": "once", "session_id": "s", "resume_key": "k"}'
    with pytest.raises(UnsupportedError, match="resume session"):
        Agent("once", registry=stage.registry).resume_session(handle)


# ------------------------------------------------------------------------------------- resuming


def test_resume_by_handle_continues_key_record_and_metadata(stage: Any, memory: Any) -> None:
    agent = stage.agent(storage=memory, system_prompt="be brief", metadata={"a": 1})
    with agent.start_session() as session:
        session.send("one")
        handle = session.resume_handle
    again = stage.agent(storage=memory, metadata={"b": 2}).resume_session(handle)
    assert stage.session.resume_key == f"key of {session.session_id}"
    assert stage.session.request.system_prompt == "be brief"
    assert again.send("two").index == 1
    record = again.end()
    assert [turn.input for turn in record.turns] == ["one", "two"]
    assert record.metadata == {"a": 1, "b": 2}
    assert memory.load_trajectory(session.session_id) == record


def test_resume_without_storage_continues_with_an_empty_record(stage: Any) -> None:
    with stage.agent().start_session() as session:
        session.send("one")
    again = stage.agent().resume_session(session.resume_handle)
    assert again.trajectory.turns == ()
    assert again.session_id == session.session_id
    again.end()


def test_bare_session_id_resumes_where_a_storage_has_it(stage: Any, memory: Any) -> None:
    with stage.agent(storage=memory).start_session(session_id="mine") as session:
        session.send("one")
    with stage.agent(storage=memory).resume_session("mine") as again:
        assert again.trajectory.num_turns == 1
    assert stage.session.resume_key == "key of mine"
    assert session.session_id == "mine"


def test_bare_session_id_without_storage_is_refused(stage: Any) -> None:
    with pytest.raises(ResumeHandleError, match="needs the storage"):
        stage.agent().resume_session("mine")


def test_bare_session_id_that_no_storage_has_is_refused(stage: Any, memory: Any) -> None:
    with pytest.raises(ResumeHandleError, match="no storage has"):
        stage.agent(storage=memory).resume_session("mine")


def test_session_without_a_turn_cannot_be_resumed_from_its_record(stage: Any, memory: Any) -> None:
    stage.agent(storage=memory).start_session(session_id="mine").end()
    with pytest.raises(NotResumableError):
        stage.agent(storage=memory).resume_session("mine")


def test_handle_of_another_provider_is_refused(stage: Any) -> None:
    handle = '{"version": 1, "provider": "codex", "session_id": "s", "resume_key": "k"}'
    with pytest.raises(ResumeHandleError, match="codex"):
        stage.agent().resume_session(handle)


@pytest.mark.parametrize("text", ["", "  ", "{}", "[1]", "../up", None, 7, '{"version": 99}'])
def test_what_is_no_handle_starts_nothing(stage: Any, text: Any) -> None:
    agent = stage.agent()
    with pytest.raises(ResumeHandleError):
        agent.resume_session(text)
    assert not stage.provider.sessions


def test_own_session_id_that_exists_is_not_overwritten(stage: Any, memory: Any) -> None:
    stage.agent(storage=memory).completion("x")
    (existing,) = memory.heads
    with pytest.raises(ConfigError, match="already"):
        stage.agent(storage=memory).start_session(session_id=existing)


@pytest.mark.parametrize("bad", ["../x", "", ".hidden", "a/b", "a" * 129, "a..b", "-x", 5])
def test_own_session_id_must_be_one(stage: Any, bad: Any) -> None:
    with pytest.raises(ConfigError):
        stage.agent().start_session(session_id=bad)


# ------------------------------------------------------------------------------------- storages


def test_storage_that_is_down_never_looks_like_no_session(stage: Any, memory: Any) -> None:
    class Down:
        caw_api = "1.0"

        @hookimpl
        def persist_turn(self, turn: Any) -> None: ...

        @hookimpl
        def load_trajectory(self, session_id: str) -> Any:
            raise ConnectionError("no route")

    agent = stage.agent(storage=[Down(), memory])
    with pytest.raises(StorageError, match="no route"):
        agent.load_trajectory("mine")
    with pytest.raises(StorageError):
        agent.resume_session("mine")


def test_storage_that_refuses_the_head_keeps_the_session_from_opening(
    stage: Any, memory: Any
) -> None:
    memory.failing = OSError("full")
    with pytest.raises(PersistError):
        stage.agent(storage=memory).start_session()
    assert stage.session.closed.is_set()


def test_storage_given_as_object_keeps_the_contract_too(stage: Any) -> None:
    class NoVersion:
        @hookimpl
        def persist_turn(self, turn: Any) -> None: ...

    with pytest.raises(PluginApiError):
        stage.agent(storage=NoVersion()).start_session()


class Leasing:
    caw_api = "1.0"

    def __init__(self, *, busy: bool = False) -> None:
        self.busy = busy
        self.held = 0

    @hookimpl
    def persist_turn(self, turn: Any) -> None: ...

    @hookimpl
    def load_trajectory(self, session_id: str) -> None: ...

    @hookimpl
    def lease_session(self, session_id: str) -> Any:
        if self.busy:
            raise SessionBusyError("taken", holder="process 7")
        self.held += 1
        outer = self

        class Held:
            token = 1

            def release(self) -> None:
                outer.held -= 1

        return Held()


def test_second_writer_is_refused_and_leases_are_given_back(stage: Any) -> None:
    first, second = Leasing(), Leasing(busy=True)
    with pytest.raises(SessionBusyError) as caught:
        stage.agent(storage=[first, second]).start_session()
    assert caught.value.holder == "process 7"
    assert first.held == 0
    assert not stage.provider.sessions


def test_lease_is_held_until_the_end(stage: Any) -> None:
    leasing = Leasing()
    session = stage.agent(storage=leasing).start_session()
    assert leasing.held == 1
    session.end()
    assert leasing.held == 0


def test_lease_is_given_back_when_the_provider_fails(stage: Any) -> None:
    leasing = Leasing()
    agent = stage.agent(storage=leasing)

    def fail(_: Any) -> Any:
        raise ProviderError("no")

    stage.provider._open = fail
    with pytest.raises(ProviderError):
        agent.start_session()
    assert leasing.held == 0


# ------------------------------------------------------------------------- choosing a provider


def _provider(name: str, *, ready: bool | Exception = True, auto: str = "agent") -> Any:
    class Chosen:
        caw_api = "1.0"

        @hookimpl
        def provider_info(self) -> ProviderInfo:
            return ProviderInfo(name=name, auto=auto)  # type: ignore[arg-type]

        @hookimpl
        def check_ready(self) -> Readiness:
            if isinstance(ready, Exception):
                raise ready
            return Readiness(ready=ready, detail=f"{name} says so", hint="do something")

        @hookimpl
        def start_session(self, request: Any) -> None: ...

    return Chosen


@pytest.fixture
def no_choice_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CAW_PROVIDER", raising=False)


@pytest.mark.usefixtures("no_choice_made")
def test_without_a_name_the_first_ready_one_is_taken_and_fallbacks_last(stage: Any) -> None:
    register = stage.registry.register_provider
    register("a", _provider("a", ready=False))
    register("b", _provider("b", auto="never"))
    register("c", _provider("c", auto="fallback"))
    register("d", _provider("d"))
    assert Agent(registry=stage.registry).provider == "d"


@pytest.mark.usefixtures("no_choice_made")
def test_when_none_is_ready_the_message_says_why_for_each(stage: Any) -> None:
    stage.registry.register_provider("a", _provider("a", ready=False))
    stage.registry.register_provider("d", _provider("d", ready=False))
    with pytest.raises(ProviderError, match=r"a: a says so. do something; d: d says so"):
        Agent(registry=stage.registry).start_session()


@pytest.mark.usefixtures("no_choice_made")
def test_provider_that_breaks_while_asked_does_not_keep_others_from_use(stage: Any) -> None:
    stage.registry.register_provider("a", _provider("a", ready=RuntimeError("bug")))
    stage.registry.register_provider("d", _provider("d"))
    assert Agent(registry=stage.registry).provider == "d"


@pytest.mark.usefixtures("no_choice_made")
def test_nothing_to_choose_from_says_what_to_install() -> None:
    with pytest.raises(UnknownProviderError, match="pip install"):
        Agent(registry=PluginRegistry(autoload=False)).start_session()


def test_sequence_of_names_is_an_order(stage: Any) -> None:
    stage.registry.register_provider("a", _provider("a", ready=False))
    stage.registry.register_provider("d", _provider("d", auto="never"))
    assert Agent(["a", "d"], registry=stage.registry).provider == "d"


def test_variable_names_the_provider(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAW_PROVIDER", "a, d")
    stage.registry.register_provider("a", _provider("a", ready=False))
    stage.registry.register_provider("d", _provider("d"))
    assert Agent("auto", registry=stage.registry).provider == "d"


def test_provider_without_check_ready_counts_as_ready(stage: Any) -> None:
    assert stage.agent().check_ready().ready


# ---------------------------------------------------------------------------- what it brings along


def test_agent_shows_what_it_is_and_no_secret(tmp_path: Path) -> None:
    agent = Agent(
        "echo",
        model="m",
        cwd=tmp_path,
        env={"KEY": "s3cret"},
        options={"key": "s3cret"},
        metadata={"key": "s3cret"},
        storage="jsonl:///s3cret",
        system_prompt="s3cret",
    )
    assert repr(agent) == f"Agent('echo', model='m', cwd={str(tmp_path)!r})"


@pytest.mark.usefixtures("no_choice_made")
def test_agent_that_has_not_chosen_yet_says_so_and_then_whom_it_took(stage: Any) -> None:
    stage.registry.register_provider("d", _provider("d"))
    agent = Agent(registry=stage.registry)
    assert repr(agent) == "Agent('auto')"
    assert agent.provider == "d"
    assert repr(agent) == "Agent('d')"


def test_importing_caw_core_imports_no_plugin_http_or_toolkit() -> None:
    code = (
        "import sys, json, caw_core; caw_core.Agent; caw_core.register_provider;"
        "print(json.dumps(sorted({m.partition('.')[0] for m in sys.modules})))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    modules = set(json.loads(result.stdout))
    assert not modules & {"cattrs", "httpx", "click", "rich", "asyncio", "pydantic", "jsonschema"}
    assert not {name for name in modules if name.startswith(("caw_provider", "caw_storage"))}


def test_every_public_name_is_there() -> None:
    import caw_core

    assert all(getattr(caw_core, name) is not None for name in caw_core.__all__)
    with pytest.raises(AttributeError, match="no attribute 'agnet'"):
        caw_core.agnet  # noqa: B018


def test_values_of_the_public_api_pickle(stage: Any) -> None:
    record = stage.agent().completion("x")
    assert pickle.loads(pickle.dumps(record)) == record
    assert attrs.asdict(record)["provider"] == "played"


def test_session_state_error_before_the_first_turn_says_what_to_do(stage: Any) -> None:
    with (
        stage.agent().start_session() as session,
        pytest.raises(SessionStateError, match="Send at least one message"),
    ):
        _ = session.resume_handle


def test_cwd_is_absolute_in_request_and_record(
    stage: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    with stage.agent(cwd="sub").start_session() as session:
        assert session.info.cwd == str(tmp_path / "sub")
        assert stage.session.request.cwd == tmp_path / "sub"


def test_native_is_the_support_of_an_option() -> None:
    assert NATIVE.support == "native"
    assert TextDelta(text="x").type == "text_delta"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"cwd": 5}, "cwd: a folder is a str or a Path, not int"),
        ({"data_dir": 5}, "data_dir: a folder is"),
        ({"additional_dirs": "/tmp"}, "additional_dirs is a list, not str"),
        ({"additional_dirs": [5]}, "additional_dirs: a folder is"),
        ({"mcp_servers": 5}, "mcp_servers is a list, not int"),
        ({"options": 5}, "options is a Mapping, not int"),
        ({"env": "A=1"}, "env is a Mapping, not str"),
        ({"max_turns": 0}, "max_turns is a whole number not below 1, not 0"),
        ({"temperature": float("nan")}, "temperature is a number not below 0, not nan"),
        ({"registry": 5}, "registry is a PluginRegistry, not int"),
        ({"storage": 5}, "storage is a URL, a storage plugin, or a list of these, not int"),
        ({"storage": ["jsonl:x", {}]}, "or a list of these, not dict"),
        ({"storage": Path("records")}, "Path; for a folder give data_dir"),
    ],
)
def test_option_of_another_kind_is_refused_by_its_name(options: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Agent("echo", **options)


@pytest.mark.parametrize("bound", [{"usd": float("nan")}, {"usd": "1"}, {"tokens": 1.5}])
def test_budget_that_bounds_nothing_is_refused(bound: Any) -> None:
    with pytest.raises(ConfigError, match="must be a"):
        Budget(**bound)


def test_permission_callback_that_is_a_coroutine_is_refused() -> None:
    async def decide(_: object) -> bool:
        return True

    with pytest.raises(ConfigError, match="run_coroutine_threadsafe"):
        Agent("echo", on_permission=decide)  # type: ignore[arg-type]  # that is what is refused
