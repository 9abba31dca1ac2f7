"""Suites that prove a plugin: subclass one in a test module; each check is a test of its own."""

from __future__ import annotations

from caw_testkit.conformance.base import Conformance, needs
from caw_testkit.conformance.provider import ProviderConformance
from caw_testkit.conformance.provider_events import (
    check_events,
    check_fold,
    check_provider_events,
    check_values,
)
from caw_testkit.conformance.provider_model_script import ModelScript
from caw_testkit.conformance.provider_script import ProviderScript
from caw_testkit.conformance.storage import StorageConformance

__all__ = [
    "Conformance",
    "ModelScript",
    "ProviderConformance",
    "ProviderScript",
    "StorageConformance",
    "check_events",
    "check_fold",
    "check_provider_events",
    "check_values",
    "needs",
]
