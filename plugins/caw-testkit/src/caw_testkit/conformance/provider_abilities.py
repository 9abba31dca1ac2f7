"""Checks of what a provider can do besides turns; each is skipped unless it is declared."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, cast

from caw_core import Attachment, Prompt
from caw_core.events import Steered, StructuredDone
from caw_testkit.conformance.base import broken, needs
from caw_testkit.conformance.provider_stage import Stage, kinds, said
from caw_testkit.conformance.provider_suite import ProviderSuite
from caw_testkit.conformance.provider_turns import demand_grammar

if TYPE_CHECKING:
    from pathlib import Path

    from caw_core.provider import SteerableSession

SCHEMA = {
    "type": "object",
    "properties": {"fruit": {"type": "string"}},
    "required": ["fruit"],
    "additionalProperties": False,
}


def _png() -> bytes:
    """Return a white picture of eight by eight pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    head = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    rows = zlib.compress((b"\0" + b"\xff" * 24) * 8)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


class AbilityChecks(ProviderSuite):
    """Steering, forks, models, forms and attachments."""

    @needs("steer")
    def test_message_is_delivered_into_the_running_turn(self, stage: Stage, tmp_path: Path) -> None:
        """A word in time saves a turn: it must not wait for the turn's end."""
        session = stage.start()
        # While a tool runs, where that can be: some agents take messages at no other time.
        if stage.can("run_command"):
            followed = stage.busy(session, tmp_path, "true", "sleep 600")
        else:
            followed = stage.stalled(session)
        receipt = session.steer("rather pears")
        session.interrupt()
        followed.to_end()
        steered = [event.text for event in followed.events if isinstance(event, Steered)]
        if receipt.outcome != "delivered" or steered != ["rather pears"]:
            broken(
                f"the message was {receipt.outcome} ({receipt.reason}); {kinds(followed.events)}",
                "let steer() return True when the running turn has taken the message",
            )

    @needs("steer")
    def test_message_between_turns_is_not_taken(self, stage: Stage) -> None:
        """What comes too late must be told, or it is lost."""
        session = stage.start()
        stage.answered(session)
        steerable = cast("SteerableSession", stage.recorder.sessions[-1])
        if steerable.steer(Prompt(text="too late")):
            broken("a message was taken while no turn ran", "return False from steer() then")
        stage.answered(session, "medlar")

    @needs("fork")
    def test_fork_begins_with_the_history_and_goes_its_own_way(self, stage: Stage) -> None:
        """Two attempts from one point must not disturb each other."""
        session = stage.start()
        first = stage.step("answer", "quince")
        stage.completed(session, first)
        fork = stage.keep(session.fork())
        stage.answered(fork, "medlar")
        if stage.can("recall"):
            text = first if isinstance(first, str) else first.text
            recalled = said(stage.completed(fork, stage.step("recall")).events)
            if text not in recalled:
                broken(
                    f"the fork does not know {text!r}; it knows {recalled!r:.300}",
                    "let the fork begin with the whole history of its origin",
                )
        stage.answered(session, "damson")
        if fork.resume_handle == session.resume_handle:
            broken("fork and origin have one resume key", "give the fork a conversation of its own")

    @needs("import_history")
    def test_new_conversation_knows_a_history_that_it_is_given(self, stage: Stage) -> None:
        """A conversation that is handed over goes on where it was, and is told in no prompt."""
        session = stage.start()
        first = stage.step("answer", "quince")
        stage.completed(session, first)
        handed = stage.keep(session.handoff(session.provider, how="native").session)
        stage.answered(handed, "medlar")
        if stage.can("recall"):
            text = first if isinstance(first, str) else first.text
            recalled = said(stage.completed(handed, stage.step("recall")).events)
            if text not in recalled:
                broken(
                    f"the new conversation does not know {text!r}; it knows {recalled!r:.300}",
                    "begin the conversation with StartRequest.history",
                )

    @needs("models")
    def test_models_are_listed_without_cost(self, stage: Stage) -> None:
        """A list to choose from costs nothing."""
        before = stage.script.spent()
        models = stage.start().models()
        names = [model.name for model in models]
        defaults = [model.name for model in models if model.is_default]
        if not all(names) or len(set(names)) != len(names) or not names or len(defaults) > 1:
            broken(
                f"the models are {names}, those by default {defaults}",
                "list each model once, by the name that set_model() takes, one at most by default",
            )
        if stage.script.spent() != before:
            broken("listing the models spent tokens", "ask the agent, not its model")

    @needs("set_model")
    def test_model_can_be_changed_between_turns(self, stage: Stage) -> None:
        """The next turn has the new model, and the conversation goes on."""
        session = stage.start()
        stage.answered(session)
        chosen = session.models()[-1].name if "models" in self.capabilities else "other"
        session.set_model(chosen)
        stage.answered(session, "medlar")
        if session.trajectory.model != chosen:
            broken(
                f"{chosen!r} was chosen, the record says {session.trajectory.model!r}",
                "do not raise from set_model() for a model that models() lists",
            )

    @needs("structured")
    def test_answer_has_the_form_that_was_asked_for(self, stage: Stage) -> None:
        """Programs read such answers, so they come as values."""
        session = stage.start()
        prompt = stage.step("structured", {"fruit": "quince"})
        text = prompt if isinstance(prompt, str) else prompt.text
        followed = stage.completed(session, Prompt(text=text, output_schema=SCHEMA))
        demand_grammar(stage, followed)
        values = [event.value for event in followed.events if isinstance(event, StructuredDone)]
        if len(values) != 1 or not isinstance(values[0], dict) or set(values[0]) != {"fruit"}:
            broken(
                f"the agent answered in the form that was asked for; values: {values!r}",
                "yield one StructuredDone for a prompt with an output_schema",
            )

    @needs("images")
    def test_image_goes_with_a_prompt(self, stage: Stage) -> None:
        """A picture is taken, and the record says which."""
        self._attach(stage, Attachment(name="white.png", mime_type="image/png", data=_png()))

    @needs("files")
    def test_file_goes_with_a_prompt(self, stage: Stage) -> None:
        """A file is taken, and the record says which."""
        self._attach(stage, Attachment(name="note.txt", mime_type="text/plain", data=b"a note\n"))

    @staticmethod
    def _attach(stage: Stage, attachment: Attachment) -> None:
        session = stage.start()
        prompt = stage.step("answer", "quince")
        text = prompt if isinstance(prompt, str) else prompt.text
        followed = stage.completed(session, Prompt(text=text, attachments=(attachment,)))
        demand_grammar(stage, followed)
        if "quince" not in said(followed.events):
            broken(
                f"with {attachment.name} the agent said {said(followed.events)!r:.300}",
                "send the prompt's text as well as what goes with it",
            )
