"""A click group that imports a command when it is run, and turns errors into exit codes."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from caw_core.cli import exit_codes
from caw_core.cli.complaints import complain, debugging
from caw_core.cli.other_commands import other_commands
from caw_core.cli.signals import TerminatedError, raising_on_termination

if TYPE_CHECKING:
    from collections.abc import Mapping


class LazyGroup(click.Group):
    """Commands by name, each with its module and its one line of help.

    Args:
        commands_by_name: the command's name to its module and one-line help; the module holds the
            command as ``command``.
        arguments: as for `click.Group`.
    """

    def __init__(
        self,
        *,
        commands_by_name: Mapping[str, tuple[str, str]],
        **arguments: Any,
    ) -> None:
        self._modules = dict(commands_by_name)
        super().__init__(**arguments)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table, then those of other distributions."""
        del ctx
        return [*self._modules, *(name for name in other_commands() if name not in self._modules)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command."""
        del ctx
        command: click.Command
        if cmd_name in self._modules:
            command = importlib.import_module(self._modules[cmd_name][0]).command
            return command
        other = other_commands().get(cmd_name)
        if other is None:
            return None
        command = other.load()
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands, without importing any."""
        rows = [(name, text) for name, (_, text) in self._modules.items()]
        others = other_commands()
        for name in self.list_commands(ctx)[len(rows) :]:
            dist = others[name].dist
            rows.append((name, f"From {dist.name if dist else 'another distribution'}."))
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the exit codes."""
        del ctx
        with formatter.section("Exit codes"):
            formatter.write_dl(
                [(str(code), text) for code, text in exit_codes.MEANINGS.items()],
            )

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; what it raises becomes a line on stderr and an exit code."""
        if debugging():
            logging.basicConfig(level=logging.DEBUG)
        for stream in (sys.stdout, sys.stderr):
            reconfigure = getattr(stream, "reconfigure", None)
            if reconfigure is not None:
                # An answer may hold what the terminal's encoding cannot; that must not end a turn.
                reconfigure(errors="backslashreplace")
        try:
            with raising_on_termination():
                result = super().invoke(ctx)
                sys.stdout.flush()
                return result
        except (click.ClickException, click.exceptions.Exit):
            raise
        except (KeyboardInterrupt, click.Abort):
            ctx.exit(exit_codes.INTERRUPTED)
        except TerminatedError as error:
            ctx.exit(exit_codes.SIGNAL + error.signum)
        except Exception as error:  # noqa: BLE001 - the one place where errors end
            code = exit_codes.exit_code_for(error)
            if code == exit_codes.READER_GONE:
                _forget_stdout()
            else:
                # Of these, and no others, --no-record is an option.
                complain(error, writes_record=ctx.invoked_subcommand in {"run", "resume", "chat"})
            ctx.exit(code)


def _forget_stdout() -> None:
    # What is still buffered would fail once more while the interpreter shuts down.
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
