"""``caw config``: which model a tier means."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import click

from caw_core.cli.provider_names import own_name
from caw_core.cli.tables import print_table
from caw_core.cli.turn_lines import print_line
from caw_core.config_file import TIERS, ConfigFile, check_tier, config_path
from caw_core.display.plain import plain
from caw_core.errors import CawError
from caw_core.model_config import (
    describe_tier,
    describe_tiers,
    tier_model,
    tier_variable,
)
from caw_core.plugins import AgentPlugins
from caw_core.registry import default_registry
from caw_core.tools import ModelTier

if TYPE_CHECKING:
    from caw_core.model_config import TierModel
    from caw_core.provider import ProviderInfo

_WRAPPERS_FILE = Path("~/.caw/config.json")

_provider = click.argument("provider")
_tier = click.argument("tier", metavar="[" + "|".join(TIERS) + "]")


@click.group("config")
def command() -> None:
    """Show and set which model a tier means for a provider.

    A program asks for a tier with Agent(model=ModelTier.FAST). What it means is said, first come
    first served, by the variable CAW_MODEL_<PROVIDER>_<TIER>, the agent's own variable, this file,
    and the provider. No network is used.
    """


@command.command()
@click.argument("provider", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
def show(provider: str | None, *, as_json: bool) -> None:
    """Show the model of each tier, of one provider or of all, and who says so."""
    found = describe_tiers(_infos() if provider is None else [_info(provider)])
    if as_json:
        for each in found:
            print_line({"type": "tier_model", **attrs.asdict(each)})
        return
    rows = [(each.provider, each.tier, each.model, _who(each)) for each in found]
    print_table(("PROVIDER", "TIER", "MODEL", "FROM"), rows)


_as_list = copy.copy(show)
_as_list.hidden = True
# What the existing wrapper calls it.
command.add_command(_as_list, "list")


@command.command()
@_provider
@_tier
def get(provider: str, tier: str) -> None:
    """Print the model of one tier."""
    click.echo(plain(tier_model(_info(provider), ModelTier(check_tier(tier)))))


@command.command("set")
@_provider
@_tier
@click.argument("model")
def set_(provider: str, tier: str, model: str) -> None:
    """Set the model of one tier, in the configuration file."""
    info = _info(provider)
    file = ConfigFile.read().with_model(info.name, tier, model)
    file.write()
    click.echo(plain(f"{info.name} {tier} = {model}"))
    click.echo(plain(f"written to {file.path}"), err=True)
    now = describe_tier(info, tier)
    if now.source == "environment":
        click.echo(plain(f"here {now.origin} is set, and comes first: {now.model}"), err=True)


@command.command()
@_provider
@_tier
def unset(provider: str, tier: str) -> None:
    """Take the model of one tier out of the configuration file."""
    check_tier(tier)
    file = ConfigFile.read()
    changed = file
    for name, models in file.models.items():
        if tier in models and own_name(name) == own_name(provider):
            changed = changed.with_model(name, tier, None)
    if changed == file:
        click.echo(plain(f"{file.path} says nothing of {provider} {tier}"), err=True)
        return
    changed.write()
    click.echo(plain(f"{own_name(provider)} {tier} is no longer set in {file.path}"), err=True)


@command.command()
def path() -> None:
    """Print where the configuration file is, or would be."""
    click.echo(config_path())


@command.command()
def check() -> None:
    """Check the configuration file, and say what in it has no effect here."""
    file = ConfigFile.read()
    if not file.path.exists():
        click.echo(plain(f"there is no {file.path}: every provider's own models hold"), err=True)
        return
    installed = default_registry().names("provider")
    own = {name: own_name(name) for name in file.models}
    # As it is read: its own name comes before others.
    first: dict[str, str] = {}
    for name in sorted(own, key=lambda name: (name != own[name], name)):
        if name not in installed:
            click.echo(plain(f"{name}: no such provider is installed"), err=True)
        elif first.setdefault(own[name], name) != name:
            words = f"{name}: the same provider as {first[own[name]]}, which comes first"
            click.echo(plain(words), err=True)
    click.echo(plain(f"{file.path} can be used"))


@command.command("import")
@click.argument(
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=str(_WRAPPERS_FILE.expanduser()),
    metavar="[FILE]",
)
@click.option("--replace", is_flag=True, help="Also where this configuration says otherwise.")
def import_(file: Path, *, replace: bool) -> None:
    """Take over the models of another such file; by default ~/.caw/config.json."""
    mine = ConfigFile.read()
    for name, models in ConfigFile.read(file).models.items():
        provider = own_name(name)
        for tier, model in models.items():
            there = mine.models.get(provider, {}).get(tier, model)
            if there != model and not replace:
                click.echo(plain(f"{provider} {tier} stays {there}, not {model}"), err=True)
                continue
            mine = mine.with_model(provider, tier, model)
            click.echo(plain(f"{provider} {tier} = {model}"))
    mine.write()


def _info(name: str) -> ProviderInfo:
    return AgentPlugins(name, default_registry().load_provider(name)).info


def _infos() -> list[ProviderInfo]:
    infos = []
    for record in default_registry().records("provider"):
        if record.blocked:
            continue
        try:
            infos.append(_info(record.name))
        except CawError as error:
            click.echo(plain(f"{record.name} is left out: {error}"), err=True)
    return infos


def _who(found: TierModel) -> str:
    if not found.model:
        return f"nobody; set {tier_variable(found.provider, found.tier)} or use caw config set"
    return found.origin or "the provider"
