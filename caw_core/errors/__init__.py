"""Every error that caw raises, in one tree.

::

    CawError
    ├── ConfigError(ValueError)
    │   ├── UnknownProviderError        .name .known .hint
    │   ├── UnknownStorageError         .name .known .hint
    │   ├── AmbiguousProviderError      .name .candidates
    │   ├── UnsupportedError            .provider .options
    │   ├── ConfigFileError             .path .problem .line .key
    │   ├── ResumeHandleError           .problem
    │   └── NoTerminalError             .missing
    ├── PluginError                     .name .distribution
    │   ├── PluginLoadError             the plugin could not be imported
    │   ├── PluginApiError              it was written for another major version of caw
    │   └── PluginInvalidError          .problems
    ├── ProviderError(RuntimeError)     .provider .session_id .turn .passed_over
    │   ├── NotReadyError
    │   ├── ProgramNotFoundError(FileNotFoundError)   .program
    │   ├── AuthError
    │   ├── LimitError                  .kind .resets_at .source
    │   ├── ContextLimitError
    │   ├── ModelError                  .model
    │   ├── ConnectionFailedError(ConnectionError)
    │   ├── ProcessError                .exit_code .signal .stderr_tail
    │   ├── ProtocolError
    │   ├── NotResumableError
    │   ├── DeadlineError(TimeoutError) .kind .seconds
    │   ├── BudgetError
    │   ├── StructuredOutputError       .text .problems
    │   └── TurnInterruptedError
    ├── SessionStateError(RuntimeError)
    │   └── SessionBusyError            .holder
    ├── TrajectoryError(ValueError)
    │   ├── TrajectoryFormatError       .problems
    │   └── TrajectoryVersionError      .version
    └── StorageError
        └── PersistError(ExceptionGroup) .turn

A message says what happened and then what to do. Facts are attributes, so that programs need not
read texts. All of them pickle. This module is where they are imported from; the modules below it
hold a branch of the tree each.
"""

from __future__ import annotations

from caw_core.errors.base import CawError, _rebuild
from caw_core.errors.configuration import (
    AmbiguousProviderError,
    ConfigError,
    ConfigFileError,
    NoTerminalError,
    ResumeHandleError,
    UnknownProviderError,
    UnknownStorageError,
    UnsupportedError,
)
from caw_core.errors.plugins import (
    PluginApiError,
    PluginError,
    PluginInvalidError,
    PluginLoadError,
)
from caw_core.errors.providers import (
    AuthError,
    BudgetError,
    ConnectionFailedError,
    ContextLimitError,
    DeadlineError,
    LimitError,
    ModelError,
    NotReadyError,
    NotResumableError,
    ProcessError,
    ProgramNotFoundError,
    ProtocolError,
    ProviderError,
    StructuredOutputError,
    TurnInterruptedError,
)
from caw_core.errors.records import (
    PersistError,
    SessionBusyError,
    SessionStateError,
    StorageError,
    TrajectoryError,
    TrajectoryFormatError,
    TrajectoryVersionError,
)

__all__ = [
    "AmbiguousProviderError",
    "AuthError",
    "BudgetError",
    "CawError",
    "ConfigError",
    "ConfigFileError",
    "ConnectionFailedError",
    "ContextLimitError",
    "DeadlineError",
    "LimitError",
    "ModelError",
    "NoTerminalError",
    "NotReadyError",
    "NotResumableError",
    "PersistError",
    "PluginApiError",
    "PluginError",
    "PluginInvalidError",
    "PluginLoadError",
    "ProcessError",
    "ProgramNotFoundError",
    "ProtocolError",
    "ProviderError",
    "ResumeHandleError",
    "SessionBusyError",
    "SessionStateError",
    "StorageError",
    "StructuredOutputError",
    "TrajectoryError",
    "TrajectoryFormatError",
    "TrajectoryVersionError",
    "TurnInterruptedError",
    "UnknownProviderError",
    "UnknownStorageError",
    "UnsupportedError",
]

for _public in (_rebuild, *(globals()[_name] for _name in __all__)):
    # Tracebacks and pickles name the place that users import from, wherever the class stands.
    _public.__module__ = __name__
