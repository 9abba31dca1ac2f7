"""The check that nothing is left behind, and the count of what could be."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import threading
import uuid
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from caw_core.process.group import kill_marked, marked_pids
from caw_testkit.conformance.base import broken
from caw_testkit.conformance.provider_stage import Stage
from caw_testkit.conformance.provider_suite import ProviderSuite, merged

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    import pytest

    from caw_testkit.conformance.provider_script import ProviderScript

MARK = "CAW_CONFORMANCE_MARK"


@attrs.frozen(kw_only=True)
class Held:
    """What this process, and what it started, holds at a moment.

    Attributes:
        threads: how many live threads there are of each name, numbers in it left out.
        descriptors: how many descriptors are open; 0 where the system does not tell.
        processes: the processes that carry the check's mark; none where the system does not tell.
        files: what is in the folder for temporary files.
    """

    threads: Counter[str]
    descriptors: int
    processes: frozenset[int]
    files: frozenset[str]

    @classmethod
    def now(cls, mark: str) -> Held:
        """Look."""
        names = (thread.name for thread in threading.enumerate())
        # A folder of links, one for each descriptor; the one it is read with is counted always.
        tables = [folder for folder in ("/proc/self/fd", "/dev/fd") if Path(folder).is_dir()]
        return cls(
            threads=Counter(re.sub(r"\d+", "N", name) for name in names),
            descriptors=len(os.listdir(tables[0])) if tables else 0,  # noqa: PTH208 - links, not files
            processes=frozenset(marked_pids(mark, MARK)) - {os.getpid()},
            files=frozenset(os.listdir(tempfile.gettempdir())),  # noqa: PTH208 - names alone
        )

    def more_than(self, before: Held) -> list[str]:
        """Return what is held now and was not *before*, a sentence each."""
        found = []
        threads = self.threads - before.threads
        if threads:
            found.append(f"threads: {dict(threads)}")
        if self.descriptors > before.descriptors:
            found.append(f"file descriptors: {self.descriptors - before.descriptors}")
        if self.processes - before.processes:
            found.append(f"processes: {sorted(self.processes - before.processes)}")
        if self.files - before.files:
            found.append(f"temporary files: {sorted(self.files - before.files)}")
        return found


class LeftoverChecks(ProviderSuite):
    """What a session leaves behind when it has ended: nothing."""

    def test_nothing_is_left_behind(
        self,
        tmp_path: Path,
        script: ProviderScript,
        agent_options: Mapping[str, Any],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A service opens thousands of sessions: one process, thread or file each is too many.

        The first session may leave what later ones share, such as a cache or idle threads.
        """
        temporary = tmp_path / "temporary"
        temporary.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(temporary))
        mark = uuid.uuid4().hex
        env = {"env": {MARK: mark}} if "env" in agent_options else {}
        try:
            with self.staged(tmp_path, self.provider, merged(agent_options, env), script) as stage:
                _use(stage)
                before, host = Held.now(mark), _host()
                _use(stage)
                left: list[str] = []

                def nothing_is_left() -> bool:
                    # Threads that were told to end need a moment for it.
                    left[:] = Held.now(mark).more_than(before)
                    return not left

                stage.wait_for(nothing_is_left)
                if left:
                    broken(
                        "a session that has ended left behind " + "; ".join(left),
                        "close() ends what the session started: processes, threads, connections, "
                        "files",
                    )
        finally:
            kill_marked(mark, variable=MARK)
        if _host() != host:
            broken(
                f"the session changed its host from {host} to {_host()}",
                "hand variables and folder to the agent's process, and leave the host's alone",
            )


def _use(stage: Stage) -> None:
    """Leave one session without a turn, and another in the middle of one if that can be."""
    agent = stage.agent()
    agent.start_session().end()
    with agent.start_session() as session:
        stage.answered(session)
        if stage.can("stall"):
            followed = stage.stalled(session)
            session.end()
            followed.to_end()


def _host() -> tuple[str, dict[str, str]]:
    # pytest's own variable names the phase of the test.
    names = sorted(set(os.environ) - {"PYTEST_CURRENT_TEST"})
    digests = {name: hashlib.sha256(os.environ[name].encode()).hexdigest()[:8] for name in names}
    return str(Path.cwd()), digests
