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
if examples := os.environ.get("CAW_FUZZ_EXAMPLES"):
    settings.register_profile("long", deadline=None, max_examples=int(examples))
    settings.load_profile("long")

# A shell starts what it puts into the background with SIGINT ignored, nohup ignores SIGHUP, and
# programs inherit that: the tests that send these signals would wait for ever.
for number, handler in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)
