"""What is seen of a turn, with each real agent."""

from __future__ import annotations

from queue import Queue
from typing import TYPE_CHECKING

import pytest

from caw_core.events import FileChanged, Retrying, ToolOutput
from caw_testkit.modelserver import Usage, echo, reply, slow, text, think

from .agents import whole_body

if TYPE_CHECKING:
    from caw_core import Event, Turn

    from .conftest import Trial

ORDER = [
    "turn_started",
    "thinking_done",
    "tool_started",
    "tool_finished",
    "text_delta",
    "text_done",
    "turn_ended",
]
"""Every agent's first events of these types come in this order, whichever tool it was."""


def kinds(events: list[Event]) -> list[str]:
    """Return the types of events, each where it came first."""
    return list(dict.fromkeys(event.type for event in events))


@pytest.mark.feature("streaming")
def test_text_comes_in_pieces_before_the_turn_ends(trial: Trial) -> None:
    words = " ".join(f"word-{number}" for number in range(40))
    trial.server.script(slow(reply(text(words)), seconds=1))
    with trial.session() as session:
        stream = session.stream("go")
        pieces = [event.text for event in stream if event.type == "text_delta"]  # type: ignore[attr-defined]  # by its type
    assert len(pieces) > 1
    assert stream.result().result.strip() == words


@pytest.mark.feature("thinking")
@pytest.mark.feature("tool_calls")
def test_events_of_a_turn_have_the_same_types_in_the_same_order(trial: Trial) -> None:
    command = trial.kind.run("printf abc")
    trial.server.script(reply(think("Let me see."), command), reply(text("one two")))
    with trial.session() as session:
        stream = session.stream("go")
        events = list(stream)
        turn = stream.result()
    seen = kinds(events)
    assert [kind for kind in seen if kind in ORDER] == [kind for kind in ORDER if kind in seen]
    assert {"thinking_done", "tool_started", "tool_finished", "usage_reported"} <= {*seen}
    assert [block.type for block in turn.output] == ["thinking", "tool_use", "text"]
    [use] = turn.tool_calls
    assert "printf abc" in str(use.arguments["command"])
    assert (use.output, use.status, use.is_error) == ("abc", "completed", False)


@pytest.mark.feature("tool_calls")
def test_command_that_fails_is_an_error_with_its_output(trial: Trial) -> None:
    trial.server.script(reply(trial.kind.run("printf abc; exit 3")), reply(text("done")))
    with trial.session() as session:
        turn = session.send("go")
    [use] = turn.tool_calls
    assert (use.status, use.is_error, turn.status) == ("failed", True, "completed")
    assert "abc" in use.output


@pytest.mark.feature("tool_output")
def test_output_of_a_command_comes_while_it_runs(trial: Trial) -> None:
    # codex does not tell what a command prints at its very beginning before the command's end.
    wait = "while ! test -e go; do echo waiting; sleep 0.05; done"
    trial.server.script(reply(trial.kind.run(wait)), reply(text("done")))
    with trial.session() as session:
        stream = session.stream("go")
        for event in stream:
            if isinstance(event, ToolOutput) and "waiting" in event.delta:
                (trial.cwd / "go").touch()
    assert stream.result().tool_calls[0].output.startswith("waiting\n")


@pytest.mark.feature("plans")
def test_plan_is_kept_with_the_state_of_each_step(trial: Trial) -> None:
    trial.server.script(*trial.kind.plan("look", "leap"), reply(text("done")))
    with trial.session() as session:
        stream = session.stream("go")
        assert "plan_updated" in kinds(list(stream))
    plan = [(step.text, step.status) for step in stream.result().plan]
    assert plan == [("look", "in_progress"), ("leap", "pending")]


@pytest.mark.feature("file_changes")
def test_changed_files_are_told_with_the_difference(trial: Trial) -> None:
    file = trial.cwd / "new.txt"
    trial.server.script(
        reply(trial.kind.write(file, "old")),
        reply(trial.kind.edit(file, "old", "new")),
        reply(text("done")),
    )
    with trial.session() as session:
        events = list(session.stream("go"))
    added, updated = [event for event in events if isinstance(event, FileChanged)]
    assert (added.path, added.kind, added.diff) == (str(file), "add", "old\n")
    assert (updated.path, updated.kind) == (str(file), "update")
    assert "-old\n+new\n" in updated.diff
    assert file.read_text() == "new\n"


@pytest.mark.feature("usage")
def test_usage_of_all_turns_is_what_the_server_charged(trial: Trial) -> None:
    # Reasoning tokens are counted apart by two of the three services alone.
    used = Usage(input_tokens=100, cached_tokens=40, output_tokens=20)
    trial.server.script(
        reply(trial.kind.run("true"), usage=used),
        *[reply(text("done"), usage=used) for _ in range(3)],
    )
    with trial.session() as session:
        turns = [session.send(word) for word in ("one", "two", "three")]
    charged = trial.server.usage
    total = session.trajectory.usage
    assert [turn.usage.total_tokens for turn in turns] == [240, 120, 120]
    assert total.input_tokens == charged.input_tokens - charged.cached_tokens
    assert total.cache_read_tokens == charged.cached_tokens
    assert total.output_tokens == charged.output_tokens
    assert total.total_tokens == charged.total_tokens
    assert (total.cost_usd is None) == (total.cost_source == "unknown")


@pytest.mark.feature("agent_turns")
def test_turn_that_a_task_in_the_background_set_off_is_recorded_as_the_agents(
    trial: Trial,
) -> None:
    task = trial.kind.leave_running("while ! test -e go; do sleep 0.05; done")
    trial.server.script(reply(task), reply(text("started")), reply(text("it ended")))
    own: Queue[Turn] = Queue()
    with trial.session(permissions="full") as session:
        session.on_agent_turn(own.put)
        assert session.send("one").result == "started"
        (trial.cwd / "go").touch()
        assert own.get(timeout=60).result == "it ended"
        trial.server.script(reply(text("mine")))
        assert session.send("two").result == "mine"
    turns = session.trajectory.turns
    assert [turn.origin for turn in turns] == ["user", "agent", "user"]
    assert session.trajectory.usage.total_tokens == trial.server.usage.total_tokens


@pytest.mark.feature("retries")
def test_what_the_agent_tries_again_is_told(trial: Trial) -> None:
    settings, failure = trial.kind.passing()
    trial.server.script(failure, reply(text("at last")))
    with trial.session(**settings) as session:
        stream = session.stream("go")
        retries = [event for event in stream if isinstance(event, Retrying)]
    assert [retry.attempt for retry in retries] == [1]
    assert retries[0].reason
    assert stream.result().result == "at last"


@pytest.mark.feature("verbatim")
@pytest.mark.parametrize("prompt", ["/help", "@README.md", "  /init @./README.md $HOME ü\n\tx  "])
def test_prompt_reaches_the_model_as_it_is(trial: Trial, prompt: str) -> None:
    (trial.cwd / "README.md").write_text("WHAT-STANDS-IN-IT\n")
    trial.server.respond(echo)
    with trial.session() as session:
        assert session.send(prompt).result == f"echo: {prompt}"
    [request] = trial.server.requests
    assert request.last_user_text() == prompt
    assert "WHAT-STANDS-IN-IT" not in whole_body(request)
