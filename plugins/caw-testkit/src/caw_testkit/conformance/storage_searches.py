"""Checks of searching: words in prompts and answers, whatever characters somebody types."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import attrs
import pytest

from caw_core.blocks import TextBlock, ThinkingBlock, ToolUse
from caw_core.errors import ConfigError
from caw_core.storage import SearchPage, SearchQuery
from caw_testkit.conformance.base import broken, needs
from caw_testkit.conformance.storage_samples import head, simple_turn
from caw_testkit.conformance.storage_suite import StorageSuite, Store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from caw_testkit.conformance.storage_opened import OpenedStorage

_FOUND: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "one word": ("please fix the parser today", "parser"),
        "any order": ("please fix the parser today", "today fix"),
        "any case": ("Please fix the PARSER today", "please pArSeR"),
        "line breaks": ("fix\nthe\r\n\tparser", "the  parser\n"),
        "punctuation around": ("Fix (the parser), now!", "parser now"),
        "capitals in unicode": (
            "der \u00dcberl\u00e4ufer \u041e\u0448\u0438\u0431\u043a\u0430",
            "\u00fcBERL\u00c4UFER \u043e\u0448\u0438\u0431\u043a\u0430",
        ),
        "Chinese words": ("\u4fee\u590d \u6d4b\u8bd5 \u5931\u8d25", "\u6d4b\u8bd5"),
        "accents": ("le caf\u00e9 ferm\u00e9", "caf\u00e9"),
        "file name": ("look at src/foo_bar.py please", "src/foo_bar.py"),
        "signs": ("port it from C++ to C# at 100% of e-mail@example.com", "C++ 100%"),
        "apostrophe": ("don't do it", "don't"),
        "operators that are words": ("this or that and not near", "or and not near"),
        "number": ("issue 4711 is open", "4711"),
        "characters that no text should have": ("be\ud800fore \0 the parser", "parser"),
    }
)
"""What each kind is about: a prompt, and words by which it must be found."""

_SYNTAX = (
    '" OR *', "zebra OR parser", "parser AND zebra", "NOT zebra", "zebra*", "zebra -parser",
    "prompt:zebra", "zebra) OR (parser", "NEAR(zebra parser)", "{zebra} : parser", '"zebra',
    "'zebra'; DROP TABLE turns; --", "zebra\\", "zebra\\%", "^zebra", "zebra | parser",
    "zebra & parser:*", "!zebra", "zebra <-> parser", "@prompt:{zebra}", "zebra \0 parser",
    "zebra\ud800", "zebra' OR '1'='1", "+zebra", "zebra?", "[zebra]", "zebra.*", "$zebra", ":zebra",
)  # fmt: skip
"""Each has a word of no turn, so that it can only be found by whoever takes signs for commands."""

_SIGNS = ('"', "*", "%", "_", "' OR '1'='1' --", "\\", "()", "\0", "\ud800", "-", ":*", "\u3000!")
_HITS = 7


class SearchChecks(StorageSuite):
    """``search_sessions``."""

    @needs("search_sessions")
    @pytest.mark.parametrize("kind", _FOUND)
    def test_words_of_a_turn_are_found(self, store: Store, kind: str) -> None:
        """In the prompt as in the answer, whole words at least, in any order and case."""
        text, words = _FOUND[kind]
        answer = (TextBlock(text=text),)
        store.storage.write(head("a"), simple_turn(0, input=text), simple_turn(1))
        store.storage.write(head("b"), simple_turn(3), simple_turn(4, output=answer))
        _must_find(store.reopened(), words, ("a", 0), ("b", 4))

    @needs("search_sessions")
    def test_all_words_are_in_one_turn(self, store: Store) -> None:
        """Some in its prompt and others in its answer will do, some in the next one will not."""
        texts = {"a": ("alpha", "beta"), "b": ("alpha", ""), "c": ("alpha", "alpha")}
        for name, (prompt, answer) in texts.items():
            output = (TextBlock(text="well"), TextBlock(text=answer))
            store.storage.write(head(name), simple_turn(0, input=prompt, output=output))
        store.storage.write(head("b"), simple_turn(1, input="beta"))
        later = store.reopened()
        _must_find(later, "beta alpha", ("a", 0))
        _must_find(later, "alpha", ("a", 0), ("b", 0), ("c", 0))
        _must_find(later, "alpha gamma")

    @needs("search_sessions")
    def test_only_prompts_and_answers_count(self, store: Store) -> None:
        """What tools print, and what nobody was told, would bury what somebody remembers."""
        call = ToolUse(id="1", name="needle", arguments={"needle": "needle"}, output="needle")
        output = (call, ThinkingBlock(text="needle"), TextBlock(text="done"))
        info = head("a", system_prompt="needle", metadata={"needle": "needle"}, tags=("needle",))
        turn = simple_turn(0, output=output, structured={"needle": "needle"})
        store.storage.write(info, turn)
        later = store.reopened()
        _must_find(later, "needle")
        _must_find(later, "done", ("a", 0))

    @needs("search_sessions")
    def test_text_of_a_turn_that_was_replaced_is_not_found(self, store: Store) -> None:
        """What a turn said while it ran counts no more once it says something else."""
        first = simple_turn(0, input="earlier", output=(TextBlock(text="draft"),))
        running = attrs.evolve(first, status="running", stop_reason=None)
        store.storage.write(head("a"), running, first)
        store.storage.write(head("a"), simple_turn(0, input="later", output=()), simple_turn(1))
        later = store.reopened()
        _must_find(later, "earlier")
        _must_find(later, "draft")
        _must_find(later, "later", ("a", 0))

    @needs("search_sessions", "delete_session")
    def test_deleted_session_is_not_found(self, store: Store) -> None:
        """Nor is it once its name has been given to another."""
        for name in ("a", "b"):
            store.storage.write(head(name), simple_turn(0, input="needle"))
        store.release()
        store.storage.delete("a")
        _must_find(store.reopened(), "needle", ("b", 0))
        store.storage.write(head("a"), simple_turn(0))
        _must_find(store.reopened(), "needle", ("b", 0))

    @needs("search_sessions")
    @pytest.mark.parametrize("text", _SYNTAX, ids=ascii)
    def test_signs_are_no_commands(self, store: Store, text: str) -> None:
        """People type anything, and an operator of a database would find what has not the words."""
        turn = simple_turn(0, input="fix the parser", output=(TextBlock(text="not near it"),))
        store.storage.write(head("a"), turn)
        later = store.reopened()
        _must_find(later, text)
        later.must_have_turns("a", [turn], after=f"searching {text!a}")

    @needs("search_sessions")
    @pytest.mark.parametrize("text", _SIGNS, ids=ascii)
    def test_signs_alone_are_no_error(self, store: Store, text: str) -> None:
        """Whether they find anything is the storage's own affair."""
        store.storage.write(head("a"), simple_turn(0))
        _pages(store.reopened(), SearchQuery(text=text))

    @needs("search_sessions")
    def test_hits_come_page_by_page(self, store: Store) -> None:
        """Each turn once, also those of one session."""
        for number in range(_HITS):
            name = f"s{number // 2}"
            store.storage.write(head(name), simple_turn(number, input=f"the needle {number}"))
        expected = [(f"s{number // 2}", number) for number in range(_HITS)]
        for limit in (1, 3, _HITS, 50):
            _must_find(store.reopened(), "needle", *expected, limit=limit)

    @needs("search_sessions")
    def test_only_turns_of_one_provider(self, store: Store) -> None:
        """The filter counts before the limit does, and pages go on with it."""
        for number in range(_HITS):
            info = head(f"s{number}", provider="codex" if number % 2 else "echo")
            store.storage.write(info, simple_turn(0, input="needle"))
        later = store.reopened()
        for limit in (1, 50):
            expected = [(f"s{number}", 0) for number in (1, 3, 5)]
            _must_find(later, "needle", *expected, limit=limit, provider="codex")
        _must_find(later, "needle", provider="code")

    @needs("search_sessions")
    def test_hit_shows_where_it_is(self, store: Store) -> None:
        """The session's head as it is now, and the text around the first of the words."""
        text = "x " * 3000 + "\nthe\tNeedle in\r\nit " + "y " * 3000
        store.storage.write(head("a"), simple_turn(0, input=text))
        info = head("a", resume_key="key", tags=("t",))
        store.storage.write(info, simple_turn(1))
        page = store.reopened().search(SearchQuery(text="needle it"))
        (hit,) = page.hits
        if hit.info != info:
            broken(f"The hit's head is {hit.info!r:.300}.", "Give the head as it was last stored.")
        snippet = hit.snippet
        if (
            "needle" not in snippet.casefold()
            or snippet.splitlines() != [snippet]
            or (len(snippet) > len(text) // 4)
        ):
            broken(
                f"The snippet is {snippet!r:.300}.",
                "Give a line of text around the first of the words that occurs.",
            )

    @needs("search_sessions")
    def test_empty_store_has_no_hits(self, store: Store) -> None:
        """Nothing is there, and nothing is made by looking."""
        page = store.storage.search(SearchQuery(text="needle"))
        if page != SearchPage():
            broken(f"An empty store finds {page!r:.200}.", "Return SearchPage().")

    @needs("search_sessions")
    def test_cursor_of_another_search_is_refused(self, store: Store) -> None:
        """A cursor that cannot be read is a mistake, not the first or an empty page."""
        store.storage.write(head("a"), simple_turn(0, input="needle"))
        for cursor in ("later", "-", "\ud800", "0' OR '1'='1"):
            try:
                page = store.storage.search(SearchQuery(text="needle", cursor=cursor))
            except ConfigError:
                continue
            broken(f"The cursor {cursor!r} gave {page!r:.200}.", "Raise ConfigError.")


def _must_find(
    storage: OpenedStorage,
    text: str,
    *expected: tuple[str, int],
    limit: int = 50,
    provider: str = "",
) -> None:
    found = _pages(storage, SearchQuery(text=text, limit=limit, provider=provider))
    if sorted(found) != sorted(expected):
        broken(
            f"Searching {text!a} in pages of {limit} found {found}, expected {[*expected]}.",
            "Split the text at blanks into words, pass each as a quoted word and a bound value, "
            "and find the turns whose prompt and answer together have all of them.",
        )


def _pages(storage: OpenedStorage, query: SearchQuery) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    for _ in range(_HITS + 2):
        page = storage.search(query)
        if len(page.hits) > query.limit:
            broken(f"A page of {query.limit} has {len(page.hits)} hits.", "Keep the limit.")
        found += [(hit.info.session_id, hit.turn) for hit in page.hits]
        if not page.next_cursor:
            break
        query = attrs.evolve(query, cursor=page.next_cursor)
    else:
        broken("The pages of a search do not end.", "Leave next_cursor empty on the last page.")
    return found
