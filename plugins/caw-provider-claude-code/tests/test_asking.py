"""Requests for permission of the real claude, and what the answers to them lead to."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Any

import pytest

from caw_core.events import PermissionAsked, PermissionSettled, TurnEnded
from caw_core.permissions import PermissionDesk, allow, allow_always, deny
from caw_core.tools import ToolGroup
from caw_testkit.modelserver import call, echo, reply, text

from .conftest import ask, fold

if TYPE_CHECKING:
    from caw_core.events import Event
    from caw_core.permissions import Decision, PermissionRequest
    from caw_testkit.modelserver import ModelServer, RecordedRequest

    from .conftest import Desk

pytestmark = pytest.mark.real_claude

TOUCH = {"command": "touch made", "description": "make it"}
QUESTION = {
    "question": "Which?",
    "header": "H",
    "options": [{"label": "A", "description": "a"}, {"label": "B", "description": "b"}],
    "multiSelect": False,
}


class Person:
    """Answers what is asked, and remembers what that was."""

    def __init__(self, *answers: Decision | bool) -> None:
        self.answers = list(answers)
        self.asked: list[PermissionRequest] = []
        self.told: list[Event] = []
        self.desk = PermissionDesk(self.decide)
        self.desk.attach(self.told.append)

    def decide(self, request: PermissionRequest) -> Decision | bool:
        self.asked.append(request)
        return self.answers.pop(0)


def test_allowed_command_runs(desk: Desk, model_server: ModelServer) -> None:
    person = Person(allow())
    model_server.script(reply(call("Bash", TOUCH)), reply(text("done")))
    turn = fold(ask(desk.start(permissions="ask", permission_desk=person.desk), "go"))
    assert (desk.home.cwd / "made").exists()
    assert [use.status for use in turn.tool_calls] == ["completed"]
    [request] = person.asked
    assert (request.tool, request.kind, request.arguments) == ("Bash", "exec", TOUCH)
    assert (request.call_id, request.can_always) == (turn.tool_calls[0].id, True)


def test_allowed_command_may_be_changed(desk: Desk, model_server: ModelServer) -> None:
    person = Person(allow(arguments={"command": "touch other"}))
    model_server.script(reply(call("Bash", TOUCH)), reply(text("done")))
    ask(desk.start(permissions="ask", permission_desk=person.desk), "go")
    assert (desk.home.cwd / "other").exists()
    assert not (desk.home.cwd / "made").exists()


def test_denied_command_does_not_run_and_the_model_is_told_why(
    desk: Desk, model_server: ModelServer
) -> None:
    person = Person(deny("not on a Sunday"))
    model_server.script(reply(call("Bash", TOUCH)), reply(text("done")))
    turn = fold(ask(desk.start(permissions="ask", permission_desk=person.desk), "go"))
    assert not (desk.home.cwd / "made").exists()
    assert turn.tool_calls[0].status == "declined"
    assert "not on a Sunday" in model_server.requests[-1].tool_results()[-1].text
    assert turn.result == "done"


def test_denial_that_stops_ends_the_turn_and_the_next_one_works(
    desk: Desk, model_server: ModelServer
) -> None:
    person = Person(deny("enough", stop=True))
    model_server.script(reply(call("Bash", TOUCH)))
    session = desk.start(permissions="ask", permission_desk=person.desk)
    assert ask(session, "go")[-1] == TurnEnded(stop_reason="cancelled")
    model_server.respond(echo)
    assert fold(ask(session, "next")).result == "echo: next"


def test_always_is_not_asked_again_and_widens_nothing_else(
    desk: Desk, model_server: ModelServer
) -> None:
    person = Person(allow_always(), deny())
    target = desk.home.cwd / "new.txt"
    write = {"file_path": str(target), "content": "x"}
    model_server.script(reply(call("Bash", TOUCH)), reply(call("Bash", TOUCH)))
    model_server.script(reply(call("Write", write)), reply(text("done")))
    ask(desk.start(permissions="ask", permission_desk=person.desk), "go")
    assert [request.tool for request in person.asked] == ["Bash", "Write"]
    assert not target.exists()
    assert not list((desk.home.cwd / ".claude").glob("*"))


def test_always_for_a_change_holds_for_changes_in_the_folder_alone(
    desk: Desk, model_server: ModelServer
) -> None:
    person = Person(allow_always(), deny(), deny())
    run = {"command": "python3 -c 'print(1)'"}
    names = (desk.home.cwd / "a.txt", desk.home.cwd / "b.txt", desk.home.path / "c.txt")
    writes = [call("Write", {"file_path": str(name), "content": "x"}) for name in names]
    model_server.script(*[reply(write) for write in writes], reply(call("Bash", run)))
    model_server.script(reply(text("done")))
    ask(desk.start(permissions="ask", permission_desk=person.desk), "go")
    assert [request.tool for request in person.asked] == ["Write", "Write", "Bash"]
    assert [name.exists() for name in names] == [True, True, False]


def test_requests_of_one_answer_wait_side_by_side(desk: Desk, model_server: ModelServer) -> None:
    both = threading.Barrier(2, timeout=20)

    def decide(request: PermissionRequest) -> bool:
        both.wait()
        return "a" in request.arguments["url"].rpartition("/")[2]

    fetches = [
        call("WebFetch", {"url": f"http://127.0.0.1:9/{name}", "prompt": "p"}) for name in "ab"
    ]
    model_server.script(reply(*fetches), reply(text("done")))
    session = desk.start(permissions="ask", permission_desk=PermissionDesk(decide))
    turn = fold(ask(session, "go"))
    assert [use.status for use in turn.tool_calls] == ["failed", "declined"]


def test_request_of_a_subagent_is_brought_too(desk: Desk, model_server: ModelServer) -> None:
    def is_sub(request: RecordedRequest) -> bool:
        return any("SUB" in said for said in request.user_texts())

    person = Person(allow())
    model_server.script(reply(call("Bash", TOUCH)), reply(text("sub done")), when=is_sub)
    task = {"description": "d", "prompt": "SUB", "subagent_type": "general-purpose"}
    model_server.script(reply(call("Agent", task)), reply(text("done")))
    ask(desk.start(permissions="ask", permission_desk=person.desk), "MAIN")
    assert [request.tool for request in person.asked] == ["Bash"]
    assert (desk.home.cwd / "made").exists()


def test_auto_edit_asks_for_commands_and_not_for_edits(
    desk: Desk, model_server: ModelServer
) -> None:
    person = Person(allow())
    write = {"file_path": str(desk.home.cwd / "new.txt"), "content": "x"}
    run = {"command": 'python3 -c \'open("ran", "w")\''}
    model_server.script(reply(call("Write", write)), reply(call("Bash", run)), reply(text("x")))
    ask(desk.start(permissions="auto-edit", permission_desk=person.desk), "go")
    assert [request.tool for request in person.asked] == ["Bash"]
    assert (desk.home.cwd / "ran").exists()
    assert (desk.home.cwd / "new.txt").exists()


def test_read_only_is_not_widened_by_a_yes(desk: Desk, model_server: ModelServer) -> None:
    outside = desk.home.path / "secret"
    outside.write_text("secret words")
    person = Person()
    model_server.script(reply(call("Read", {"file_path": str(outside)})), reply(text("done")))
    turn = fold(ask(desk.start(permissions="read-only", permission_desk=person.desk), "go"))
    assert person.asked == []
    assert turn.tool_calls[0].status == "declined"


@pytest.mark.parametrize(
    "answers", [{"Which?": "B"}, {"answers": {"Which?": "B"}}, {"Which?": ["B"]}]
)
def test_question_gets_its_answer(
    desk: Desk, model_server: ModelServer, answers: dict[str, Any]
) -> None:
    person = Person(allow(arguments=answers))
    model_server.script(reply(call("AskUserQuestion", {"questions": [QUESTION]})))
    model_server.script(reply(text("done")))
    ask(desk.start(permissions="full", permission_desk=person.desk), "go")
    [request] = person.asked
    assert (request.kind, request.arguments["questions"]) == ("question", [QUESTION])
    assert '"Which?"="B"' in model_server.requests[-1].tool_results()[-1].text


def test_plan_is_asked_about_and_afterwards_the_permissions_are_as_before(
    desk: Desk, model_server: ModelServer
) -> None:
    person = Person(allow(), deny())
    write = {"file_path": str(desk.home.cwd / "new.txt"), "content": "x"}
    model_server.script(
        reply(call("EnterPlanMode", {})), reply(call("ExitPlanMode", {"plan": "P"}))
    )
    model_server.script(reply(call("Write", write)), reply(text("done")))
    ask(desk.start(permissions="ask", permission_desk=person.desk), "go")
    assert [(one.tool, one.kind) for one in person.asked] == [
        ("ExitPlanMode", "question"),
        ("Write", "edit"),
    ]
    assert not (desk.home.cwd / "new.txt").exists()


@pytest.mark.parametrize(
    ("permissions", "tools", "expected"),
    [
        ("full", None, {"AskUserQuestion", "EnterPlanMode", "ExitPlanMode"}),
        ("full", ToolGroup.NO_INTERACTION, set()),
        ("read-only", None, {"AskUserQuestion"}),
    ],
)
def test_questions_are_offered_where_somebody_answers(
    desk: Desk,
    model_server: ModelServer,
    permissions: str,
    tools: ToolGroup | None,
    expected: set[str],
) -> None:
    model_server.respond(echo)
    person = Person()
    ask(desk.start(permissions=permissions, tools=tools, permission_desk=person.desk), "go")
    dialogues = {"AskUserQuestion", "EnterPlanMode", "ExitPlanMode"}
    assert set(model_server.requests[-1].tools) & dialogues == expected


def test_interrupt_withdraws_what_is_asked_once_and_the_session_goes_on(
    desk: Desk, model_server: ModelServer
) -> None:
    asked: queue.SimpleQueue[PermissionRequest] = queue.SimpleQueue()
    late = threading.Event()

    def decide(request: PermissionRequest) -> bool:
        asked.put(request)
        return late.wait(20)

    told: list[Event] = []
    person = PermissionDesk(decide)
    person.attach(told.append)
    model_server.script(reply(call("Bash", TOUCH)))
    session = desk.start(permissions="ask", permission_desk=person)
    turns: list[Any] = []
    thread = threading.Thread(target=lambda: turns.append(ask(session, "go")))
    thread.start()
    asked.get(timeout=20)
    session.interrupt()
    thread.join(20)
    late.set()
    assert turns[0][-1] == TurnEnded(stop_reason="cancelled")
    assert [type(event) for event in told] == [PermissionAsked, PermissionSettled]
    assert not person.waiting
    model_server.respond(echo)
    assert fold(ask(session, "next")).result == "echo: next"
    assert not (desk.home.cwd / "made").exists()
