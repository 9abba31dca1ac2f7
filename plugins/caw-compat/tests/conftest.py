"""A user's machine for scripts to run on, made anew for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .stage import Stage

if TYPE_CHECKING:
    from pathlib import Path

    from caw_testkit.modelserver import ModelServer


@pytest.fixture
def stage(tmp_path: Path, model_server: ModelServer) -> Stage:
    """Return a machine with claude."""
    return Stage(tmp_path / "user", model_server)


@pytest.fixture(
    params=[
        pytest.param(name, marks=getattr(pytest.mark, f"real_{name}"))
        for name in ("claude", "codex", "opencode")
    ]
)
def any_stage(request: pytest.FixtureRequest, tmp_path: Path, model_server: ModelServer) -> Stage:
    """Return a machine with each of the programs in turn."""
    return Stage(tmp_path / "user", model_server, request.param)
