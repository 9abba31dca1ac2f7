"""``caw plugins``: every plugin, and what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from caw_core.cli.exit_codes import FAILED
from caw_core.cli.plugin_survey import survey_plugins
from caw_core.cli.tables import print_table
from caw_core.cli.turn_lines import print_line
from caw_core.registry import default_registry

if TYPE_CHECKING:
    from collections.abc import Mapping


@click.command("plugins")
@click.option("--check", "name", metavar="NAME", help="Run the conformance suite of one plugin.")
@click.option(
    "--url",
    default="",
    metavar="URL",
    help="With --check: run the general suite on a storage; '{folder}' stands for an empty folder.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@click.pass_context
def command(ctx: click.Context, *, name: str | None, url: str, as_json: bool) -> None:
    """List providers, storages and observers, the hooks of each, and what is wrong with it.

    With --check, prove one of them: each check is a line, and the exit code is 1 if one failed.
    The checks are in caw-testkit.
    """
    if name is not None:
        ctx.exit(_check(name, url, as_json=as_json))
    if url:
        msg = "--url belongs to --check"
        raise click.UsageError(msg)
    plugins = list(survey_plugins(default_registry()))
    if as_json:
        for plugin in plugins:
            print_line(plugin.document())
        return
    rows = [
        (
            plugin.record.kind,
            ", ".join((plugin.record.name, *plugin.record.aliases)),
            f"{plugin.record.distribution} {plugin.record.version}".strip(),
            plugin.state,
            plugin.problem or ", ".join(plugin.hooks) or "opened by its URL",
        )
        for plugin in plugins
    ]
    print_table(("KIND", "NAME", "DISTRIBUTION", "STATE", "HOOKS OR PROBLEM"), rows)


def _check(name: str, url: str, *, as_json: bool) -> int:
    from caw_core.cli.conformance_run import run_suite

    report = run_suite(name, url)
    if as_json:
        print_line({"type": "conformance", "name": name, **report})
    else:
        checks = [check for suite in report["suites"] for check in suite["checks"]]
        print_table(("CHECK", "OUTCOME", "ABOUT", "MESSAGE"), [_row(check) for check in checks])
        counts = ", ".join(f"{number} {outcome}" for outcome, number in report["counts"].items())
        click.echo(f"{name}: {counts}", err=True)
    return 0 if report["outcome"] == "passed" else FAILED


def _row(check: Mapping[str, Any]) -> tuple[str, ...]:
    about = ", ".join(check["capabilities"]) or "every plugin"
    return (check["check"].removeprefix("test_"), check["outcome"], about, check["message"])
