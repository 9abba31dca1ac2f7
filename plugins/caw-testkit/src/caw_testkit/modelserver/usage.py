"""Token counts, in one form for all three APIs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What one answer cost, in tokens.

    The parts are included in the wholes, as OpenAI counts: ``cached_tokens`` and
    ``cache_write_tokens`` are part of ``input_tokens``, ``reasoning_tokens`` is part of
    ``output_tokens``. Anthropic's API reports the input without its cached parts; the server
    subtracts them there, so that the same script costs the same on each API.
    """

    input_tokens: int = 10
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 5
    reasoning_tokens: int = 0

    def __post_init__(self) -> None:
        """Refuse counts whose parts are larger than the whole."""
        if min(vars(self).values()) < 0:
            message = f"token counts cannot be negative: {self}"
            raise ValueError(message)
        if self.cached_tokens + self.cache_write_tokens > self.input_tokens:
            message = f"cached and cache_write tokens are part of input_tokens: {self}"
            raise ValueError(message)
        if self.reasoning_tokens > self.output_tokens:
            message = f"reasoning_tokens are part of output_tokens: {self}"
            raise ValueError(message)

    @property
    def total_tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        """Add two usages count by count."""
        return Usage(**{name: count + getattr(other, name) for name, count in vars(self).items()})

    @classmethod
    def zero(cls) -> Usage:
        """Return the usage of nothing, the start of a sum."""
        return cls(input_tokens=0, output_tokens=0)
