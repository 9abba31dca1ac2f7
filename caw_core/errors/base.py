"""The root of the tree of errors, and how it pickles."""

from __future__ import annotations

from typing import Any


def _rebuild(
    cls: type[BaseException], args: tuple[Any, ...], state: dict[str, Any]
) -> BaseException:
    # The builtin that gives the object its layout; ``cls.__new__`` may be the one of another base.
    layout = cls
    while layout.__module__ != "builtins":
        layout = layout.__base__  # type: ignore[assignment]  # an exception, as cls is one
    error = layout.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class CawError(Exception):
    """Base of every error that caw raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        # The constructors take keywords that ``args`` does not hold, so pickle's way would fail.
        return _rebuild, (type(self), self.args, self.__dict__)
