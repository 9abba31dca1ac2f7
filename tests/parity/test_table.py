"""Every claim of docs/reference/features.md has a scenario that runs with the agent's program."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from feature_table import AGENTS, FEATURES, load_agents

COLLECT = """
import json, sys
import pytest

class Proofs:
    def pytest_collection_finish(self, session):
        found = set()
        for item in session.items:
            kind = item.callspec.params.get("kept") if hasattr(item, "callspec") else None
            if kind is not None and item.get_closest_marker("xfail") is None:
                found |= {(mark.args[0], kind.name) for mark in item.iter_markers("feature")}
        print("proofs", json.dumps(sorted(found)))

sys.exit(pytest.main(["--collect-only", "-qq", "-p", "no:cacheprovider", sys.argv[1]], [Proofs()]))
"""


@pytest.fixture(scope="module")
def proofs() -> set[tuple[str, str]]:
    """Return each feature and agent that some scenario is about and expected to hold for."""
    # In a process of its own: this run may have been asked for a part of the tests alone.
    done = subprocess.run(
        [sys.executable, "-c", COLLECT, str(Path(__file__).parent)],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    [line] = [line for line in done.stdout.splitlines() if line.startswith("proofs ")]
    return {(feature, agent) for feature, agent in json.loads(line.removeprefix("proofs "))}


@pytest.mark.parametrize("agent", AGENTS)
def test_what_a_cell_claims_is_run_with_the_agent(agent: str, proofs: set[tuple[str, str]]) -> None:
    provider = load_agents()[agent]
    claimed = [
        feature.name for feature in FEATURES if feature.support(provider).support != "unsupported"
    ]
    assert [name for name in claimed if (name, agent) not in proofs] == []


def test_every_mark_names_a_row(proofs: set[tuple[str, str]]) -> None:
    rows = {feature.name for feature in FEATURES}
    assert {name for name, _ in proofs} <= rows
