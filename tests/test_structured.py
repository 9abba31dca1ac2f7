"""Answers in a given form."""

from __future__ import annotations

import enum
import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import attrs
import pytest

from caw_core.errors import ConfigError, StructuredOutputError
from caw_core.events import Event, StructuredDone, TextDelta
from caw_core.structured import parse_json

if TYPE_CHECKING:
    from tests.conftest import PlayedSession, Stage


class Colour(enum.Enum):
    RED = "red"


@attrs.define
class Item:
    name: str
    price: float
    colour: Colour = Colour.RED


@attrs.define
class Order:
    items: Sequence[Item]
    note: str | None
    kind: Literal["new", "old"]
    counts: Mapping[str, int]
    done: bool = False


GOOD = '{"items": [{"name": "pen", "price": 2}], "note": null, "kind": "new", "counts": {"a": 1}}'


def saying(*answers: str) -> Callable[[PlayedSession, str], Iterator[Event]]:
    def turn(session: PlayedSession, _: str) -> Iterator[Event]:
        yield TextDelta(text=answers[len(session.prompts) - 1])

    return turn


def test_attrs_class_is_described_filled_and_checked(stage: Stage) -> None:
    with stage.agent(saying(f"Here you are:\n```json\n{GOOD}\n```")).start_session() as session:
        answer = session.json("Make an order", schema=Order)
    expected = Order(items=[Item("pen", 2.0)], note=None, kind="new", counts={"a": 1})
    assert (answer.value.items[0], answer.value.note) == (expected.items[0], None)
    (prompt,) = stage.session.prompts
    assert prompt.startswith("Make an order\n")
    assert '"required": ["items", "note", "kind", "counts"]' in prompt


def test_answer_that_does_not_fit_is_sent_back_once(stage: Stage) -> None:
    bad = GOOD.replace('"price": 2', '"price": "two"')
    with stage.agent(saying(bad, GOOD)).start_session() as session:
        answer = session.json("Make an order", schema=Order)
    assert answer.turn.index == 1
    assert "price" in stage.session.prompts[1]


def test_failure_keeps_the_text_and_the_turns(stage: Stage) -> None:
    with stage.agent(saying("no idea", "still none")).start_session() as session:
        with pytest.raises(StructuredOutputError, match="holds no JSON value") as caught:
            session.json("Make an order", schema=Order)
        assert session.trajectory.num_turns == 2
    assert caught.value.text == "still none"
    assert caught.value.turn is not None


@pytest.mark.parametrize("true", ['"false"', "1", "null"])
def test_scalars_are_strict(stage: Stage, true: str) -> None:
    answer = GOOD[:-1] + f', "done": {true}}}'
    with (
        stage.agent(saying(answer)).start_session() as session,
        pytest.raises(StructuredOutputError),
    ):
        session.json("Make an order", schema=Order, repairs=0)


def test_json_schema_is_checked_by_jsonschema(stage: Stage) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    with stage.agent(saying('{"n": "1"}', '{"n": 1}')).start_session() as session:
        assert session.json("A number?", schema=schema).value == {"n": 1}
    assert "$.n: '1' is not of type 'integer'" in stage.session.prompts[1]


def test_pydantic_model_is_filled(stage: Stage) -> None:
    pydantic = importlib.import_module("pydantic")
    model = pydantic.create_model("Number", n=(int, ...))
    with stage.agent(saying('{"n": 7}')).start_session() as session:
        assert session.json("A number?", schema=model).value.n == 7


def test_agents_own_mechanism_gets_the_schema_and_an_unchanged_prompt(stage: Stage) -> None:
    def turn(_: PlayedSession, __: str) -> Iterator[Event]:
        yield StructuredDone(value={"name": "pen", "price": 1.5})

    info = {"capabilities": frozenset({"structured"})}
    with stage.agent(turn, info=info).start_session() as session:
        answer = session.json("An item", schema=Item)
    assert answer.value == Item("pen", 1.5)
    assert answer.turn.structured == {"name": "pen", "price": 1.5}
    assert stage.session.prompts == ["An item"]


@pytest.mark.parametrize("schema", [int, "object", {"type": "nonsense"}])
def test_schema_that_is_none_is_refused_before_anything_is_sent(stage: Stage, schema: Any) -> None:
    with stage.agent(saying("x")).start_session() as session:
        with pytest.raises(ConfigError):
            session.json("?", schema=schema)
        assert stage.session.prompts == []


@pytest.mark.parametrize("repairs", [-1, "x", 1.5, True, None])
def test_number_of_repairs_that_is_none_is_refused_before_anything_is_sent(
    stage: Stage, repairs: Any
) -> None:
    with stage.agent().start_session() as session:
        with pytest.raises(ConfigError, match="repairs is a whole number not below 0"):
            session.json("x", schema={"type": "object"}, repairs=repairs)
        assert stage.session.prompts == []


@pytest.mark.parametrize(
    ("text", "value"),
    [("[1]", [1]), (' {"a": "}"} ', {"a": "}"}), ('So [x: {"b": 2} ok', {"b": 2}), ("3", 3)],
)
def test_json_is_found_in_text(text: str, value: Any) -> None:
    assert parse_json(text) == value
