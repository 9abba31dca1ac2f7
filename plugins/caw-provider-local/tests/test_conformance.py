"""The local model, the real one, against the checks that every provider must pass.

A model this small does not do as it is told. What it is to answer is therefore put into the form
that the answer must have, which a grammar holds it to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from caw_core import Prompt
from caw_testkit.conformance import ProviderConformance, ProviderScript

if TYPE_CHECKING:
    from pathlib import Path

    from caw_core.blocks import JSON


class LocalScript(ProviderScript):
    """Holds the model to its answer."""

    def answer(self, text: str) -> Prompt:
        return Prompt(text="Answer.", output_schema={"const": text})

    def stall(self, text: str) -> Prompt:
        # Longer than any test waits; the beginning of it is said at once.
        form = {"type": "array", "prefixItems": [{"const": text}], "minItems": 100_000}
        return Prompt(text="Answer.", output_schema=form)

    def fail(self) -> str:
        return "word " * 20_000

    def structured(self, value: JSON) -> str:
        return f"Answer {value}."


class TestLocal(ProviderConformance):
    provider = "local"
    cannot = {  # noqa: RUF012 - as the suite declares it
        "ask_permission": "the model has no tools",
        "call_tool": "the model has no tools",
        "recall": "the model is too small to say what it was told",
        "run_command": "the model has no tools",
        "think": "the model cannot reason",
        "wire": "it drives no program",
    }

    @pytest.fixture
    def script(self, loaded: None) -> LocalScript:
        return LocalScript()

    @pytest.fixture
    def agent_options(self, tmp_path: Path) -> dict[str, Any]:
        return {"temperature": 0.0, "max_tokens": 2000}
