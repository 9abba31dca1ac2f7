"""Storages that find too much or too little, and ranges that are none."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import attrs
from tests.breaking import breaks
from tests.reference_storage import Reference

from caw_core import hookimpl
from caw_core.errors import ConfigError, StorageError
from caw_core.storage import SearchHit, SearchPage, SearchQuery, TurnRange
from caw_core.trajectory import SessionInfo, Trajectory, Turn

if TYPE_CHECKING:
    from pathlib import Path


@breaks("words_of_a_turn_are_found", "all_words_are_in_one_turn")
class SearchesPromptsAlone(Reference):
    def text_of(self, turn: Turn) -> str:
        return turn.input


@breaks("words_of_a_turn_are_found")
class TellsCapitalsApart(Reference):
    def has_words(self, text: str, words: list[str]) -> bool:
        return all(word in text for word in words)


@breaks("words_of_a_turn_are_found")
class SearchesThePhrase(Reference):
    def words_of(self, text: str) -> list[str]:
        return [text.casefold()]


@breaks("all_words_are_in_one_turn")
class FindsAnyWord(Reference):
    def has_words(self, text: str, words: list[str]) -> bool:
        return any(word in text.casefold() for word in words)


@breaks("only_prompts_and_answers_count")
class SearchesDocuments(Reference):
    def text_of(self, turn: Turn) -> str:
        return str(turn.to_dict())


class _WithTexts(Reference):
    """Keeps the texts by which turns are found in a table of their own."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        # A store that cannot be reached is what other checks are about.
        if folder.is_dir():
            with self.database() as database:
                database.execute("CREATE TABLE IF NOT EXISTS texts (session, place, text)")

    def write_turn(
        self, database: sqlite3.Connection, session_id: str, turn: Turn, attempt: int
    ) -> None:
        super().write_turn(database, session_id, turn, attempt)
        row = (session_id, turn.index, self.text_of(turn))
        database.execute("INSERT INTO texts VALUES (?, ?, ?)", row)

    @hookimpl
    def search_sessions(self, query: SearchQuery) -> SearchPage:
        words = self.words_of(query.text)
        with self.database() as database:
            rows = database.execute("SELECT session, place, text FROM texts").fetchall()
        found = {(name, place) for name, place, text in rows if self.has_words(text, words)}
        hits = [
            SearchHit(info=SessionInfo(session_id=name, provider=""), turn=place)
            for name, place in sorted(found)
        ]
        return SearchPage(hits=tuple(hits))


@breaks("text_of_a_turn_that_was_replaced_is_not_found", "deleted_session_is_not_found")
class FindsWhatWasSaidBefore(_WithTexts):
    pass


@breaks("signs_are_no_commands", "signs_alone_are_no_error")
class TakesSignsForCommands(Reference):
    @hookimpl
    def search_sessions(self, query: SearchQuery) -> SearchPage:
        with self.database() as database:
            database.execute("CREATE VIRTUAL TABLE fts USING fts5 (session, place, text)")
            for session_id, *_ in database.execute("SELECT session FROM heads").fetchall():
                for text in self.rows(database, session_id, TurnRange()):
                    (turn,) = self.read_turn(text)
                    row = (session_id, turn.index, self.text_of(turn))
                    database.execute("INSERT INTO fts VALUES (?, ?, ?)", row)
            select = "SELECT session, place FROM fts WHERE fts MATCH ?"
            rows = database.execute(select, (query.text,)).fetchall()
            hits = [
                SearchHit(info=SessionInfo(session_id=name, provider=""), turn=place)
                for name, place in rows
            ]
            database.execute("DROP TABLE fts")
        return SearchPage(hits=tuple(hits))


@breaks("signs_alone_are_no_error")
class RefusesSigns(Reference):
    def words_of(self, text: str) -> list[str]:
        if not any(map(str.isalnum, text)):
            raise StorageError("syntax error near the end")
        return super().words_of(text)


@breaks("hits_come_page_by_page")
class ShowsOnePage(Reference):
    @hookimpl
    def search_sessions(self, query: SearchQuery) -> SearchPage:
        return attrs.evolve(super().search_sessions(query), next_cursor="")


@breaks("hits_come_page_by_page")
class FindsOneTurnOfASession(Reference):
    @hookimpl
    def search_sessions(self, query: SearchQuery) -> SearchPage:
        page = super().search_sessions(query)
        one = {hit.info.session_id: hit for hit in page.hits}
        return attrs.evolve(page, hits=tuple(one.values()))


@breaks("only_turns_of_one_provider")
class SearchesAllProviders(Reference):
    def right_provider(self, hit: SearchHit, query: SearchQuery) -> bool:
        return hit.info.provider.startswith(query.provider)


@breaks("hit_shows_where_it_is")
class ShowsTheBeginning(Reference):
    def snippet_of(self, text: str, words: list[str]) -> str:
        return " ".join(text[:100].split())


@breaks("hit_shows_where_it_is")
class ShowsTheWholeText(Reference):
    def snippet_of(self, text: str, words: list[str]) -> str:
        return text


@breaks("empty_store_has_no_hits")
class GoesOnWhereNothingIs(Reference):
    @hookimpl
    def search_sessions(self, query: SearchQuery) -> SearchPage:
        page = super().search_sessions(query)
        return page if page.hits else attrs.evolve(page, next_cursor="1")


@breaks("cursor_of_another_search_is_refused")
class SearchesFromAnyCursor(Reference):
    def place_of(self, cursor: str) -> int:
        try:
            return super().place_of(cursor)
        except ConfigError:
            return 0


# ----------------------------------------------------------------------------------------- ranges


@breaks("range_holds_its_turns_and_no_others")
class PassesOverTheRange(Reference):
    @hookimpl
    def load_trajectory(self, session_id: str, turns: TurnRange | None) -> Trajectory | None:
        return super().load_trajectory(session_id, None)


@breaks("range_holds_its_turns_and_no_others")
class CountsPlacesInstead(Reference):
    @hookimpl
    def load_trajectory(self, session_id: str, turns: TurnRange | None) -> Trajectory | None:
        found = super().load_trajectory(session_id, None)
        if found is None or turns is None:
            return found
        some = found.turns[turns.start : turns.stop]
        last = len(some) if turns.last is None else turns.last
        return attrs.evolve(found, turns=some[max(0, len(some) - last) :])


@breaks("range_of_an_absent_session_is_none")
class HasAHeadForEverybody(Reference):
    @hookimpl
    def load_trajectory(self, session_id: str, turns: TurnRange | None) -> Trajectory | None:
        found = super().load_trajectory(session_id, turns)
        return found if found or turns is None else Trajectory(session_id=session_id, provider="")


@breaks("end_of_a_record_costs_the_same_however_long_it_is")
class ReadsAllAndCuts(Reference):
    @hookimpl
    def load_trajectory(self, session_id: str, turns: TurnRange | None) -> Trajectory | None:
        found = super().load_trajectory(session_id, None)
        if found is None or turns is None:
            return found
        return attrs.evolve(found, turns=turns.of(found.turns))
