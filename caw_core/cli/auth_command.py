"""``caw auth``: this machine's logins in containers."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs
import click

from caw_core import credentials
from caw_core.cli.provider_names import own_name
from caw_core.cli.tables import print_table
from caw_core.cli.turn_lines import print_line
from caw_core.display.plain import local_time, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caw_core.credentials import CredentialStatus

_SOON = timedelta(hours=1)


def _names(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> list[str] | None:
    names = [name.strip() for text in given for name in text.split(",") if name.strip()]
    return None if not names or "all" in names else names


_providers = click.option(
    "-p",
    "--provider",
    "-a",
    "--agents",
    "names",
    multiple=True,
    metavar="NAME[,NAME…]",
    callback=_names,
    help="Whose logins; repeatable. Default: all.",
)
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")


@click.group("auth")
def command() -> None:
    """Use this machine's logins in containers.

    A login is mounted from where it is and never copied, unless 'caw auth setup --copy' is asked
    for. A key in a variable is passed on by the variable's name.
    """


@command.command()
@_providers
@click.option(
    "--copy",
    is_flag=True,
    help="Copy the logins, for containers that cannot mount them. They are secrets: remove the "
    "copies with 'caw auth teardown'.",
)
@_json
def setup(names: list[str] | None, *, copy: bool, as_json: bool) -> None:
    """Make the folders that agents in containers write to, so that they belong to you."""
    for prepared in credentials.setup(names, copy=copy):
        if as_json:
            document = attrs.asdict(prepared)
            document["folders"] = [str(path) for path in prepared.folders]
            document["copied"] = [str(path) for path in prepared.copied]
            print_line({"type": "prepared", **document})
            continue
        for path in prepared.folders:
            click.echo(plain(f"{prepared.provider}: {path}"))
        for path in prepared.copied:
            click.echo(plain(f"{prepared.provider}: {path} is a COPY of a login"), err=True)
        if prepared.note:
            click.echo(plain(f"{prepared.provider}: {prepared.note}"), err=True)


@command.command()
@_providers
@_json
def status(names: list[str] | None, *, as_json: bool) -> None:
    """Show which logins and keys there are, and how a container gets each. No values."""
    found = credentials.status(names)
    if as_json:
        for each in found:
            print_line({"type": "credential", **_document(each)})
        return
    rows = [
        (each.provider, each.name, "there" if each.present else "missing", each.how, _detail(each))
        for each in found
    ]
    print_table(("PROVIDER", "LOGIN OR KEY", "STATE", "IN A CONTAINER", "DETAIL"), rows)


@command.command("docker-flags")
@_providers
@click.option(
    "--home",
    default="/root",
    show_default=True,
    help="The home of the container's user.",
)
@click.option(
    "--user",
    help="The container's user, as 'docker run --user' takes it; 'me' for you. "
    "Default: the image's.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def docker_flags(names: list[str] | None, home: str, user: str | None, *, as_json: bool) -> None:
    """Print arguments for 'docker run': docker run $(caw auth docker-flags) IMAGE."""
    flags = credentials.docker_flags(names, home=home, user=user)
    for each in credentials.status(names):
        if each.how == "mounted read-only" and _ends_soon(each):
            words = f"{each.name} {_expiry(each)} and a container cannot renew it"
            click.echo(plain(f"{each.provider}: {words}: start the agent here first"), err=True)
    if as_json:
        print_line({"type": "docker_flags", "flags": flags})
        return
    click.echo(shlex.join(flags))
    if any(shlex.quote(flag) != flag for flag in flags):
        how = 'eval "docker run $(caw auth docker-flags) IMAGE"'
        click.echo(f"a path needs quoting, which a shell sees only with: {how}", err=True)


@command.command()
@_providers
@click.option("--all", "everything", is_flag=True, help="Also what containers have written.")
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would be removed.")
def teardown(names: list[str] | None, *, everything: bool, dry_run: bool) -> None:
    """Remove what 'caw auth setup' made; logins of this machine are never touched."""
    done = credentials.teardown(
        None if names is None else [own_name(name) for name in names],
        everything=everything,
        dry_run=dry_run,
    )
    for path in done.removed:
        click.echo(plain(f"{'would remove' if dry_run else 'removed'} {path}"))
    for path, why in done.kept.items():
        click.echo(plain(f"kept {path}: {why}"), err=True)
    if done.kept and not everything:
        click.echo("to remove what is kept as well: caw auth teardown --all", err=True)
    if not done.removed and not done.kept:
        click.echo("there is nothing to remove", err=True)


def _document(each: CredentialStatus) -> dict[str, Any]:
    document = attrs.asdict(each)
    for name in ("expires_at", "modified_at"):
        moment = document[name]
        document[name] = moment.isoformat() if moment is not None else None
    return {**document, "expired": each.expired}


def _ends_soon(each: CredentialStatus) -> bool:
    return each.expires_at is not None and each.expires_at <= datetime.now(UTC) + _SOON


def _expiry(each: CredentialStatus) -> str:
    if each.expires_at is None:
        return ""
    verb = "ran out" if each.expired else "runs out"
    return f"{verb} {local_time(each.expires_at.isoformat())}"


def _detail(each: CredentialStatus) -> str:
    expiry = _expiry(each)
    if expiry and each.how == "mounted":
        expiry += " unless renewed, which the agent does by itself"
    parts: Sequence[str] = (each.what, expiry, each.problem)
    return "; ".join(filter(None, parts))
