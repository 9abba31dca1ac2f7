"""The suite holds for a storage that keeps every rule."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from importlib import resources
from typing import TYPE_CHECKING, ClassVar

from caw_core.hookspecs import StorageSpecs
from caw_core.migrations import DOCUMENT_VERSION
from caw_core.plugin_check import REQUIRED, hook_arguments
from caw_testkit.conformance import StorageConformance
from caw_testkit.conformance.storage_samples import golden_names
from caw_testkit.conformance.storage_suite import HOOKS

from .reference_storage import Reference

if TYPE_CHECKING:
    from pathlib import Path


class TestReference(StorageConformance):
    capabilities = frozenset(StorageConformance.known_capabilities)
    storage_class: ClassVar[type[Reference]] = Reference

    def make_storage(self, folder: Path) -> Reference:
        return self.storage_class(folder)

    def let_lease_run_out(self, folder: Path, session_id: str) -> None:
        with closing(sqlite3.connect(folder / "records.db")) as database, database:
            database.execute("UPDATE leases SET ends = 0 WHERE session = ?", (session_id,))


def test_every_optional_hook_of_a_storage_can_be_declared() -> None:
    hooks = {name for name in vars(StorageSpecs) if name in hook_arguments()}
    assert set(HOOKS) == hooks - set(REQUIRED["storage"])


def test_there_is_a_golden_document_of_each_version() -> None:
    folder = resources.files("caw_testkit.conformance") / "golden"
    documents = [json.loads((folder / name).read_text()) for name in golden_names()]
    versions = {document.get("version", 1) for document in documents}
    assert versions == set(range(1, DOCUMENT_VERSION + 1))
