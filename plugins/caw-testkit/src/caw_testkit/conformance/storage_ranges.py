"""Checks of ranges: some turns of a record, at the cost of those."""

from __future__ import annotations

import attrs
import pytest

from caw_core.blocks import TextBlock
from caw_core.storage import TurnRange
from caw_core.trajectory import Trajectory, Turn
from caw_testkit.conformance.base import broken, needs
from caw_testkit.conformance.differences import differences
from caw_testkit.conformance.storage_cost import cost_of, must_cost_the_same
from caw_testkit.conformance.storage_samples import head, running_turn, simple_turn
from caw_testkit.conformance.storage_suite import StorageSuite, Store

_RANGES = {
    "all": TurnRange(),
    "from": TurnRange(start=2),
    "until": TurnRange(stop=5),
    "from and until": TurnRange(start=1, stop=7),
    "last of a part": TurnRange(start=1, stop=7, last=2),
    "last": TurnRange(last=3),
    "more than there are": TurnRange(last=100),
    "head alone": TurnRange(last=0),
    "past the end": TurnRange(start=100),
    "nothing": TurnRange(start=5, stop=5),
    "a hole": TurnRange(start=3, stop=5),
}
_PLACES = (0, 1, 2, 5, 7, 11)
_SHORT, _LONG = 20, 400
_SIZE = 10_000
_ADVICE = "Ask the database for the turns of the range alone, by their index and with a limit."


class RangeChecks(StorageSuite):
    """``load_trajectory`` with ``turns``."""

    @needs("turn_range")
    @pytest.mark.parametrize("kind", _RANGES)
    def test_range_holds_its_turns_and_no_others(self, store: Store, kind: str) -> None:
        """Indices count, not places, and the head comes whole; a turn that runs is ``unknown``."""
        turns = _RANGES[kind]
        info = head(resume_key="key", system_prompt="Be brief.")
        ended = [simple_turn(index) for index in _PLACES]
        store.storage.write(info, *ended, running_turn(12))
        later = store.reopened()
        whole = later.record(info.session_id)
        expected = Trajectory.of(info, turns.of(whole.turns))
        found = later.load_range(info.session_id, turns)
        if found is None:
            broken(f"{turns} of a session that is there is None.", "Return its head at least.")
        wrong = differences(expected.to_dict(), found.to_dict())
        if wrong:
            broken(
                f"{turns} of the turns {_PLACES} and one that runs is another one:\n"
                + "\n".join(wrong),
                "start <= index < stop, then the last ones of those, in the order of the index.",
            )

    @needs("turn_range")
    def test_range_of_an_absent_session_is_none(self, store: Store) -> None:
        """No turns of a session and no session are not the same."""
        store.storage.write(head(), simple_turn(0))
        for turns in (TurnRange(last=0), TurnRange(start=1)):
            if store.storage.load_range("never-stored", turns) is not None:
                broken(f"{turns} of an absent session is a record.", "Return None.")

    @needs("turn_range")
    @pytest.mark.parametrize("turns", [TurnRange(last=3), TurnRange(last=0)], ids=["last", "head"])
    def test_end_of_a_record_costs_the_same_however_long_it_is(
        self, store: Store, turns: TurnRange
    ) -> None:
        """A screen shows the last turns of a session; it may not wait for all the others."""
        text = TextBlock(text="x" * _SIZE)

        def written(index: int) -> Turn:
            return attrs.evolve(simple_turn(index), output=(text,))

        store.storage.write(head(), *map(written, range(_SHORT)))
        small = cost_of(lambda: store.storage.load_range("session-1", turns))
        store.storage.write(head(), *map(written, range(_SHORT, _LONG)))
        large = cost_of(lambda: store.storage.load_range("session-1", turns))
        what = f"{turns} of a record of {_SHORT} turns and of {_LONG}"
        must_cost_the_same(small, large, what=what, advice=_ADVICE)
