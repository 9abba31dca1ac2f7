"""``caw-traj FILE``, also ``caw traj FILE``: look at a trajectory's file in the terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from caw.models import UsageStats
from caw.traj_steps import (
    RawLines,
    Step,
    TrajectoryRenderError,
    addresses,
    step_at,
    steps_of,
    tool_calls,
    tool_usage,
)
from caw_core.display.plain import plain

__all__ = ["TrajectoryRenderError", "command", "inspect_trajectory", "main"]


def inspect_trajectory(
    path: Path,
    *,
    step: Sequence[str] = (),
    recursive: bool = False,
    text_chars: int = 60,
    input_chars: int = 60,
) -> str:
    """Return what the command prints.

    Args:
        path: the file.
        step: selectors of the steps to show in full; without any, a line for each.
        recursive: also a line for each step of subagents.
        text_chars: how long the beginnings in those lines are.
        input_chars: has no effect.

    Raises:
        TrajectoryRenderError: the file is no trajectory, or there is no such step.
    """
    del input_chars
    try:
        text = path.read_text("utf-8")
        document = json.loads(text)
    except (OSError, ValueError) as error:
        message = f"cannot read {path}: {error}"
        raise TrajectoryRenderError(message) from error
    if not isinstance(document, dict) or not isinstance(document.get("turns"), list):
        message = f"{path} holds no trajectory: an object with turns"
        raise TrajectoryRenderError(message)
    steps, raw = steps_of(document["turns"]), RawLines(document, text)
    lines = [f"Source: {path}", *_summary(document, steps), ""]
    if step:
        for address in addresses(step):
            lines += [*_detail(step_at(steps, address), address, raw), ""]
    else:
        lines += _listing(steps, raw, text_chars, recursive=recursive)
    return "\n".join(map(plain, lines)).removesuffix("\n")


def _summary(document: dict[str, Any], steps: list[Step]) -> Iterator[str]:
    usage = UsageStats.from_dict(document.get("total_usage") or document.get("usage") or {})
    total = sum(step.total for step in steps)
    errors = sum(bool(call.get("is_error")) for call in tool_calls(document["turns"]))
    nested = f" top-level / {total} total" if total > len(steps) else ""
    facts = {
        "Agent": document.get("agent"),
        "Model": document.get("model"),
        "Turns": len(document["turns"]),
        "Steps": f"{len(steps)}{nested}",
        "In": usage.input_tokens,
        "Out": usage.output_tokens,
        "Duration": f"{document.get('duration_ms', 0) / 1000:.1f}s",
        "Cost": f"${usage.cost_usd:.4f}" if usage.cost_usd else None,
        "Tool errors": errors,
    }
    yield " | ".join(f"{name}: {fact}" for name, fact in facts.items() if fact)
    used = ", ".join(f"{name}={count}" for name, count in tool_usage(document["turns"]))
    yield f"Tool usage: {used or 'none'}"


def _listing(
    steps: list[Step],
    raw: RawLines,
    width: int,
    *,
    recursive: bool,
    above: tuple[int, ...] = (),
) -> Iterator[str]:
    for number, step in enumerate(steps):
        words = " ".join(step.text.split())
        shown = words if len(words) <= width else words[: width - 3] + "..."
        below = step.total - 1
        hint = f" [nested visible steps: {below}]" if below else ""
        address = (*above, number)
        yield (
            f'{"  " * len(above)}[{_shown(address)}] {step.kind}: "{shown}"'
            f" ({len(step.text)}c, {raw.of(step)}){hint}"
        )
        if recursive:
            yield from _listing(step.children, raw, width, recursive=True, above=address)


def _detail(step: Step, address: tuple[int, ...], raw: RawLines) -> Iterator[str]:
    yield f"[{_shown(address)}] raw JSON: {raw.of(step)}"
    yield ""
    yield f"[{_shown(address)}] {step.kind}:"
    if not step.blocks:
        yield step.text
    for block in step.blocks:
        mark = "[thinking] " if block.get("type") == "thinking" else ""
        yield f"{mark}{block.get('text', '')}"


def _shown(address: tuple[int, ...]) -> str:
    return "/".join(map(str, address))


@click.command("traj", context_settings={"max_content_width": 100})
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("-s", "--step", multiple=True, help="Show these in full: 7, 7-10, 12/3, 7,8,12/3.")
@click.option("-r", "--recursive", is_flag=True, help="List the steps of subagents, too.")
@click.option(
    "--text-chars",
    type=click.IntRange(min=10),
    default=60,
    show_default=True,
    help="How much of each text is listed.",
)
@click.option("--input-chars", type=click.IntRange(min=10), default=60, help="Has no effect.")
def command(path: Path, **options: Any) -> None:
    """Show a trajectory's file as numbered steps, without tool calls.

    Behind each step are its lines in the file, for looking there.
    """
    try:
        click.echo(inspect_trajectory(path, **options))
    except TrajectoryRenderError as error:
        raise click.ClickException(str(error)) from error


def main() -> None:
    """Run ``caw-traj``."""
    command(prog_name="caw-traj")
