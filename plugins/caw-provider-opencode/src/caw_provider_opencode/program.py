"""Where opencode is.

What npm's package ``opencode-ai`` 1.18.33 puts on PATH is the native program itself; the vendor's
installer puts it into ``~/.opencode/bin``.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from caw_core.process import home_folder
from caw_core.programs import AgentProgram
from caw_provider_opencode.errors import INSTALL_HINT, NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


def _installed(env: Mapping[str, str]) -> Iterator[Path]:
    name = "opencode.exe" if sys.platform == "win32" else "opencode"
    yield home_folder(env) / ".opencode" / "bin" / name


OPENCODE: Final = AgentProgram(
    name="opencode",
    provider=NAME,
    variable="CAW_OPENCODE_PATH",
    install_hint=INSTALL_HINT,
    tested="1.18.33",  # others of 1.18 should agree
    places=_installed,
)
