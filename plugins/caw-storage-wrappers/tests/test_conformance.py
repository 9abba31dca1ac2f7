"""The suite that every storage is proven with, through each wrapper."""

from __future__ import annotations

from caw_storage_wrappers.conformance import (
    EncryptedConformance,
    ExpiringConformance,
    RedactedConformance,
)


class TestEncrypted(EncryptedConformance):
    pass


class TestRedacted(RedactedConformance):
    pass


class TestExpiring(ExpiringConformance):
    pass
