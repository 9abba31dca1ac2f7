"""The process beside the host that shows a menu in the user's terminal.

Run by `caw_core.terminal.menu.choose`, by way of `caw_core.terminal.beside.Beside`. It answers with
``{"chosen": …}``: a place among the options, or null where the user chose none, with
``"interrupted": true`` after Ctrl-C.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket

    from prompt_toolkit.key_binding import KeyPressEvent


class _InterruptedError(Exception):
    """Ctrl-C; asyncio would take a KeyboardInterrupt out of our hands."""


async def choose(control: socket.socket, told: dict[str, Any]) -> dict[str, Any]:
    """Show the menu until a key ends it, the host asks for its end, or the host has ended.

    Args:
        control: the way to the host.
        told: ``title``, ``options`` (texts) and ``default`` (a place among them).
    """
    from prompt_toolkit.key_binding import KeyBindings
    from prompt_toolkit.shortcuts.choice_input import ChoiceInput

    keys = KeyBindings()

    @keys.add("q")
    @keys.add("Q")
    @keys.add("escape", eager=True)
    def _cancel(event: KeyPressEvent) -> None:
        event.app.exit(result=None)

    menu: ChoiceInput[int | None] = ChoiceInput(
        message=told["title"],
        options=list(enumerate(told["options"])),
        default=told["default"],
        bottom_toolbar="↑ ↓ move, Enter choose, q or Esc cancel",
        key_bindings=keys,
        interrupt_exception=_InterruptedError,
    )
    asking = asyncio.ensure_future(menu.prompt_async())
    loop = asyncio.get_running_loop()

    def end() -> None:
        # Once: while it is cleaning up, another one would cut that short.
        loop.remove_reader(control)
        asking.cancel()

    loop.add_reader(control, end)
    try:
        return {"chosen": await asking}
    except _InterruptedError:
        return {"chosen": None, "interrupted": True}
    except asyncio.CancelledError:
        return {"chosen": None}


def run(control: socket.socket, told: dict[str, Any], *, ended: bool) -> None:
    """Show the menu, unless its end was asked for already, and tell the host."""
    answer = {"chosen": None} if ended else asyncio.run(choose(control, told))
    with contextlib.suppress(OSError):
        control.sendall(json.dumps(answer).encode() + b"\n")
