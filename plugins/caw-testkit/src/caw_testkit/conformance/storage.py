"""`StorageConformance`: the checks that prove a storage plugin."""

from __future__ import annotations

from caw_testkit.conformance.storage_amounts import AmountChecks
from caw_testkit.conformance.storage_crashes import CrashChecks
from caw_testkit.conformance.storage_deletes import DeleteChecks
from caw_testkit.conformance.storage_expiry import ExpiryChecks
from caw_testkit.conformance.storage_failures import FailureChecks
from caw_testkit.conformance.storage_filters import FilterChecks
from caw_testkit.conformance.storage_leases import LeaseChecks
from caw_testkit.conformance.storage_lists import ListChecks
from caw_testkit.conformance.storage_live import LiveChecks
from caw_testkit.conformance.storage_ranges import RangeChecks
from caw_testkit.conformance.storage_records import RecordChecks
from caw_testkit.conformance.storage_searches import SearchChecks
from caw_testkit.conformance.storage_sessions import SessionChecks
from caw_testkit.conformance.storage_sharing import SharingChecks
from caw_testkit.conformance.storage_values import ValueChecks


class StorageConformance(
    # pytest runs the checks of the last base first: what fails there makes the others fail too.
    AmountChecks,
    LiveChecks,
    SharingChecks,
    SearchChecks,
    SessionChecks,
    DeleteChecks,
    FilterChecks,
    ListChecks,
    RangeChecks,
    CrashChecks,
    ExpiryChecks,
    LeaseChecks,
    FailureChecks,
    ValueChecks,
    RecordChecks,
):
    """Everything that is demanded of a storage.

    Subclass it in a test module, and say how the storage is opened and what it can do::

        class TestMine(StorageConformance):
            url = "mine://{folder}"
            capabilities = frozenset({"durable", "persist_session", "delete_session"})

    See `caw_testkit.conformance.storage_suite.StorageSuite` for what can be set and overridden.
    """
