"""One engine for the programs that agents consist of: start, talk, stop, leave nothing behind."""

from caw_core.process.child import Process, ProcessExit
from caw_core.process.environment import child_environment, home_folder
from caw_core.process.group import kill_marked, new_marker
from caw_core.process.lines import LineSplitter
from caw_core.process.shared import SharedPool

__all__ = [
    "LineSplitter",
    "Process",
    "ProcessExit",
    "SharedPool",
    "child_environment",
    "home_folder",
    "kill_marked",
    "new_marker",
]
