"""The conversations in claude's own store, those from its own user interface among them."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from caw_core.json_fields import text
from caw_core.process import child_environment
from caw_core.provider import NativeSession
from caw_core.trajectory import Trajectory
from caw_provider_claude_code.errors import NAME, gone
from caw_provider_claude_code.history import main_line, prompt_of, turns_of
from caw_provider_claude_code.transcripts import (
    conversation_id,
    project_folders,
    transcripts,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from caw_core.blocks import JSON

_TITLES: Final = {"custom-title": "customTitle", "ai-title": "aiTitle", "summary": "summary"}
"""Where a title stands, by the kind of its line; a title that a person gave comes first."""

_TITLE_LENGTH: Final = 80


def native_sessions(cwd: Path, env: Mapping[str, str | None]) -> list[NativeSession]:
    """Return the conversations that claude has for a folder, newest first.

    Args:
        cwd: the folder.
        env: changes to the environment, which may move claude's store.
    """
    whole = child_environment(env)
    files = [
        file
        for folder in project_folders(whole, cwd)
        for file in folder.glob("*.jsonl")
        if conversation_id(file.stem)
    ]
    found = [session for file in files if (session := _described(file, cwd, env)) is not None]
    return sorted(found, key=lambda session: session.updated_at, reverse=True)


def read_native(native: NativeSession) -> Trajectory:
    """Return the record of a conversation as far as claude keeps it; costs are not kept.

    Raises:
        NotResumableError: it is gone.
    """
    key = conversation_id(native.resume_key)
    if key is None:
        raise gone("that is no id of claude's")
    files = [Path(native.path)] if native.path else transcripts(child_environment(native.env), key)
    try:
        lines = list(_lines(files[0])) if files else []
    except OSError as error:
        raise gone(f"its file cannot be read ({error.strerror})") from error
    if not lines:
        raise gone("its file is not there")
    turns = turns_of(lines)
    return Trajectory(
        session_id=key,
        provider=NAME,
        cwd=native.cwd or next((cwd for line in lines if (cwd := text(line, "cwd"))), ""),
        created_at=turns[0].started_at if turns else "",
        resume_key=key,
        turns=turns,
    )


def was_begun(files: list[Path]) -> bool:
    """Tell whether some prompt stands in a conversation's newest file."""
    with contextlib.suppress(OSError):
        return any(
            main_line(line) and prompt_of(line) for file in files[:1] for line in _lines(file)
        )
    return False


def _described(file: Path, cwd: Path, env: Mapping[str, str | None]) -> NativeSession | None:
    titles: dict[str, str] = {}
    updated = held_in = first = ""
    try:
        for line in _lines(file):
            kind = text(line, "type")
            if kind in _TITLES:
                titles[kind] = text(line, _TITLES[kind]) or titles.get(kind, "")
            held_in = held_in or text(line, "cwd")
            updated = text(line, "timestamp") or updated
            if not first and main_line(line):
                first = prompt_of(line) or ""
    except OSError:
        return None
    # Two folders may have the same name in the store, and only one of them is meant.
    if not first or (held_in and Path(held_in).resolve() != cwd.resolve()):
        return None
    named = next((titles[kind] for kind in _TITLES if titles.get(kind)), first)
    title = " ".join(named.split())
    return NativeSession(
        provider=NAME,
        resume_key=file.stem,
        cwd=str(cwd),
        title=title if len(title) <= _TITLE_LENGTH else f"{title[: _TITLE_LENGTH - 1]}…",
        updated_at=_moment(updated, file),
        path=str(file),
        env=dict(env),
    )


def _moment(stamp: str, file: Path) -> str:
    try:
        moment = datetime.fromisoformat(stamp)
    except ValueError:
        moment = datetime.fromtimestamp(file.stat().st_mtime, UTC)
    return moment.isoformat()


def _lines(file: Path) -> Iterator[dict[str, JSON]]:
    with file.open(encoding="utf-8", errors="replace") as stream:
        for raw in stream:
            try:
                line = json.loads(raw)
            except ValueError:
                # The last line of a process that was killed.
                continue
            if isinstance(line, dict):
                yield line
