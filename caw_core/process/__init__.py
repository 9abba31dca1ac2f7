"""One engine for the programs that agents consist of: start, talk, stop, leave nothing behind."""

from caw_core.process.child import Process, ProcessExit
from caw_core.process.environment import child_environment
from caw_core.process.lines import LineSplitter

__all__ = ["LineSplitter", "Process", "ProcessExit", "child_environment"]
