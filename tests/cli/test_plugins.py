"""``caw providers``, ``plugins`` and ``doctor``, and the choice of a provider."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from caw_core import PluginRegistry

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Caw

FALLBACK = """
from caw_core import ProviderInfo, Readiness, hookimpl

caw_api = "1.0"

@hookimpl
def provider_info():
    return ProviderInfo(name="{name}", auto="{auto}")

@hookimpl
def check_ready():
    return Readiness(ready={ready}, detail="seen by {name}", hint="log in")

@hookimpl
def start_session(request):
    raise AssertionError("never started here")
"""

BUSY = """
from caw_core import ProviderInfo, UsageStats, hookimpl
from caw_core.events import Notice, Progress, Retrying, TextDelta, UsageReported

caw_api = "1.0"

class Session:
    resume_key = None

    def prompt(self, prompt):
        yield Progress(label="fetching weights", done=0, total=100)
        yield Progress(label="fetching weights", done=10, total=100)
        yield Progress(label="fetching weights", done=100, total=100)
        yield Retrying(reason="overloaded", attempt=1, max_attempts=3, wait_seconds=2)
        yield Notice(message="careful now", level="warning")
        yield TextDelta(text="only ")
        yield TextDelta(text="deltas")
        yield UsageReported(usage=UsageStats(input_tokens=5), model="m")

    def interrupt(self):
        pass

    def close(self):
        pass

@hookimpl
def provider_info():
    return ProviderInfo(name="busy")

@hookimpl
def start_session(request):
    return Session()
"""

PRICES = """
from caw_core import hookimpl
from caw_core.usage import Price

caw_api = "1.0"

@hookimpl
def price_usage():
    return Price(usd=0.01234, table="mine 1")
"""

# Whatever else is installed where the tests run must not be what is taken.
OTHERS = ",".join({record.distribution for record in PluginRegistry().records("provider")})


def install(folder: Path, name: str, group: str, source: str) -> str:
    """Write a distribution into *folder*; return the name of its module."""
    module = f"a_plugin_{name}"
    (folder / f"{module}.py").write_text(source)
    info = folder / f"{module}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {module}\n")
    return module


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    folder = tmp_path / "plugins"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("group", ["caw.providers", "caw.storages", "caw.plugins"])
def test_a_broken_plugin_is_listed_and_stops_no_other(caw: Caw, plugins: Path, group: str) -> None:
    module = install(plugins, "bad", group, "raise RuntimeError('no such luck')")
    path = {"PYTHONPATH": str(plugins)}
    listed = {line["name"]: line for line in caw("plugins", "--json", **path).lines}
    assert listed["bad"]["state"] == "broken"
    assert listed["bad"]["distribution"] == module
    assert "RuntimeError: no such luck" in listed["bad"]["problem"]
    assert listed["echo"]["state"] == "ok"
    assert "no such luck" in caw("doctor", **path).out
    assert caw("run", "-p", "echo", "hi", **path).out == "echo: hi\n"


def test_cost_that_a_plugin_computed_is_shown_as_computed(caw: Caw, plugins: Path) -> None:
    install(plugins, "busy", "caw.providers", BUSY)
    install(plugins, "mine", "caw.plugins", PRICES)
    result = caw("run", "-p", "busy", "hi", PYTHONPATH=str(plugins))
    assert "5 tokens in, 0 out · $0.0123 computed\n" in result.err


def test_a_plugin_that_breaks_the_contract_is_told_how(caw: Caw, plugins: Path) -> None:
    source = FALLBACK.format(name="bad", auto="agent", ready=True).replace("request", "reqest")
    install(plugins, "bad", "caw.providers", source)
    result = caw("run", "-p", "bad", "hi", PYTHONPATH=str(plugins))
    assert result.code == 3
    assert "there is no argument 'reqest'" in result.err


def test_an_unknown_provider_gets_close_matches_and_the_installed_ones(caw: Caw) -> None:
    result = caw("run", "-p", "ecko", "hi")
    assert (result.code, result.out) == (3, "")
    assert "Did you mean 'echo'?" in result.err
    assert "Installed: " in result.err


def test_a_known_provider_that_is_missing_gets_its_pip_command(caw: Caw) -> None:
    result = caw("run", "-p", "echo", "hi", CAW_PLUGIN_AUTOLOAD="0")
    assert result.code == 3
    assert "pip install caw-provider-echo" in result.err
    rows = caw("providers", CAW_PLUGIN_AUTOLOAD="0").out
    assert "echo\tnot installed\tcaw-provider-echo\tpip install caw-provider-echo" in rows


def test_names_of_one_missing_provider_are_one_row(caw: Caw) -> None:
    rows = caw("providers", CAW_PLUGIN_AUTOLOAD="0").out.splitlines()
    [row] = [row.split("\t") for row in rows if "caw-provider-claude-code" in row]
    assert row[:2] == ["claude_code", "not installed"]
    assert row[3] == "pip install caw-provider-claude-code. also called cc, claude"


def test_other_names_of_a_provider_that_is_there_are_not_missing(caw: Caw) -> None:
    listed = {line["name"]: line for line in caw("providers", "--json").lines}
    assert listed["claude_code"]["aliases"] == ["cc", "claude"]
    assert not {"cc", "claude"} & set(listed)


def test_providers_tells_names_and_readiness(caw: Caw) -> None:
    listed = {line["name"]: line for line in caw("providers", "--json").lines}
    assert listed["echo"]["ready"] is True
    assert listed["echo"]["distribution"] == "caw-provider-echo"
    assert "resume" in listed["echo"]["capabilities"]


def test_a_blocked_provider_is_listed_as_blocked(caw: Caw) -> None:
    rows = caw("providers", CAW_DISABLE_PLUGINS="echo").out
    assert "echo\tblocked\t" in rows


def test_plugins_tells_the_hooks_of_each(caw: Caw) -> None:
    listed = {line["name"]: line for line in caw("plugins", "--json").lines}
    assert "start_session" in listed["echo"]["hooks"]
    assert listed["jsonl"]["kind"] == "storage"


def test_without_a_provider_the_first_ready_one_is_taken_and_told(caw: Caw, plugins: Path) -> None:
    for name, ready in (("aaa", False), ("zzz", True)):
        source = FALLBACK.format(name=name, auto="agent", ready=ready)
        install(plugins, name, "caw.providers", source)
    result = caw("run", "hi", PYTHONPATH=str(plugins), CAW_DISABLE_PLUGINS=OTHERS)
    assert "provider: zzz (aaa: seen by aaa" in result.err


@pytest.mark.parametrize("way", ["option", "variable"])
def test_an_order_takes_the_first_that_is_ready(caw: Caw, plugins: Path, way: str) -> None:
    install(plugins, "aaa", "caw.providers", FALLBACK.format(name="aaa", auto="agent", ready=False))
    order = ["-p", "aaa,echo"] if way == "option" else []
    env = {"CAW_PROVIDER": "aaa, echo"} if way == "variable" else {}
    result = caw("run", *order, "hi", PYTHONPATH=str(plugins), **env)
    assert (result.code, result.out) == (0, "echo: hi\n")
    assert "provider: echo (aaa: seen by aaa" in result.err


def test_nothing_ready_is_3_for_run_and_1_for_doctor(caw: Caw, plugins: Path) -> None:
    install(plugins, "aaa", "caw.providers", FALLBACK.format(name="aaa", auto="agent", ready=False))
    env = {"PYTHONPATH": str(plugins), "CAW_DISABLE_PLUGINS": OTHERS}
    result = caw("run", "hi", **env)
    assert result.code == 3
    assert "no provider is ready. aaa: seen by aaa. log in" in result.err
    doctor = caw("doctor", **env)
    assert doctor.code == 1
    assert "Nothing is ready" in doctor.out


def test_doctor_says_what_would_be_taken_and_where_things_are(
    caw: Caw, plugins: Path, tmp_path: Path
) -> None:
    install(plugins, "aaa", "caw.providers", FALLBACK.format(name="aaa", auto="agent", ready=True))
    result = caw("doctor", "--json", PYTHONPATH=str(plugins))
    assert result.code == 0
    last = result.lines[-1]
    assert last["would_take"] == "aaa"
    assert last["data"] == str(tmp_path / "home" / "data")
    assert last["data_writable"] is True


def test_progress_and_retries_are_lines_on_stderr_without_a_terminal(
    caw: Caw, plugins: Path
) -> None:
    install(plugins, "busy", "caw.providers", BUSY)
    result = caw("run", "-p", "busy", "hi", PYTHONPATH=str(plugins))
    assert (result.code, result.out) == (0, "only deltas\n")
    assert result.err.splitlines()[:4] == [
        "fetching weights 0 %",
        "fetching weights 100 %",
        "the agent tries again (1/3) in 2 s: overloaded",
        "careful now",
    ]


def test_progress_is_a_bar_that_leaves_the_terminal(caw: Caw, plugins: Path) -> None:
    install(plugins, "busy", "caw.providers", BUSY)
    caw.env["PYTHONPATH"] = str(plugins)
    terminal = caw.terminal("run", "-p", "busy", "hi")
    terminal.read_until("fetching weights")
    terminal.read_until("only deltas")
    assert terminal.wait() == 0


def test_quiet_still_tells_warnings(caw: Caw, plugins: Path) -> None:
    install(plugins, "busy", "caw.providers", BUSY)
    result = caw("run", "-q", "-p", "busy", "hi", PYTHONPATH=str(plugins))
    assert result.err == "careful now\n"
