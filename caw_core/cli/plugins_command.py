"""``caw plugins``: every plugin, and what is wrong with it."""

from __future__ import annotations

import click

from caw_core.cli.plugin_survey import survey_plugins
from caw_core.cli.tables import print_table
from caw_core.cli.turn_lines import print_line
from caw_core.registry import default_registry


@click.command("plugins")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
def command(*, as_json: bool) -> None:
    """List providers, storages and observers, the hooks of each, and what is wrong with it."""
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
