"""Where claude is, and what stands behind what a package manager puts on PATH.

The layouts that are looked for are those of the npm package ``@anthropic-ai/claude-code`` 2.1.197
and of the wheel ``claude-agent-sdk``.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from caw_core.process import home_folder
from caw_core.programs import AgentProgram
from caw_provider_claude_code.errors import NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NATIVE: Final = Path("@anthropic-ai") / "claude-code" / "bin" / "claude.exe"


def _native(path: Path) -> Path:
    """Return the program that *path* is a shell script for, or *path* itself."""
    # npm links to the program, except on Windows, where it writes a script beside its packages.
    candidates = [path.parent / "node_modules" / _NATIVE]
    if path.parent.name == ".bin":
        candidates.append(path.parent.parent / _NATIVE)
    return next((candidate for candidate in candidates if candidate.is_file()), path)


def _elsewhere(env: Mapping[str, str]) -> Iterator[Path]:
    name = "claude.exe" if sys.platform == "win32" else "claude"
    home = home_folder(env)
    # Where claude's own installer puts it, which a service's PATH often lacks.
    yield home / ".local" / "bin" / name
    yield home / ".claude" / "local" / name
    package = importlib.util.find_spec("claude_agent_sdk")
    for folder in (package.submodule_search_locations or ()) if package else ():
        yield Path(folder) / "_bundled" / name


CLAUDE: Final = AgentProgram(
    name="claude",
    provider=NAME,
    variable="CAW_CLAUDE_CODE_PATH",
    install_hint="Install it with: npm install -g @anthropic-ai/claude-code",
    tested="2.1",  # 2.1.197 in full, 2.1.329 where it agrees
    places=_elsewhere,
    native=_native,
)
