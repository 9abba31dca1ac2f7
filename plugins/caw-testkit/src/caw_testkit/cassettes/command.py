"""``caw cassette``: record an agent's wire, look at it, and read it with today's code."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

from caw_core.cli.exit_codes import FAILED
from caw_core.cli.tables import print_table
from caw_core.cli.turn_lines import print_line
from caw_core.errors import CawError

if TYPE_CHECKING:
    from caw_testkit.cassettes.check import Report
    from caw_testkit.cassettes.tape import Frame

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_WIDTH = 100


@click.group("cassette")
def command() -> None:
    """Record what goes between caw and an agent's program, and play it without the program."""


@command.command("record")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("prompts", nargs=-1, required=True, metavar="PROMPT...")
@click.option("-p", "--provider", required=True, help="The agent.")
@click.option("-m", "--model", help="The model, in the agent's words.")
@click.option(
    "-C",
    "--cwd",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder in which the agent works. Default: this one.",
)
@click.option(
    "--permissions",
    type=click.Choice(("read-only", "ask", "auto-edit", "full")),
    help="What the agent may do without asking.",
)
@click.option(
    "--answer",
    type=click.Choice(("yes", "no")),
    help="What the agent's requests for permission are answered. Default: nobody answers.",
)
def record(
    file: Path, prompts: tuple[str, ...], *, provider: str, answer: str | None, **settings: Any
) -> None:
    """Send each PROMPT in one new session of a real agent, and record its wire into FILE.

    That spends what the agent spends. Secrets are taken out before anything is written; what the
    agent reads and says is kept, so look at FILE before you give it away.
    """
    from caw_testkit.cassettes.recorder import record_cassette

    decide = None if answer is None else (lambda _: answer == "yes")
    with (
        record_cassette(file, provider, on_permission=decide, **settings) as agent,
        agent.start_session() as session,
    ):
        for prompt in prompts:
            try:
                click.echo(session.send(prompt).result)
            except CawError as error:
                # A turn that failed is worth a cassette, too.
                if not session.trajectory.turns:
                    raise
                click.echo(f"{type(error).__name__}: {error}", err=True)
    click.echo(f"{file}: {len(prompts)} prompts, {file.stat().st_size} bytes", err=True)


@command.command("show")
@click.argument("file", type=_FILE)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
def show(file: Path, *, as_json: bool) -> None:
    """Show what is on a cassette, a line for each frame."""
    from caw_testkit.cassettes.tape import read_cassette

    cassette = read_cassette(file)
    if as_json:
        print_line({"type": "cassette", **cassette.header.document()})
        for frame in cassette.frames:
            print_line({"type": "frame", "line": frame.number, **frame.document()})
        return
    header = cassette.header
    click.echo(
        f"{header.provider}, {header.program} {header.program_version}, caw {header.caw_version}, "
        f"recorded {header.recorded_at}",
        err=True,
    )
    rows = [
        (str(frame.number), f"{frame.at:.3f}", str(frame.process or ""), frame.kind, _line(frame))
        for frame in cassette.frames
    ]
    print_table(("LINE", "SECONDS", "PROCESS", "KIND", "WHAT"), rows, cut=True)


@command.command("check")
@click.argument("files", nargs=-1, required=True, type=_FILE)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@click.pass_context
def check(ctx: click.Context, files: tuple[Path, ...], *, as_json: bool) -> None:
    """Read cassettes with today's code, and tell what it no longer makes of them.

    No agent's program is needed. The exit code is 1 if a turn differs from the recorded one.
    """
    from caw_testkit.cassettes.check import check_cassette
    from caw_testkit.cassettes.tape import read_cassette

    reports = []
    for file in files:
        report = check_cassette(read_cassette(file))
        reports.append(report)
        if as_json:
            print_line({"type": "cassette_check", "ok": report.ok, **attrs.asdict(report)})
    if not as_json:
        rows = [
            (report.cassette, "ok" if report.ok else "differs", report.program, line)
            for report in reports
            for line in _findings(report)
        ]
        print_table(("CASSETTE", "OUTCOME", "RECORDED WITH", "WHAT"), rows)
        counts = Counter("ok" if report.ok else "differ" for report in reports)
        click.echo(", ".join(f"{number} {word}" for word, number in counts.items()), err=True)
    ctx.exit(0 if all(report.ok for report in reports) else FAILED)


def _findings(report: Report) -> list[str]:
    lines = [*report.not_understood, *(line.strip() for line in report.differs)]
    return [*lines, *filter(None, [report.mismatch, report.error])] or [f"{report.turns} turns"]


def _line(frame: Frame) -> str:
    facts = {key: value for key, value in frame.facts.items() if key != "turn"}
    if "turn" in frame.facts:
        turn = frame.facts["turn"]
        facts = {"index": turn["index"], "status": turn["status"], **facts}
    said = frame.data.decode(errors="replace").strip()
    told = " ".join(f"{key}={value}" for key, value in facts.items() if value not in (None, []))
    text = " ".join(filter(None, [told, said]))
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"
