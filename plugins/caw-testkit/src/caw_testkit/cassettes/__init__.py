"""Cassettes: record what goes between a provider and its agent's program, and play it again."""

from __future__ import annotations

from caw_testkit.cassettes.check import Report, check_cassette
from caw_testkit.cassettes.errors import CassetteError, CassetteMismatchError
from caw_testkit.cassettes.recorder import record_cassette
from caw_testkit.cassettes.tape import Cassette, read_cassette

__all__ = [
    "Cassette",
    "CassetteError",
    "CassetteMismatchError",
    "Report",
    "check_cassette",
    "read_cassette",
    "record_cassette",
]
