"""Work that comes again and may take a while, done in a thread that lives while there is any."""

from __future__ import annotations

import heapq
import itertools
import os
import threading
import time
import weakref
from typing import Protocol


class Worker(Protocol):
    """Somebody with work that comes again."""

    def work(self) -> float | None:
        """Do what is due; return in how many seconds to come again, None if there is no need."""


class Chores:
    """One thread for all workers of a kind; unlike the checks of `caw_core.clock`, they may block.

    Workers are held weakly: one that nobody else holds any more has nothing to do. A fork starts
    without any.

    Args:
        name: the thread's.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._start()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._start)

    def _start(self) -> None:
        self._condition = threading.Condition(threading.RLock())
        self._order = itertools.count()
        self._due: list[tuple[float, int, weakref.ref[Worker]]] = []
        self._workers: weakref.WeakSet[Worker] = weakref.WeakSet()
        self._thread: threading.Thread | None = None
        self._at_work: Worker | None = None
        self._again: float | None = None

    def add(self, worker: Worker, seconds: float) -> None:
        """Have *worker* do its work in *seconds*, unless that is planned already."""
        with self._condition:
            if worker is self._at_work:
                # What it does now may have begun too early for what there is to do now.
                self._again = seconds
            if worker in self._workers:
                return
            self._workers.add(worker)
            self._push(worker, seconds)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            self._condition.notify()

    def remove(self, worker: Worker) -> None:
        """Leave *worker* alone; what it is doing now it does to its end. Idempotent."""
        with self._condition:
            self._workers.discard(worker)
            self._condition.notify()

    def _push(self, worker: Worker, seconds: float) -> None:
        entry = (time.monotonic() + seconds, next(self._order), weakref.ref(worker))
        heapq.heappush(self._due, entry)

    def _run(self) -> None:
        while (worker := self._next()) is not None:
            pause = worker.work()
            with self._condition:
                pause = self._again if pause is None else pause
                self._at_work = self._again = None
                if pause is None:
                    self._workers.discard(worker)
                elif worker in self._workers:
                    self._push(worker, pause)
            # It could not be collected before the next one is due otherwise.
            del worker

    def _next(self) -> Worker | None:
        """Wait for what is due; None where nobody has work any more."""
        with self._condition:
            while self._workers and self._due:
                when, _, reference = self._due[0]
                pause = when - time.monotonic()
                if pause > 0:
                    self._condition.wait(pause)
                    continue
                heapq.heappop(self._due)
                worker = reference()
                if worker is not None and worker in self._workers:
                    self._at_work = worker
                    return worker
            self._due.clear()
            self._thread = None
            return None
