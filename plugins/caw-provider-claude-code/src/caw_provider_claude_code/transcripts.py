"""Where claude keeps its conversations: one file each, in a folder named after the cwd.

``projects/<cwd with every character but letters and digits replaced by "-">/<id>.jsonl``, below
``CLAUDE_CONFIG_DIR`` or ``~/.claude`` (claude 2.1.197, observed).
"""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Final

from caw_core.process import home_folder

if TYPE_CHECKING:
    from collections.abc import Mapping

_LONGEST_NAME: Final = 200


def config_dir(env: Mapping[str, str]) -> Path:
    """Return the folder in which claude keeps its settings, its login and its conversations."""
    chosen = env.get("CLAUDE_CONFIG_DIR")
    return Path(chosen) if chosen else home_folder(env) / ".claude"


def conversation_id(text: str) -> str | None:
    """Return *text* as claude writes ids of conversations, or None if it is none."""
    try:
        return str(uuid.UUID(text)) if re.fullmatch(r"[0-9a-fA-F-]{36}", text) else None
    except ValueError:
        return None


def transcripts(env: Mapping[str, str], key: str) -> list[Path]:
    """Return the files of a conversation, the one written last first; usually there is one."""
    found = (config_dir(env) / "projects").glob(f"*/{key}.jsonl")
    return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)


def new_conversation(env: Mapping[str, str], session_id: str) -> str:
    """Return an id for a new conversation: *session_id* where claude can use it."""
    wanted = conversation_id(session_id)
    return wanted if wanted and not transcripts(env, wanted) else str(uuid.uuid4())


def resume_argument(env: Mapping[str, str], key: str, cwd: Path) -> str:
    """Return the value for ``--resume``: the id, or the file if it is not filed under *cwd*.

    Claude looks for an id only among the conversations of the folder that it runs in; a file it
    takes from anywhere.
    """
    files = transcripts(env, key)
    if not files or any(file.parent.name == _folder_name(cwd) for file in files):
        return key
    return str(files[0].absolute())


def project_folders(env: Mapping[str, str], cwd: Path) -> list[Path]:
    """Return the folders in which the conversations of *cwd* may lie; not all may be its own."""
    name = _folder_name(cwd)
    if len(name) <= _LONGEST_NAME:
        return [config_dir(env) / "projects" / name]
    # A longer name is cut off, and something is put behind it.
    return list((config_dir(env) / "projects").glob(f"{name[:_LONGEST_NAME]}*"))


def _folder_name(cwd: Path) -> str:
    return re.sub(r"[^a-zA-Z0-9]", "-", str(cwd.resolve()))
