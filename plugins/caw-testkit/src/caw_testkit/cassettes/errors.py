"""What goes wrong with cassettes."""

from __future__ import annotations

from caw_core.errors import ConfigError, ProtocolError


class CassetteError(ConfigError):
    """The file is no cassette, or cannot be used as one."""


class CassetteMismatchError(ProtocolError):
    """What was asked of a cassette is not what was asked when it was recorded.

    Attributes:
        frame: the line of the cassette at which it was noticed, from 1; 0 for its end.
    """

    def __init__(self, message: str, *, frame: int = 0, provider: str = "") -> None:
        super().__init__(message, provider=provider)
        self.frame = frame
