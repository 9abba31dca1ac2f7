"""Checks of values: whatever a caw or an agent puts into a record comes out of it unchanged."""

from __future__ import annotations

import json
import shutil

import attrs
import pytest

from caw_core.blocks import TextBlock, ToolUse
from caw_core.trajectory import Trajectory
from caw_testkit.conformance.base import broken
from caw_testkit.conformance.storage_samples import (
    golden_names,
    golden_record,
    head,
    simple_turn,
    strange_turn,
)
from caw_testkit.conformance.storage_suite import StorageSuite, Store

_TEXTS = {
    "empty": "",
    "lines": "a\nb\r\nc\rd\u2028e\u2029f\x85g\n",
    "quotes": '\'; DROP TABLE turns; -- "\\" {0} %s ${x} `',
    "unicode": "Ünï \u4f60\u597d \U0001f469\u200d\U0001f4bb e\u0301 \u0639\u0631 \ufeff",
    "NUL": "before\0after\0",
    "controls": "".join(map(chr, range(32))) + "\x7f\x9b",
    "lone surrogates": "\ud800 and \udfff, the wrong way round \udc00\ud800",
    "not normalised": "\u00e9 e\u0301 \u212b \u00c5",
    "blanks": "  \t leading and trailing \t  ",
    "numbers": "00123",
    "JSON": '{"type": "turn_end", "turn_index": 0}',
}


class ValueChecks(StorageSuite):
    """Unknown blocks and members, texts of all kinds, and documents of all versions."""

    def test_unknown_blocks_and_members_survive(self, store: Store) -> None:
        """What this caw does not know belongs to a newer one, or to an agent, and must not be lost.

        Members that have the names of a storage's own columns are values like any other.
        """
        info = head(extra={"from_the_future": {"a": 1}, "turn_index": 5}, metadata={"type": "x"})
        expected = Trajectory.of(info, (strange_turn(0), strange_turn(1)))
        store.storage.write(info, *expected.turns)
        store.reopened().must_hold(expected, after="turns with unknown blocks and members")

    def test_unknown_members_survive_a_later_write(self, store: Store) -> None:
        """Going on with such a session does not take them away."""
        info = head(extra={"from_the_future": 1})
        store.storage.write(info, strange_turn(0))
        later = store.reopened()
        later.write(info, simple_turn(1))
        expected = Trajectory.of(info, (strange_turn(0), simple_turn(1)))
        later.must_hold(expected, after="a turn with unknown members and one more")

    @pytest.mark.parametrize("kind", _TEXTS)
    def test_text_comes_back(self, store: Store, kind: str) -> None:
        """Agents print anything, and every text that Python can hold is kept as it is."""
        text = _TEXTS[kind]
        call = ToolUse(id=text, name=text, arguments={text: [text]}, output=text)
        turn = simple_turn(0, input=text, output=(TextBlock(text=text), call), extra={text: text})
        expected = Trajectory.of(head(system_prompt=text, metadata={text: text}), (turn,))
        store.storage.write(expected.info, turn)
        store.reopened().must_hold(expected, after=f"a text with {kind}")

    def test_text_of_20_megabytes_comes_back(self, store: Store) -> None:
        """Tools print whole files; there is no bound on a block, a line or a turn."""
        text = "0123456789abcde\n" * (20 * 2**20 // 16)
        turn = simple_turn(0, output=(ToolUse(id="1", name="cat", output=text),))
        store.storage.write(head(), turn, simple_turn(1))
        turns = (turn, simple_turn(1))
        store.reopened().must_have_turns("session-1", turns, after="a block of 20 MB")

    @pytest.mark.parametrize("name", golden_names())
    def test_record_of_each_version_can_be_kept(self, store: Store, name: str) -> None:
        """Records of older versions are read by caw and stored again, with all that they hold."""
        expected = golden_record(name)
        info = attrs.evolve(expected.info, session_id=expected.session_id or "golden")
        expected = Trajectory.of(info, expected.turns)
        store.storage.write(info, *expected.turns)
        store.reopened().must_hold(expected, after=f"the turns of {name}")

    def test_store_of_each_older_version_loads(self, store: Store) -> None:
        """What an earlier release of the storage wrote loads for ever."""
        if self.golden_stores is None:
            pytest.skip("no 'golden_stores': keep a store of each release, see prove-a-plugin.md")
        folders = sorted(folder for folder in self.golden_stores.iterdir() if folder.is_dir())
        if not folders:
            broken(f"{self.golden_stores} holds no folder.", "Put one into it for each release.")
        for folder in folders:
            target = store.folder.with_name(f"{store.folder.name}-{folder.name}")
            shutil.copytree(folder / "store", target)
            old = Store(self, target)
            documents = json.loads((folder / "records.json").read_text(encoding="utf-8"))
            for document in documents:
                expected = Trajectory.from_dict(document)
                old.storage.must_hold(expected, after=f"opening the store of {folder.name}")
            old.release()
