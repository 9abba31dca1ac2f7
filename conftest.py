"""Settings of all tests that pytest's own file cannot hold."""

from __future__ import annotations

import os

from hypothesis import settings

if "CI" not in os.environ:
    # There Hypothesis takes its profile "ci" by itself: the same examples in every run, no
    # deadline. Here examples differ from run to run; a busy machine is no failure either.
    settings.register_profile("caw", deadline=None)
    settings.load_profile("caw")
