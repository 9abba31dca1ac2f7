"""What proves these storages: ``caw plugins --check encrypt`` and so on. It needs caw-testkit.

Each goes around the jsonl storage, and must do all that it does. Where one passes things on, few
kills of the writer will do: the storage inside has been proven.
"""

from __future__ import annotations

from pathlib import Path

from caw_storage_jsonl.conformance import JsonlConformance
from caw_storage_jsonl.storage import JsonlStorage
from caw_storage_wrappers.encrypted import EncryptedStorage
from caw_storage_wrappers.expiring import ExpiringStorage, length_of_time
from caw_storage_wrappers.keys import KeyRing
from caw_storage_wrappers.redacted import RedactedStorage

KEY = "test:" + "A" * 43
"""No secret: a key of zeros."""


class EncryptedConformance(JsonlConformance):
    """Everything encrypted."""

    def make_storage(self, folder: Path) -> object:
        """Open the storage around one in *folder*."""
        return EncryptedStorage(JsonlStorage(folder), KeyRing([KEY]))


class RedactedConformance(JsonlConformance):
    """Credentials taken out, of which the suite has none."""

    kills = 3

    def make_storage(self, folder: Path) -> object:
        """Open the storage around one in *folder*."""
        return RedactedStorage(JsonlStorage(folder))


class ExpiringConformance(JsonlConformance):
    """Sessions that nobody writes for long go; those of the suite are younger."""

    kills = 3

    def make_storage(self, folder: Path) -> object:
        """Open the storage around one in *folder*."""
        return ExpiringStorage(JsonlStorage(folder), length_of_time("52w"))
