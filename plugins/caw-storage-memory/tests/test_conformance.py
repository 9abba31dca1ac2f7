"""The suite that every storage is proven with."""

from __future__ import annotations

from caw_storage_memory.conformance import MemoryConformance


class TestMemory(MemoryConformance):
    pass
