"""How long importing takes: caw beside the existing wrapper.

    python3 dev.py bench import_time [--runs 15] [--json]

Each sample is a whole fresh process, so the start of Python itself is part of it and stands in a
row of its own. The rows take turns, so that what else the machine does meets all alike. ``first
names`` is what a program that uses caw pays before its first line of work. Bytecode is compiled
and files are in the system's cache, as for the second start of a program and each one after; the
two rows ``nothing compiled`` are as the first start after an installation, Python's own library
included.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _existing_wrapper import wrapper_python
from _report import Row, Target, arguments, report

MOST_MS = 120.0
TIMES_FASTER = 8.0


def one_process(python: Path, code: str, *options: str) -> float:
    """Return the milliseconds that a fresh process takes to run *code*."""
    # -I: neither the folder that we are in nor the environment adds anything.
    command = [str(python), "-I", *options, "-c", code]
    started = time.perf_counter()
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return (time.perf_counter() - started) * 1e3


def main() -> None:
    """Measure and report."""
    given = arguments(__doc__, runs=15)
    ours, theirs = Path(sys.executable), wrapper_python()
    cases = {
        "python": (ours, "pass"),
        "import caw_core": (ours, "import caw_core"),
        "first names": (ours, "from caw_core import Agent, Session"),
        "existing wrapper: import caw": (theirs, "import caw"),
        "existing wrapper: first names": (theirs, "from caw import Agent, Session"),
    }
    samples: dict[str, list[float]] = {name: [] for name in cases}
    for python, code in cases.values():
        one_process(python, code)
    for _ in range(given.runs):
        for name, (python, code) in cases.items():
            samples[name].append(one_process(python, code))
    for name in ("first names", "existing wrapper: first names"):
        python, code = cases[name]
        for _ in range(3):
            with tempfile.TemporaryDirectory() as empty:
                taken = one_process(python, code, "-X", f"pycache_prefix={empty}")
            samples.setdefault(f"{name}, nothing compiled", []).append(taken)
    rows = [Row(name=name, samples=tuple(taken)) for name, taken in samples.items()]
    middle = {name: statistics.median(taken) for name, taken in samples.items()}
    plain, full = middle["import caw_core"], middle["first names"]
    times = middle["existing wrapper: import caw"] / plain
    full_times = middle["existing wrapper: first names"] / full
    targets = [
        Target(name="import caw_core", value=plain, holds=plain <= MOST_MS, unit="ms"),
        Target(name="times faster, import", value=times, holds=times >= TIMES_FASTER),
        Target(name="first names", value=full, holds=full <= MOST_MS, unit="ms"),
        Target(name="times faster, names", value=full_times),
    ]
    report("import", rows, targets, as_json=given.json)


if __name__ == "__main__":
    main()
