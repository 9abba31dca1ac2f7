from __future__ import annotations

from typing import Any

import pytest

from caw_core import (
    Agent,
    ModelTier,
    PluginRegistry,
    get_provider_models,
    get_provider_order,
    set_provider_order,
)
from caw_core.errors import ConfigError, NotReadyError
from caw_core.events import Notice

from .band import Band, Unready, auth, failing
from .conftest import PlayedProvider


def test_explicit_order_goes_before_the_process_and_that_before_the_variable(
    band: Band, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        band.join(name)
    monkeypatch.setenv("CAW_PROVIDER", "c, b")
    assert band.agent(None).provider == "c"
    set_provider_order(["b", "a"])
    assert band.agent("auto").provider == "b"
    assert band.agent(["a", "b"]).provider == "a"
    assert band.agent("c").provider == "c"
    set_provider_order(None)
    assert (get_provider_order(), get_provider_models()) == (None, {})
    assert band.agent().provider == "a"


def test_order_keeps_the_models_that_were_given_with_it() -> None:
    try:
        set_provider_order(["a", ("b", ModelTier.FAST), ("c", "x")], models={"a": "m", "c": "y"})
        assert get_provider_order() == ["a", "b", "c"]
        assert get_provider_models() == {"a": "m", "b": ModelTier.FAST, "c": "y"}
    finally:
        set_provider_order(None)


@pytest.mark.parametrize("order", [[7], ["a", "a"], ["a", "auto"], [("a", "m", "n")], [("a", 7)]])
def test_order_that_makes_no_sense_is_refused(order: Any) -> None:
    with pytest.raises(ConfigError):
        Agent(order, registry=PluginRegistry(autoload=False))
    with pytest.raises(ConfigError):
        set_provider_order(order)


def asked(player: PlayedProvider) -> tuple[str | None, str | None]:
    request = player.sessions[-1].request
    return request.model, request.reasoning


def test_models_name_and_effort_stay_with_the_provider_they_were_given_for(band: Band) -> None:
    first = band.join("a", failing(auth))
    second = band.join("b")
    with band.agent(model="big", reasoning="ultra").start_session() as session:
        notices = [e.message for e in session.stream("x") if isinstance(e, Notice)]
    assert (asked(first), asked(second)) == (("big", "ultra"), (None, None))
    assert notices == [
        "the model 'big' was not given for b, which uses its own",
        "the effort 'ultra' was not given for b, which uses its own",
    ]
    assert (session.info.model, session.info.reasoning) == ("", "")


def test_tier_and_common_effort_go_along(band: Band) -> None:
    first = band.join("a", failing(auth), tiers={"fast": "a-mini"})
    second = band.join("b", tiers={"fast": "b-mini"})
    with band.agent(model=ModelTier.FAST, reasoning="high").start_session() as session:
        assert not [e for e in session.stream("x") if isinstance(e, Notice)]
    assert (asked(first), asked(second)) == (("a-mini", "high"), ("b-mini", "high"))
    assert session.info.model == "b-mini"


def test_model_that_was_given_for_a_provider_is_used_there(band: Band) -> None:
    first = band.join("a", failing(auth))
    second = band.join("b", tiers={"strongest": "b-max"})
    band.agent(["a", ("b", ModelTier.STRONGEST)], model="big").completion("x")
    assert (asked(first)[0], asked(second)[0]) == ("big", "b-max")
    set_provider_order(["a", "b"], models={"b": "b-2"})
    band.agent(None).completion("x")
    assert (asked(first)[0], asked(second)[0]) == (None, "b-2")
    band.agent("b", model="b-3").completion("x")
    assert asked(second)[0] == "b-3"


def test_options_of_a_provider_may_stand_under_its_name(band: Band) -> None:
    words: dict[str, Any] = {"extra_options": {"binary": "path"}}
    first = band.join("a", failing(auth), **words)
    second = band.join("b", **words)
    options = {"binary": "/a", "b": {"binary": "/b"}}
    band.agent(options=options).completion("x")
    assert first.sessions[0].request.options == {"binary": "/a"}
    assert second.sessions[0].request.options == {"binary": "/b"}


def test_unready_order_of_several_names_all_reasons(band: Band) -> None:
    band.join("a", kind=Unready)
    with pytest.raises(NotReadyError, match=r"a: no program.*b: no provider 'b' is installed"):
        band.agent().start_session()
