"""The echo against the checks that every provider must pass."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from caw_testkit.conformance import ProviderConformance, ProviderScript

if TYPE_CHECKING:
    from caw_core.blocks import JSON


class EchoScript(ProviderScript):
    """The echo is told by directives what to do."""

    def answer(self, text: str) -> str:
        return text

    def recall(self) -> str:
        return "!history"

    def think(self, thought: str) -> str:
        return f"!think {thought}\ndone"

    def call_tool(self, output: str, call_id: str) -> str:
        return f"!tool read {{}} => {output}"

    def ask_permission(self) -> str:
        return '!ask shell {"command": "true"}'

    def fail(self) -> str:
        return "!fail connection"

    def stall(self, text: str) -> str:
        return f"{text}\n!slow 600"

    def structured(self, value: JSON) -> str:
        return f"!json {json.dumps(value)}"


class TestEcho(ProviderConformance):
    provider = "echo"
    cannot = {  # noqa: RUF012 - as the suite declares it
        "run_command": "it runs nothing",
        "wire": "it drives no program",
    }

    @pytest.fixture
    def script(self) -> EchoScript:
        return EchoScript()
