"""The suite that every storage is proven with."""

from __future__ import annotations

from pathlib import Path

from caw_storage_jsonl.conformance import JsonlConformance


class TestJsonl(JsonlConformance):
    golden_stores = Path(__file__).parent / "golden"
