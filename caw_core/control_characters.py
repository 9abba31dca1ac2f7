"""Characters that no name or path of ours may hold: a terminal, a shell or a file obeys them."""

from __future__ import annotations

import re
from typing import Final

# C0, DEL and C1, and Unicode's own ends of lines and paragraphs.
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def has_control_characters(text: str) -> bool:
    """Tell whether *text* holds a character that is a command and no sign."""
    return _CONTROL.search(text) is not None
