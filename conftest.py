"""Settings of all tests that pytest's own file cannot hold."""

from __future__ import annotations

import os
import signal

from hypothesis import settings

if "CI" not in os.environ:
    # There Hypothesis takes its profile "ci" by itself: the same examples in every run, no
    # deadline. Here examples differ from run to run; a busy machine is no failure either.
    settings.register_profile("caw", deadline=None)
    settings.load_profile("caw")

# A shell starts what it puts into the background with SIGINT ignored, and programs inherit that:
# the tests that press Ctrl-C would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
