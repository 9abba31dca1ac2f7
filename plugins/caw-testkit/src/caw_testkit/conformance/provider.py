"""`ProviderConformance`: the checks that prove a provider plugin."""

from __future__ import annotations

from caw_testkit.conformance.provider_abilities import AbilityChecks
from caw_testkit.conformance.provider_activity import ActivityChecks
from caw_testkit.conformance.provider_interactive import InteractiveChecks
from caw_testkit.conformance.provider_leftovers import LeftoverChecks
from caw_testkit.conformance.provider_resuming import ResumingChecks
from caw_testkit.conformance.provider_starting import StartingChecks, TwinChecks
from caw_testkit.conformance.provider_stopping import StoppingChecks
from caw_testkit.conformance.provider_turns import TurnChecks
from caw_testkit.conformance.provider_wire import WireChecks


class ProviderConformance(
    StartingChecks,
    TurnChecks,
    StoppingChecks,
    AbilityChecks,
    ActivityChecks,
    ResumingChecks,
    InteractiveChecks,
    TwinChecks,
    WireChecks,
    LeftoverChecks,
):
    """Subclass it in a test module, name the provider, and script its agent.

    ::

        class TestMine(ProviderConformance):
            provider = "mine"

            @pytest.fixture
            def script(self):
                return MyScript()

    What the provider declares in its `caw_core.provider.ProviderInfo` is checked; the rest is
    skipped. See `caw_testkit.conformance.provider_suite.ProviderSuite` for what can be set and
    overridden, and `caw_testkit.conformance.provider_script.ProviderScript` for the steps.
    """
