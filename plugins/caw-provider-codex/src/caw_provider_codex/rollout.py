"""What codex's own files say of a conversation that its protocol does not: what was used.

A conversation is a file ``sessions/YYYY/MM/DD/rollout-TIME-ID.jsonl`` in ``CODEX_HOME``, or below
``archived_sessions``; the members read here are those that codex 0.169.0 writes.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from caw_core.json_fields import count, mapping, text
from caw_core.usage import UsageStats

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from caw_core.blocks import JSON

_STORES: Final = ("sessions", "archived_sessions")


def find_rollout(home: Path, thread_id: str) -> Path | None:
    """Return the file of a conversation, or None if *home* has none.

    Args:
        home: the folder that ``CODEX_HOME`` names.
        thread_id: the conversation.
    """
    for store in _STORES:
        for file in (home / store).rglob("rollout-*.jsonl"):
            if file.stem.endswith(thread_id):
                return file
    return None


def usage_by_turn(file: Path) -> dict[str, UsageStats]:
    """Return what each turn used, by codex's id of the turn; empty where the file does not say."""
    used: dict[str, UsageStats] = {}
    for kind, payload in _entries(file, b"token_usage_record"):
        if kind == "token_usage_record":
            turn = text(payload, "turn_id")
            used[turn] = used.get(turn, UsageStats()) + usage_of(mapping(payload, "usage"))
    return used


def models_by_turn(file: Path) -> dict[str, str]:
    """Return the model that answered each turn, by codex's id of the turn."""
    return {
        text(payload, "turn_id"): text(payload, "model")
        for kind, payload in _entries(file, b"turn_context")
        if kind == "turn_context"
    }


def total_usage(file: Path) -> UsageStats:
    """Return what the whole conversation used until now."""
    total = UsageStats()
    for kind, payload in _entries(file, b"token_count"):
        counts = mapping(mapping(payload, "info"), "total_token_usage")
        if kind == "event_msg" and counts:
            total = usage_of(counts)
    return total


def usage_of(counts: dict[str, JSON]) -> UsageStats:
    """Return token counts as codex writes them into files and prints them."""
    cached = count(counts, "cached_input_tokens")
    written = count(counts, "cache_write_input_tokens")
    output = count(counts, "output_tokens")
    return UsageStats(
        # codex counts what came from the cache, or went into it, as input too.
        input_tokens=max(0, count(counts, "input_tokens") - cached - written),
        output_tokens=output,
        cache_read_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=min(count(counts, "reasoning_output_tokens"), output),
    )


def _entries(file: Path, word: bytes) -> Iterator[tuple[str, dict[str, JSON]]]:
    """Yield kind and content of the lines that hold *word*; others may be megabytes each."""
    try:
        with file.open("rb") as lines:
            for line in lines:
                if word in line:
                    try:
                        entry = json.loads(line)
                    except (ValueError, RecursionError):
                        continue
                    yield text(entry, "type"), mapping(entry, "payload")
    except OSError:
        # A conversation may be deleted at any time; what it used is then unknown.
        return
