"""`Store`: what can be done with records without an agent, against the default storage."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

from caw_core import SessionInfo, Turn
from caw_core.blocks import TextBlock
from caw_core.copying import Copied
from caw_core.errors import ConfigError, SessionBusyError, StorageError, UnsupportedError
from caw_core.storage import SearchQuery, SessionQuery, TurnRange
from caw_core.store import Store


def url(folder: Path) -> str:
    return folder.absolute().as_uri().replace("file:", "jsonl:", 1)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(url(tmp_path / "records"))


def write(store: Store, session_id: str, *turns: Turn, **head: Any) -> SessionInfo:
    info = SessionInfo(**{"session_id": session_id, "provider": "echo"} | head)
    (sink,) = store.records.storages
    with store.leased(session_id):
        store.records.persist_session(sink, info)
        for turn in turns:
            store.records.persist_turn(sink, info, turn, 1)
    return info


def turn(index: int = 0, said: str = "", answer: str = "") -> Turn:
    output = (TextBlock(text=answer),) if answer else ()
    return Turn(index=index, input=said or f"prompt {index}", output=output)


def ids(store: Store, **query: Any) -> list[str]:
    return [each.info.session_id for each in store.sessions(SessionQuery(**query))]


def test_store_without_a_storage_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs a storage"):
        Store()


def test_range_of_turns_is_read(store: Store) -> None:
    write(store, "s", *(turn(index) for index in range(30)))
    loaded = store.load("s", TurnRange(last=3))
    assert loaded is not None
    assert [each.index for each in loaded.turns] == [27, 28, 29]
    head = store.load("s", TurnRange(last=0))
    assert head is not None
    assert (head.session_id, head.turns) == ("s", ())
    assert store.load("none") is None


@pytest.mark.parametrize("given", [{"start": -1}, {"last": "3"}, {"stop": True}, {"start": None}])
def test_range_that_makes_no_sense_is_refused(given: Any) -> None:
    with pytest.raises(ConfigError, match=r"TurnRange\("):
        TurnRange(**given)


def test_sessions_are_yielded_from_all_pages(store: Store) -> None:
    for number in range(5):
        write(store, f"s{number}", turn())
    assert ids(store, limit=2) == ["s4", "s3", "s2", "s1", "s0"]

    async def collect() -> list[str]:
        query = SessionQuery(limit=2)
        return [each.info.session_id async for each in store.sessions_async(query)]

    assert asyncio.run(collect()) == ids(store)


def test_words_are_found_in_prompts_and_answers(store: Store) -> None:
    write(store, "a", turn(0, "Fix the Flaky test"), turn(1, answer="Nothing else was flaky."))
    write(store, "b", turn(0, "another"))
    page = store.search("FLAKY")
    assert [(hit.info.session_id, hit.turn) for hit in page.hits] == [("a", 0), ("a", 1)]
    assert "Flaky" in page.hits[0].snippet
    first = store.search(SearchQuery(text="flaky", limit=1))
    second = store.search(SearchQuery(text="flaky", limit=1, cursor=first.next_cursor))
    assert [hit.turn for hit in (*first.hits, *second.hits)] == [0, 1]
    assert not second.next_cursor
    assert not store.search("flaky another").hits


def test_search_for_nothing_is_refused(store: Store) -> None:
    with pytest.raises(ConfigError, match="empty"):
        store.search(" ")


def test_metadata_and_tags_are_changed_later(store: Store) -> None:
    write(store, "s", turn(), metadata={"kept": 1, "changed": 1})
    store.annotate("s", metadata={"changed": [2]}, tags=["a", "b", "a"])
    loaded = store.load("s")
    assert loaded is not None
    assert loaded.metadata == {"kept": 1, "changed": [2]}
    assert (loaded.tags, loaded.num_turns) == (("a", "b"), 1)
    store.annotate("s", tags=[])
    assert store.load("s", TurnRange(last=0)).tags == ()  # type: ignore[union-attr]  # it is there


@pytest.mark.parametrize("tags", ["word", [1], [""]])
def test_tags_that_are_no_words_are_refused(store: Store, tags: Any) -> None:
    write(store, "s", turn())
    with pytest.raises(ConfigError, match="tags"):
        store.annotate("s", tags=tags)


def test_session_that_is_open_cannot_be_changed_from_outside(store: Store, stage: Any) -> None:
    agent = stage.agent(storage=[store.records.storages[0]._plugin])
    with agent.start_session() as session:
        with pytest.raises(SessionBusyError):
            store.annotate(session.session_id, tags=["x"])
        session.annotate(tags=["x"], metadata={"n": 1})
        assert (session.tags, session.metadata) == (("x",), {"n": 1})
        loaded = store.load(session.session_id)
        assert loaded is not None
        assert (loaded.tags, loaded.metadata) == (("x",), {"n": 1})
    store.annotate(session.session_id, tags=["y"])


def test_session_that_does_not_exist_cannot_be_changed(store: Store) -> None:
    with pytest.raises(ConfigError, match="no storage has"):
        store.annotate("s", tags=["x"])
    assert ids(store) == []


def test_prune_deletes_what_is_old_and_keeps_the_newest(store: Store, tmp_path: Path) -> None:
    for number in range(5):
        write(store, f"s{number}", turn())
    assert store.prune(older_than=timedelta(days=1)).deleted == ()
    dry = store.prune(older_than=timedelta(), keep=2, dry_run=True)
    assert dry.deleted == ("s2", "s1", "s0")
    assert len(ids(store)) == 5
    with store.leased("s1"):
        report = Store(url(tmp_path / "records")).prune(keep=2)
    assert (report.deleted, report.busy) == (("s2", "s0"), ("s1",))
    assert ids(store) == ["s4", "s3", "s1"]


@pytest.mark.parametrize("given", [{}, {"keep": -1}, {"older_than": timedelta(days=-1)}])
def test_prune_of_everything_by_mistake_is_refused(store: Store, given: Any) -> None:
    write(store, "s", turn())
    with pytest.raises(ConfigError, match="prune"):
        store.prune(**given)
    assert ids(store) == ["s"]


def test_copy_brings_everything_in_the_same_order_and_goes_on(store: Store, tmp_path: Path) -> None:
    for number in range(4):
        write(store, f"s{number}", turn(0), turn(1, answer="é\0\ud800"), tags=("t",))
    target = Store(url(tmp_path / "copy"))
    # Broken off after two, as a copy that was killed.
    told: list[Copied] = []

    class BrokenOffError(Exception):
        pass

    def stop(each: Copied) -> None:
        told.append(each)
        if len(told) == 2:
            raise BrokenOffError

    with pytest.raises(BrokenOffError):
        store.copy_to(target, told=stop)
    results = store.copy_to(target)
    assert [each.outcome for each in results] == ["same", "same", "copied", "copied"]
    assert ids(target) == ids(store)
    assert all(target.load(name) == store.load(name) for name in ids(store))


def test_copy_goes_on_with_a_session_that_has_grown(store: Store, tmp_path: Path) -> None:
    info = write(store, "s", turn(0))
    target = Store(url(tmp_path / "copy"))
    store.copy_to(target)
    write(store, "s", turn(1), metadata={"new": True})
    (result,) = store.copy_to(target)
    assert result.outcome == "copied"
    assert target.load("s") == store.load("s")
    assert info.session_id == "s"


def test_copy_leaves_a_target_with_other_turns_alone(store: Store, tmp_path: Path) -> None:
    write(store, "s", turn(0))
    target = Store(url(tmp_path / "copy"))
    write(target, "s", turn(0, "other"), turn(1))
    (result,) = store.copy_to(target)
    assert result.outcome == "differs"
    before = target.load("s")
    assert before is not None
    assert before.num_turns == 2
    (result,) = store.copy_to(target, replace=True)
    assert result.outcome == "copied"
    assert target.load("s") == store.load("s")


def test_copy_tells_what_is_busy_and_what_is_not_there(store: Store, tmp_path: Path) -> None:
    write(store, "s", turn(0))
    target = Store(url(tmp_path / "copy"))
    with Store(url(tmp_path / "copy")).leased("s"):
        results = store.copy_to(target, ["s", "none"])
    assert [(each.session_id, each.outcome) for each in results] == [
        ("s", "busy"),
        ("none", "failed"),
    ]


def test_copy_of_one_id_that_is_no_sequence_is_refused(store: Store, tmp_path: Path) -> None:
    write(store, "s", turn(0))
    with pytest.raises(ConfigError, match="sequence of ids"):
        store.copy_to(Store(url(tmp_path / "copy")), "s")


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("load", ("x", 3)),
        ("list", ("abc",)),
        ("search", (3,)),
        ("copy_to", ("jsonl:x",)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_argument_of_another_type_is_refused_by_name(
    store: Store, method: str, arguments: Any
) -> None:
    with pytest.raises(ConfigError, match=r"(turns|query|target) is a \w+, not"):
        getattr(store, method)(*arguments)


def test_copy_to_a_target_that_is_down_tries_nothing(store: Store, tmp_path: Path) -> None:
    down = tmp_path / "down"
    down.write_text("no folder")
    told: list[object] = []
    with pytest.raises(StorageError):
        store.copy_to(Store(f"jsonl://{down}"), told=told.append)
    assert told == []


def test_storage_that_cannot_list_says_so(memory: Any) -> None:
    with pytest.raises(UnsupportedError, match="cannot list"):
        Store(memory).list()


def test_twins_do_the_same(store: Store, tmp_path: Path) -> None:
    write(store, "s", turn(0, "words"))

    async def use() -> Iterator[Any]:
        return iter(
            (
                await store.load_async("s") == store.load("s"),
                (await store.list_async()).sessions[0].info.session_id == "s",
                len((await store.search_async("words")).hits) == 1,
                (await store.annotate_async("s", tags=["x"])).tags == ("x",),
                (await store.copy_to_async(Store(url(tmp_path / "b"))))[0].outcome == "copied",
                (await store.prune_async(keep=1)).deleted == (),
                await store.delete_async("s"),
            )
        )

    assert all(asyncio.run(use()))
    assert not store.delete("s")


def test_fork_of_a_session_can_be_read_after_its_parent_was_deleted(
    store: Store, stage: Any
) -> None:
    agent = stage.agent(
        storage=[store.records.storages[0]._plugin],
        info={"capabilities": frozenset({"record_resume"})},
    )
    with agent.start_session() as parent:
        parent.send("one")
        with parent.fork() as child:
            child.send("two")
        parent.send("three")
    store.delete(parent.session_id)
    loaded = store.load(child.session_id)
    assert loaded is not None
    assert [each.input for each in loaded.turns] == ["one", "two"]
    assert attrs.asdict(loaded)["forked_from"] == parent.session_id
