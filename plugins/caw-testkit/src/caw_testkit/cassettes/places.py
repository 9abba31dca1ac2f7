"""The folders of one machine, which a cassette names by placeholders."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import quote

from caw_core.process import child_environment, home_folder

if TYPE_CHECKING:
    from caw_core.provider import StartRequest

_SHORTEST: Final = 4
"""Shorter paths, such as a home of ``/``, stand in texts by chance."""

_SHORTEST_NAME: Final = 12
"""The same for what programs make of a path, which is less easily told from other words."""


class Places:
    """Puts placeholders in the place of folders, and folders in the place of placeholders.

    Args:
        folders: the folder of each placeholder's name.
    """

    def __init__(self, folders: Mapping[str, Path]) -> None:
        self._expanded: dict[str, str] = {}
        marks: dict[str, str] = {}
        for name, folder in folders.items():
            self._expanded |= _spellings(name, folder)
            for path in (folder, folder.resolve()):
                marks |= {spelled: mark for mark, spelled in _spellings(name, path).items()}
        self._marks = {spelled: mark for spelled, mark in marks.items() if _is_telling(spelled)}
        # Longest first: one that begins another would leave the other's rest.
        ordered = sorted(self._marks, key=len, reverse=True)
        # "/tmp" is no part of "/var/tmp", nor of "/tmpfiles".
        self._pattern = re.compile(rf"(?<![\w.])(?:{'|'.join(map(re.escape, ordered))})(?![\w-])")

    @classmethod
    def of(cls, request: StartRequest) -> Self:
        """Return the places of a session."""
        env = child_environment(request.env)
        temporary = Path(env.get("TMPDIR") or tempfile.gettempdir())
        return cls({"tmp": temporary, "home": home_folder(env), "cwd": request.cwd})

    def shortened(self, text: str) -> str:
        """Return *text* with placeholders for folders."""
        if not self._marks:
            return text
        return self._pattern.sub(lambda found: self._marks[found[0]], text)

    def expanded(self, text: str) -> str:
        """Return *text* with folders for placeholders."""
        if "{{" in text:
            for mark, path in self._expanded.items():
                text = text.replace(mark, path)
        return text


def changed_texts(value: Any, change: Any) -> Any:
    """Return a JSON value with *change* made to each text in it, names of members included."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {change(key): changed_texts(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [changed_texts(item, change) for item in value]
    return value


def _spellings(name: str, folder: Path) -> dict[str, str]:
    path = str(folder)
    return {
        f"{{{{{name}}}}}": json.dumps(path)[1:-1],
        # As it stands in a URL, without its beginning, and as programs make one name of it.
        f"{{{{{name}-url}}}}": quote(path, safe=""),
        f"{{{{{name}-bare}}}}": path.lstrip("/"),
        f"{{{{{name}-name}}}}": re.sub(r"[^a-zA-Z0-9]", "-", path),
    }


def _is_telling(spelled: str) -> bool:
    return len(spelled) >= (_SHORTEST if Path(spelled).is_absolute() else _SHORTEST_NAME)
