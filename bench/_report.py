"""How every benchmark says what it measured: a table for people, or one JSON object."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@attrs.frozen(kw_only=True)
class Row:
    """One thing that was measured, several times."""

    name: str
    samples: tuple[float, ...]
    unit: str = "ms"

    @property
    def median(self) -> float:
        """The middle of the samples."""
        return statistics.median(self.samples)


@attrs.frozen(kw_only=True)
class Target:
    """A figure made of the rows.

    Attributes:
        name: what it is.
        value: the figure.
        holds: whether it is as promised; None where nothing is, or where that cannot be told.
        unit: the figure's unit.
        between: where the true figure lies, with a probability of 95 %; None where that is not
            worked out.
    """

    name: str
    value: float
    holds: bool | None = None
    unit: str = ""
    between: tuple[float, float] | None = None


def arguments(doc: str | None, **options: int | tuple[str, ...]) -> argparse.Namespace:
    """Read the command line: ``--json``, and *options*.

    Args:
        doc: what ``--help`` says.
        options: the default of a number, or the names to choose from, the default first.
    """
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    for name, given in options.items():
        if isinstance(given, int):
            parser.add_argument(f"--{name}", type=int, default=given, help=f"default {given}")
        else:
            default = given[0]
            parser.add_argument(
                f"--{name}", choices=given, default=default, help=f"default {default}"
            )
    return parser.parse_args()


def report(title: str, rows: Sequence[Row], targets: Iterable[Target], *, as_json: bool) -> None:
    """Print what was measured."""
    targets = list(targets)
    if as_json:
        print(
            json.dumps(
                {
                    "benchmark": title,
                    "python": platform.python_version(),
                    "cores": os.cpu_count(),
                    "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
                    "rows": [{**attrs.asdict(row), "median": row.median} for row in rows],
                    "targets": [attrs.asdict(target) for target in targets],
                }
            )
        )
        return
    width = max(len(row.name) for row in rows)
    print(f"{title} (Python {platform.python_version()}, {os.cpu_count()} cores)")
    print(f"{'':{width}}  {'median':>10} {'least':>10} {'most':>10}  n")
    for row in rows:
        figures = "".join(f"{x:>10,.2f} " for x in (row.median, min(row.samples), max(row.samples)))
        print(f"{row.name:{width}}  {figures} {len(row.samples)}  {row.unit}")
    for target in targets:
        figure = f"{target.value:,.2f} {target.unit}".rstrip()
        if target.between is not None:
            figure += ", 95 % between {:,.2f} and {:,.2f}".format(*target.between)
        verdict = {True: " (holds)", False: " (DOES NOT HOLD)", None: ""}[target.holds]
        print(f"{target.name}: {figure}{verdict}")
