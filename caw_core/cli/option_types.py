"""What options of several commands take, refused while nothing has been started."""

from __future__ import annotations

import os
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
