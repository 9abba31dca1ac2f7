"""``caw doctor``: what is there, what is missing, what to do about it."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import click

from caw_core.cli.exit_codes import FAILED, OK
from caw_core.cli.live_check import check_live, health_document, health_words
from caw_core.cli.plugin_survey import survey_plugins
from caw_core.cli.providers_command import provider_document, provider_words
from caw_core.cli.turn_lines import print_line
from caw_core.display.plain import plain
from caw_core.errors import CawError
from caw_core.folders import user_cache_dir, user_data_dir
from caw_core.provider_checks import survey
from caw_core.provider_order import wanted_order
from caw_core.registry import default_registry
from caw_core.selection import first_ready
from caw_core.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from caw_core.cli.plugin_survey import SurveyedPlugin
    from caw_core.provider_checks import SurveyedProvider

_VARIABLES = (
    "CAW_PROVIDER",
    "CAW_MODEL",
    "CAW_EFFORT",
    "CAW_AUTOWAIT",
    "CAW_HOME",
    "CAW_CONFIG",
    "CAW_DISABLE_PLUGINS",
    "CAW_PLUGIN_AUTOLOAD",
    "CAW_DEBUG",
)

_MARKS = {"ready": ("ok", "green"), "ok": ("ok", "green"), "broken": ("!!", "red")}


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@click.option(
    "--live",
    is_flag=True,
    help="Also ask the provider that caw takes, or those of --provider, for one word. "
    "This spends tokens.",
)
@click.option(
    "-p",
    "--provider",
    "asked",
    metavar="NAME[,NAME…]",
    default="",
    help="Whom --live asks.",
)
@click.pass_context
def command(ctx: click.Context, *, as_json: bool, live: bool, asked: str) -> None:
    """Check what is there, what is missing, and what to do about it.

    Without --live no network and no tokens. The exit code is 1 if there is no provider that caw
    could take by itself; with --live, if one that was asked does not answer.
    """
    if asked and not live:
        msg = "--provider goes with --live"
        raise click.UsageError(msg)
    registry = default_registry()
    providers = survey(registry)
    others = list(survey_plugins(registry, "storage", "observer"))
    taken = _taken()
    environment = _environment()
    if as_json:
        for provider in providers:
            print_line(provider_document(provider))
        for plugin in others:
            print_line(plugin.document())
        print_line({"type": "environment", **environment, "would_take": taken})
    else:
        _print(providers, others, environment, taken)
    if live:
        names = [name.strip() for name in (asked or taken).split(",") if name.strip()]
        ctx.exit(_ask(names, as_json=as_json))
    if not any(provider.takeable for provider in providers):
        ctx.exit(FAILED)


def _ask(names: Sequence[str], *, as_json: bool) -> int:
    well = bool(names)
    for health in check_live(names):
        well = well and health.ok
        if as_json:
            print_line(health_document(health))
        else:
            _item("ok" if health.ok else "broken", health_words(health))
    return OK if well else FAILED


def _taken() -> str:
    try:
        return first_ready(default_registry(), wanted_order(()), Settings.checked({})).name
    except CawError:
        return ""


def _environment() -> dict[str, Any]:
    data, cache = user_data_dir(), user_cache_dir()
    return {
        "caw": version("caw-core"),
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "data": str(data),
        "data_writable": _writable(data),
        "cache": str(cache),
        "variables": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
    }


def _writable(folder: Path) -> bool:
    # The folder is made when it is first needed, so the nearest one that exists decides.
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    return os.access(nearest, os.W_OK | os.X_OK)


def _print(
    providers: Sequence[SurveyedProvider],
    others: Sequence[SurveyedPlugin],
    environment: dict[str, Any],
    taken: str,
) -> None:
    click.secho("Providers", bold=True)
    for provider in providers:
        path, release = provider.readiness.program_path, provider.readiness.version
        program = f"{path} {release}".strip() if path else f"version {release}" if release else ""
        where = f"{provider.distribution} {provider.version}".strip()
        title = f"{provider.name}: {provider.state} ({where})"
        _item(provider.state, title, provider_words(provider), program)
    for kind, title in (("storage", "Storages"), ("observer", "Observers")):
        click.secho(title, bold=True)
        of_kind = [plugin for plugin in others if plugin.record.kind == kind]
        for plugin in of_kind:
            record = plugin.record
            where = f"{record.distribution} {record.version}".strip()
            _item(plugin.state, f"{record.name}: {where}", plugin.problem)
        if not of_kind:
            click.echo("   none")
    click.secho("Here", bold=True)
    click.echo(plain(f"   caw {environment['caw']}, Python {environment['python']}"))
    click.echo(plain(f"   {environment['platform']}"))
    unwritable = "" if environment["data_writable"] else "  (cannot be written)"
    click.echo(plain(f"   records: {environment['data']}{unwritable}"))
    click.echo(plain(f"   cache:   {environment['cache']}"))
    for name, value in environment["variables"].items():
        click.echo(plain(f"   {name}={value}"))
    click.echo()
    if taken:
        click.echo(plain(f"Without --provider, caw takes {taken!r}."))
    else:
        click.echo("Nothing is ready. Do what stands above, or: pip install 'caw-core[local]'")


def _item(state: str, *lines: str) -> None:
    mark, color = _MARKS.get(state, ("--", "yellow"))
    first, *rest = filter(None, lines)
    click.echo(f"{click.style(mark, fg=color)} {plain(first)}")
    for line in rest:
        for part in plain(line).splitlines():
            click.echo(f"     {part}")
