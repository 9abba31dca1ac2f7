"""Job objects of Windows, by `ctypes`: processes that are ended as one, also when we are gone.

Layouts and numbers are those of the Windows SDK's ``winnt.h``, ``tlhelp32.h`` and ``winbase.h``,
as learn.microsoft.com documents them; of fixed widths here, so that they are the same on every
system and can be tested on any.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import sys
from collections.abc import Iterator
from typing import Any, Final

_DWORD = ctypes.c_uint32
_BOOL = ctypes.c_int32
_HANDLE = ctypes.c_void_p

KILL_ON_JOB_CLOSE: Final = 0x2000
BASIC_ACCOUNTING: Final = 1
EXTENDED_LIMITS: Final = 9
_PROCESS_TERMINATE: Final = 0x0001
_PROCESS_SET_QUOTA: Final = 0x0100
_THREAD_SUSPEND_RESUME: Final = 0x0002
_SNAP_THREADS: Final = 0x0004
_INVALID_HANDLE: Final = ctypes.c_void_p(-1).value
_RESUME_FAILED: Final = 0xFFFFFFFF


class BasicLimits(ctypes.Structure):
    """``JOBOBJECT_BASIC_LIMIT_INFORMATION``."""

    _fields_ = (
        ("PerProcessUserTimeLimit", ctypes.c_int64),
        ("PerJobUserTimeLimit", ctypes.c_int64),
        ("LimitFlags", _DWORD),
        ("MinimumWorkingSetSize", ctypes.c_size_t),
        ("MaximumWorkingSetSize", ctypes.c_size_t),
        ("ActiveProcessLimit", _DWORD),
        ("Affinity", ctypes.c_size_t),
        ("PriorityClass", _DWORD),
        ("SchedulingClass", _DWORD),
    )


class IoCounters(ctypes.Structure):
    """``IO_COUNTERS``."""

    _fields_ = (
        ("ReadOperationCount", ctypes.c_uint64),
        ("WriteOperationCount", ctypes.c_uint64),
        ("OtherOperationCount", ctypes.c_uint64),
        ("ReadTransferCount", ctypes.c_uint64),
        ("WriteTransferCount", ctypes.c_uint64),
        ("OtherTransferCount", ctypes.c_uint64),
    )


class ExtendedLimits(ctypes.Structure):
    """``JOBOBJECT_EXTENDED_LIMIT_INFORMATION``."""

    _fields_ = (
        ("BasicLimitInformation", BasicLimits),
        ("IoInfo", IoCounters),
        ("ProcessMemoryLimit", ctypes.c_size_t),
        ("JobMemoryLimit", ctypes.c_size_t),
        ("PeakProcessMemoryUsed", ctypes.c_size_t),
        ("PeakJobMemoryUsed", ctypes.c_size_t),
    )


class BasicAccounting(ctypes.Structure):
    """``JOBOBJECT_BASIC_ACCOUNTING_INFORMATION``."""

    _fields_ = (
        ("TotalUserTime", ctypes.c_int64),
        ("TotalKernelTime", ctypes.c_int64),
        ("ThisPeriodTotalUserTime", ctypes.c_int64),
        ("ThisPeriodTotalKernelTime", ctypes.c_int64),
        ("TotalPageFaultCount", _DWORD),
        ("TotalProcesses", _DWORD),
        ("ActiveProcesses", _DWORD),
        ("TotalTerminatedProcesses", _DWORD),
    )


class ThreadEntry(ctypes.Structure):
    """``THREADENTRY32``."""

    _fields_ = (
        ("dwSize", _DWORD),
        ("cntUsage", _DWORD),
        ("th32ThreadID", _DWORD),
        ("th32OwnerProcessID", _DWORD),
        ("tpBasePri", ctypes.c_int32),
        ("tpDeltaPri", ctypes.c_int32),
        ("dwFlags", _DWORD),
    )


CALLS: Final[dict[str, tuple[Any, tuple[Any, ...]]]] = {
    "AssignProcessToJobObject": (_BOOL, (_HANDLE, _HANDLE)),
    "CloseHandle": (_BOOL, (_HANDLE,)),
    "CreateJobObjectW": (_HANDLE, (ctypes.c_void_p, ctypes.c_wchar_p)),
    "CreateToolhelp32Snapshot": (_HANDLE, (_DWORD, _DWORD)),
    "OpenProcess": (_HANDLE, (_DWORD, _BOOL, _DWORD)),
    "OpenThread": (_HANDLE, (_DWORD, _BOOL, _DWORD)),
    "QueryInformationJobObject": (
        _BOOL,
        (_HANDLE, ctypes.c_int32, ctypes.c_void_p, _DWORD, ctypes.c_void_p),
    ),
    "ResumeThread": (_DWORD, (_HANDLE,)),
    "SetInformationJobObject": (_BOOL, (_HANDLE, ctypes.c_int32, ctypes.c_void_p, _DWORD)),
    "TerminateJobObject": (_BOOL, (_HANDLE, ctypes.c_uint32)),
    "Thread32First": (_BOOL, (_HANDLE, ctypes.c_void_p)),
    "Thread32Next": (_BOOL, (_HANDLE, ctypes.c_void_p)),
}
"""The functions of ``kernel32`` that are called, with their results and arguments."""


class Job:
    """A job object whose processes end when it is closed, which our own end does too.

    Its handle is not inherited, so nobody but this process keeps it open. Jobs nest since Windows
    8, so it does not matter whether this process is in one, or a program makes one of its own.

    Raises:
        OSError: the system refused; of all methods.
    """

    def __init__(self) -> None:
        self._handle = _checked(_kernel32().CreateJobObjectW(None, None))
        limits = ExtendedLimits()
        limits.BasicLimitInformation.LimitFlags = KILL_ON_JOB_CLOSE
        size = ctypes.sizeof(limits)
        try:
            _checked(
                _kernel32().SetInformationJobObject(
                    self._handle, EXTENDED_LIMITS, ctypes.byref(limits), size
                )
            )
        except OSError:
            self.close()
            raise

    def add(self, pid: int) -> None:
        """Put a process in; whatever it starts from now on is in, too."""
        access = _PROCESS_SET_QUOTA | _PROCESS_TERMINATE
        with _closing(_checked(_kernel32().OpenProcess(access, 0, pid))) as process:
            _checked(_kernel32().AssignProcessToJobObject(self._handle, process))

    def terminate(self, status: int) -> None:
        """End all processes that are in it, with an exit *status*; they may take a moment."""
        _checked(_kernel32().TerminateJobObject(self._handle, status))

    def count(self) -> int:
        """Return how many processes are in it."""
        found = BasicAccounting()
        _checked(
            _kernel32().QueryInformationJobObject(
                self._handle, BASIC_ACCOUNTING, ctypes.byref(found), ctypes.sizeof(found), None
            )
        )
        return int(found.ActiveProcesses)

    def close(self) -> None:
        """End what is left in it, and give its handle back."""
        _kernel32().CloseHandle(self._handle)


def resume(pid: int) -> None:
    """Let a process run that was started with ``CREATE_SUSPENDED``.

    `subprocess` closes the handle of its first thread, so that thread is looked up.

    Raises:
        OSError: the system refused.
    """
    entry = ThreadEntry(dwSize=ctypes.sizeof(ThreadEntry))
    with _closing(_checked(_kernel32().CreateToolhelp32Snapshot(_SNAP_THREADS, 0))) as snapshot:
        more = _kernel32().Thread32First(snapshot, ctypes.byref(entry))
        while more:
            if entry.th32OwnerProcessID == pid:
                thread = _kernel32().OpenThread(_THREAD_SUSPEND_RESUME, 0, entry.th32ThreadID)
                with _closing(_checked(thread)):
                    if _kernel32().ResumeThread(thread) == _RESUME_FAILED:
                        raise _last_error()
            more = _kernel32().Thread32Next(snapshot, ctypes.byref(entry))


@functools.cache
def _kernel32() -> Any:
    if sys.platform != "win32":
        raise OSError("job objects are Windows's")
    library = ctypes.WinDLL("kernel32", use_last_error=True)
    for name, (result, arguments) in CALLS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def _last_error() -> OSError:
    if sys.platform != "win32":
        return OSError()
    return ctypes.WinError(ctypes.get_last_error())


def _checked(result: int | None) -> int:
    """Return what a call returned, unless that means that it failed."""
    if not result or result == _INVALID_HANDLE:
        raise _last_error()
    return result


@contextlib.contextmanager
def _closing(handle: int) -> Iterator[int]:
    try:
        yield handle
    finally:
        _kernel32().CloseHandle(handle)
