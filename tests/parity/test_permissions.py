"""What each real agent may do, seen from what it did and from what its model was offered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from caw_core import PermissionRequest, ToolGroup, allow, allow_always, deny
from caw_core.errors import UnsupportedError
from caw_core.events import PermissionAsked, PermissionSettled
from caw_testkit.modelserver import echo, reply, text

if TYPE_CHECKING:
    from pathlib import Path

    from caw_core import Decision

    from .conftest import Trial


class Person:
    """Answers each request with the same decision and remembers what it was asked."""

    def __init__(self, decision: Decision) -> None:
        self.decision = decision
        self.asked: list[PermissionRequest] = []

    def __call__(self, request: PermissionRequest) -> Decision:
        """Answer."""
        self.asked.append(request)
        return self.decision


@pytest.mark.feature("permissions")
@pytest.mark.parametrize(
    ("permissions", "written"),
    [
        ("read-only", set()),
        ("ask", set()),
        ("auto-edit", {"inside"}),
        ("full", {"inside", "outside", "by-command"}),
    ],
)
def test_permissions_bound_what_is_written(
    trial: Trial, outside: Path, permissions: str, written: set[str]
) -> None:
    trial.server.script(
        reply(trial.kind.write(trial.cwd / "inside", "x")),
        reply(trial.kind.write(outside / "outside", "x")),
        reply(trial.kind.run(f"touch {outside}/by-command")),
        reply(text("went on")),
    )
    with trial.session(permissions=permissions) as session:
        assert session.send("go").result == "went on"
    found = {file.name for folder in (trial.cwd, outside) for file in folder.iterdir()}
    assert found == written


@pytest.mark.feature("permissions")
def test_permissions_are_not_full_unless_that_is_asked_for(trial: Trial, outside: Path) -> None:
    trial.server.script(reply(trial.kind.run(f"touch {outside}/made")), reply(text("went on")))
    with trial.session(permissions=None) as session:
        session.send("go")
        assert session.info.permissions == "auto-edit"
    assert list(outside.iterdir()) == []


@pytest.mark.feature("on_permission")
def test_command_runs_when_it_is_allowed(trial: Trial) -> None:
    trial.server.script(reply(trial.kind.run("touch made")), reply(text("done")))
    person = Person(allow())
    with trial.session(permissions="ask", on_permission=person) as session:
        stream = session.stream("go")
        events = list(stream)
    [use] = stream.result().tool_calls
    [request] = person.asked
    assert (request.tool, request.kind, request.call_id) == (use.name, "exec", use.id)
    assert "touch made" in str(request.arguments["command"])
    [asked] = [event for event in events if isinstance(event, PermissionAsked)]
    [settled] = [event for event in events if isinstance(event, PermissionSettled)]
    assert (settled.request_id, settled.allowed) == (asked.request_id, True)
    assert (use.status, (trial.cwd / "made").exists()) == ("completed", True)


@pytest.mark.feature("on_permission")
def test_reason_of_a_denial_reaches_the_model(trial: Trial) -> None:
    trial.server.script(reply(trial.kind.run("touch made")), reply(text("went on")))
    person = Person(deny("not on a Sunday"))
    with trial.session(permissions="ask", on_permission=person) as session:
        turn = session.send("go")
    assert any("not on a Sunday" in said for said in trial.server.requests[-1].texts())
    assert [use.status for use in turn.tool_calls] == ["declined"]
    assert (turn.status, turn.result) == ("completed", "went on")
    assert list(trial.cwd.iterdir()) == []


@pytest.mark.feature("on_permission")
def test_what_is_always_allowed_is_not_asked_again(trial: Trial) -> None:
    command = reply(trial.kind.run("touch made"))
    trial.server.script(command, command, reply(text("done")))
    person = Person(allow_always())
    with trial.session(permissions="ask", on_permission=person) as session:
        turn = session.send("go")
    assert [request.can_always for request in person.asked] == [True]
    assert [use.status for use in turn.tool_calls] == ["completed", "completed"]


@pytest.mark.feature("tools")
@pytest.mark.parametrize(
    "allowed",
    [
        ToolGroup.ALL - ToolGroup.EXEC,
        ToolGroup.ALL - ToolGroup.WEB,
        ToolGroup.ALL - ToolGroup.PARALLEL,
        ToolGroup.READER | ToolGroup.WRITER,
    ],
)
def test_kinds_that_are_not_named_are_not_offered(trial: Trial, allowed: ToolGroup) -> None:
    trial.server.respond(echo)
    with trial.session(tools=allowed) as session:
        session.send("go")
    offered = set(trial.server.requests[-1].tools)
    for group, names in trial.kind.groups.items():
        assert bool(names & offered) is (group in allowed), group


@pytest.mark.feature("tools")
def test_kind_that_cannot_be_taken_away_is_refused_before_anything_is_sent(trial: Trial) -> None:
    agent = trial.agent(tools=ToolGroup.READER)
    if "cannot be taken away" not in agent.provider_info.options["tools"].how:
        pytest.skip("its provider can take away every kind")
    with pytest.raises(UnsupportedError, match="WRITER"):
        agent.start_session()


@pytest.mark.feature("tools")
def test_all_kinds_are_offered_where_nothing_is_said(trial: Trial) -> None:
    trial.server.respond(echo)
    with trial.session() as session:
        session.send("go")
    offered = set(trial.server.requests[-1].tools)
    assert [group for group, names in trial.kind.groups.items() if not names & offered] == []
