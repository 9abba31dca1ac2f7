"""What options of several commands take, refused while nothing has been started."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click import Context, Parameter


class Folder(click.Path):
    """A folder that need not exist; an empty name, which Python takes for ``.``, is refused."""

    def __init__(self) -> None:
        super().__init__(file_okay=False, path_type=Path)

    def convert(self, value: Any, param: Parameter | None, ctx: Context | None) -> Any:
        """Return the folder, or refuse it."""
        if value == "":
            self.fail("the folder's name is empty", param, ctx)
        return super().convert(value, param, ctx)


class NewSecretFile(click.Path):
    """A file to be written in the end; its folder is looked at now, before a turn costs money."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, path_type=Path)

    def convert(self, value: Any, param: Parameter | None, ctx: Context | None) -> Any:
        """Return the file, or refuse it."""
        if value == "":
            self.fail("the file's name is empty", param, ctx)
        file = super().convert(value, param, ctx)
        folder = Path(os.fsdecode(file)).parent
        if not folder.is_dir():
            self.fail(f"there is no folder {str(folder)!r}", param, ctx)
        if not os.access(folder, os.W_OK | os.X_OK):
            self.fail(f"the folder {str(folder)!r} cannot be written to", param, ctx)
        return file


class ProviderNames(click.types.StringParamType):
    """One provider's name or several with commas between them, as text."""

    name = "provider"

    def convert(self, value: Any, param: Parameter | None, ctx: Context | None) -> str:
        """Return the text, or refuse it if it holds no name."""
        if not str(value).replace(",", "").strip():
            self.fail("it names no provider", param, ctx)
        return str(value)


_AGE = re.compile(r"([0-9]{1,6})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Age(click.ParamType):  # type: ignore[type-arg]  # generic only from click 8.5 on
    """A length of time such as ``90s``, ``12h``, ``30d`` or ``2w``."""

    name = "age"

    def convert(self, value: Any, param: Parameter | None, ctx: Context | None) -> timedelta:
        """Return the length, or refuse it."""
        match = _AGE.fullmatch(str(value))
        if match is None:
            self.fail(f"{value!r} is no length of time; write 90s, 15m, 12h, 30d or 2w", param, ctx)
        return timedelta(**{_UNITS[match[2]]: int(match[1])})


class Moment(click.ParamType):  # type: ignore[type-arg]  # generic only from click 8.5 on
    """A time: how long ago, as in `Age`, or a date with or without a time of day (ISO 8601)."""

    name = "time"

    def convert(self, value: Any, param: Parameter | None, ctx: Context | None) -> datetime:
        """Return the time, in this machine's zone where none is given, or refuse it."""
        if _AGE.fullmatch(str(value)):
            return datetime.now(UTC) - Age().convert(value, param, ctx)
        try:
            return datetime.fromisoformat(str(value)).astimezone()
        except ValueError:
            self.fail(f"{value!r} is no time; write 2d, 2026-01-31 or 2026-01-31T12:00", param, ctx)


class Member(click.ParamType):  # type: ignore[type-arg]  # generic only from click 8.5 on
    """A member of metadata, as ``name=value``; a value that is JSON is taken as that."""

    name = "name=value"

    def convert(self, value: Any, param: Parameter | None, ctx: Context | None) -> tuple[str, Any]:
        """Return name and value, or refuse it."""
        import json

        name, mark, text = str(value).partition("=")
        if not mark or not name:
            self.fail(f"{value!r} is not of the form name=value", param, ctx)
        try:
            return name, json.loads(text)
        except ValueError:
            return name, text
