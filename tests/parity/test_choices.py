"""What each real agent's model is told, which model that is, and where the agent works."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import attrs
import pytest

from caw_core import Attachment, ModelTier, Prompt
from caw_core.config_file import ConfigFile
from caw_core.errors import StructuredOutputError
from caw_testkit.modelserver import call, echo, reply, text

from .agents import whole_body

if TYPE_CHECKING:
    from pathlib import Path

    from caw_testkit.modelserver import RecordedRequest
    from caw_testkit.modelserver.steps import Reply, Responder

    from .conftest import Trial

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)


@attrs.frozen
class City:
    """What is asked for."""

    name: str
    people: int


@pytest.mark.feature("model")
@pytest.mark.feature("set_model")
@pytest.mark.feature("reasoning")
def test_model_and_effort_hold_until_they_are_changed(trial: Trial) -> None:
    first, second = trial.kind.models
    trial.server.respond(echo)
    with trial.session(model=first, reasoning="high") as session:
        session.send("one")
        session.send("two")
        session.set_model(second, reasoning="low")
        session.send("three")
        session.send("four")
    asked = [
        (trial.kind.asks_for(request, first), trial.kind.effort(request))
        for request in trial.server.requests
    ]
    assert asked == [(True, "high"), (True, "high"), (False, "low"), (False, "low")]
    assert trial.kind.asks_for(trial.server.requests[-1], second)


@pytest.mark.feature("models")
def test_models_are_listed_without_a_request(trial: Trial) -> None:
    with trial.session() as session:
        models = session.models()
    assert [model.is_default for model in models].count(True) == 1
    assert any("high" in model.efforts for model in models)
    assert trial.server.requests == []


@pytest.mark.feature("tiers")
def test_tier_is_the_model_that_the_provider_or_the_user_names(
    trial: Trial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAW_CONFIG", str(tmp_path / "config.json"))
    info = trial.agent().provider_info
    tiers = info.tiers or dict(zip(("strongest", "fast"), trial.kind.models, strict=True))
    assert set(tiers) == {tier.value for tier in ModelTier}
    if not info.tiers:
        ConfigFile(path=tmp_path / "config.json", models={info.name: tiers}).write()
    trial.server.respond(echo)
    with trial.session(model=ModelTier.FAST) as session:
        session.send("one")
        session.set_model(ModelTier.STRONGEST)
        session.send("two")
    fast, strongest = trial.server.requests
    assert trial.kind.asks_for(fast, tiers["fast"])
    assert trial.kind.asks_for(strongest, tiers["strongest"])


@pytest.mark.feature("max_tokens")
def test_bound_on_an_answer_reaches_the_service(trial: Trial) -> None:
    trial.server.respond(echo)
    with trial.session(max_tokens=1234) as session:
        session.send("go")
    assert trial.server.requests[-1].body["max_tokens"] == 1234


@pytest.mark.feature("images")
@pytest.mark.feature("files")
def test_image_and_file_reach_the_model(trial: Trial) -> None:
    image = Attachment(name="dot.png", mime_type="image/png", data=PNG)
    notes = Attachment(name="notes.txt", mime_type="text/plain", data="WHAT-IS-NOTED ü".encode())
    trial.server.respond(lambda _: reply(text("seen")))
    with trial.session() as session:
        turn = session.send(Prompt(text="look", attachments=(image, notes)))
    sent = whole_body(trial.server.requests[-1])
    assert base64.b64encode(PNG).decode() in sent
    assert "WHAT-IS-NOTED ü" in sent
    assert [entry["kind"] for entry in turn.attachments] == ["image", "file"]


def answer_in(form: dict[str, object]) -> Responder:
    """Return a model that answers with *form* by the tool for it, if it is offered that."""

    def answer(request: RecordedRequest) -> Reply:
        if "StructuredOutput" in request.tools and not request.tool_results():
            return reply(call("StructuredOutput", form))
        return reply(text(json.dumps(form)))

    return answer


@pytest.mark.feature("structured")
def test_answer_has_the_form_that_was_asked_for(trial: Trial) -> None:
    trial.server.respond(answer_in({"name": "Oslo", "people": 7}))
    with trial.session() as session:
        answer = session.json("Where?", schema=City)
        trial.server.clear()
        trial.server.respond(echo)
        assert session.send("plain").result == "echo: plain"
    assert answer.value == City("Oslo", 7)
    assert answer.turn.status == "completed"


@pytest.mark.feature("structured")
def test_answer_that_never_has_the_form_is_an_error_that_keeps_it(trial: Trial) -> None:
    trial.server.respond(lambda _: reply(text("Oslo!")))
    with trial.session() as session, pytest.raises(StructuredOutputError) as caught:
        session.json("Where?", schema=City)
    assert caught.value.text == "Oslo!"
    assert caught.value.turn
    assert caught.value.turn.result == "Oslo!"


@pytest.mark.feature("cwd")
@pytest.mark.feature("env")
def test_commands_run_in_the_folder_with_the_variables(trial: Trial) -> None:
    trial.server.script(
        reply(trial.kind.run('printf "%s %s" "$PWD" "$PARITY"')), reply(text("done"))
    )
    with trial.session(env={"PARITY": "as it was given"}) as session:
        [use] = session.send("go").tool_calls
    assert use.output == f"{trial.cwd} as it was given"


@pytest.mark.feature("additional_dirs")
def test_agent_may_write_in_an_additional_folder(trial: Trial, outside: Path) -> None:
    trial.server.script(reply(trial.kind.write(outside / "made", "x")), reply(text("done")))
    with trial.session(permissions="auto-edit", additional_dirs=[outside]) as session:
        session.send("go")
    assert (outside / "made").read_text() == "x\n"
