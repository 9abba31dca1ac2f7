"""What a storage's author tells the suite: how to open the storage, and how to harm it."""

from __future__ import annotations

import inspect
import os
import uuid
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import quote

import pytest

from caw_core.plugin_check import check_plugin, implementations
from caw_core.registry import default_registry
from caw_testkit.conformance.base import Conformance
from caw_testkit.conformance.storage_opened import OpenedStorage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HOOKS: Mapping[str, str] = MappingProxyType(
    {
        "persist_session": "keeps the head of a record also without a turn",
        "list_sessions": "lists sessions page by page",
        "delete_session": "deletes records",
        "lease_session": "lets one writer at a time write a session, across processes",
        "session_dir": "keeps each session in a folder of its own",
        "search_sessions": "finds turns by words in prompts and answers",
        "share_turns": "begins a fork with its parent's turns, which outlive the parent",
        "publish_events": "takes what a running session does, for others to follow",
        "read_events": "hands it out in other processes, in order, with gaps that show",
    },
)
"""The optional hooks of a storage, and what declaring each promises."""

CAPABILITIES: Mapping[str, str] = MappingProxyType(
    {
        **HOOKS,
        "durable": "what was acknowledged survives the process, and another one reads it",
        "fencing": "a writer whose lease was taken away cannot write any more",
        "turn_range": "reads some turns of a record at the cost of those, however long it is",
        "expiring_leases": "a lease holds as long as it is renewed, and until another one takes it",
        "server_clock": "leases run out by the store's own clock, whatever that of a writer says",
    },
)
"""Everything that a storage can declare."""

THOROUGH = os.environ.get("CAW_THOROUGH", "") not in ("", "0")
"""Whether the checks that depend on numbers take the large ones, which take minutes or hours."""


def visible(plugin: object) -> set[str]:
    """Return the capabilities that can be seen of a plugin without opening anything."""
    hooks = dict(implementations(plugin))
    ranges = "turns" in inspect.signature(hooks["load_trajectory"]).parameters
    return set(hooks) & set(HOOKS) | ({"turn_range"} if ranges else set())


class StorageSuite(Conformance):
    """The part of `StorageConformance` that its users fill in.

    Attributes:
        url: the storage's URL with ``{folder}`` where an absolute folder belongs, percent-encoded,
            as in ``"jsonl://{folder}"``. The folder exists and is empty. Instead of it,
            `make_storage` can be overridden.
        patience: how many seconds a lease may outlive its holder, at most.
        wake_up: how many seconds a reader that waits for events may take to see one, at most.
        kills: how often the writer is killed; 500 where CAW_THOROUGH is set in the environment.
        many_sessions: how many are listed page by page; 100,000 there.
        many_turns: how long the longest record is; 10,000 there.
        golden_stores: a folder with stores that older versions of the storage wrote, or None; see
            ``docs/how-to/prove-a-plugin.md`` for what is in it.
    """

    kind = "storage"
    known_capabilities = CAPABILITIES
    url: ClassVar[str] = ""
    patience: ClassVar[float] = 30.0
    wake_up: ClassVar[float] = 30.0
    kills: ClassVar[int] = 500 if THOROUGH else 20
    many_sessions: ClassVar[int] = 100_000 if THOROUGH else 200
    many_turns: ClassVar[int] = 10_000 if THOROUGH else 200
    golden_stores: ClassVar[Path | None] = None

    def make_storage(self, folder: Path) -> object:
        """Open the storage; each call opens it anew.

        Called several times with the same folder, which must then lead to the same store, and with
        other folders, which must lead to others; a storage that keeps nothing in folders can use
        ``folder.name`` as a prefix. Also called in processes of their own, on a new instance of
        the class, so it may use nothing but its argument and the environment.

        Args:
            folder: an absolute folder that exists; empty at first.

        Returns:
            A storage URL, or an opened plugin.
        """
        if not self.url:
            msg = f"{type(self).__name__} needs a 'url' with {{folder}} in it, or 'make_storage'"
            raise NotImplementedError(msg)
        return self.url.replace("{folder}", quote(folder.as_posix()))

    def make_unreachable(self, folder: Path) -> bool:
        """Make the store one that cannot be read, as a server that is down or a lost disk would.

        By default a file takes the place of the folder, which every user meets, root too.

        Returns:
            Whether it did; False if the storage keeps nothing there.
        """
        if not any(folder.iterdir()):
            return False
        folder.rename(folder.with_name(folder.name + "-away"))
        folder.write_bytes(b"")
        return True

    def damage(self, folder: Path) -> bool:
        """Damage what is stored, as a failing disk would.

        By default the middle half of every file in the folder becomes bytes that are no text.

        Returns:
            Whether it did; False if the storage keeps nothing there.
        """
        damaged = False
        for path in sorted(folder.rglob("*")):
            size = path.stat().st_size if path.is_file() else 0
            if size >= _LEAST:
                with path.open("r+b") as file:
                    file.seek(size // 4)
                    file.write(b"\xff" * (size // 2))
                damaged = True
        return damaged

    def take_lease_away(self, folder: Path, session_id: str) -> None:
        """Take a held lease from its holder, who does not notice: what ``fencing`` is about.

        A storage whose leases run out lets this one run out, which is the default there; one with
        rows deletes the row.
        """
        if "expiring_leases" in self.capabilities:
            self.let_lease_run_out(folder, session_id)
            return
        msg = f"{type(self).__name__} declares 'fencing', so it needs 'take_lease_away'"
        raise NotImplementedError(msg)

    def let_lease_run_out(self, folder: Path, session_id: str) -> None:
        """Make a held lease one whose time is over, as if it had not been renewed for that long.

        Nobody has taken it. One moves the moment at which it ends, in the store itself.
        """
        msg = f"{type(self).__name__} declares 'expiring_leases', so it needs 'let_lease_run_out'"
        raise NotImplementedError(msg)

    # ----------------------------------------------------------------------------- for the checks

    def open_storage(self, folder: Path) -> OpenedStorage:
        """Open the storage in *folder*, checked as the core checks a plugin."""
        made = self.make_storage(folder)
        plugin = default_registry().load_storage(made) if isinstance(made, str) else made
        check_plugin(plugin, name=type(self).__name__, kind="storage")
        return OpenedStorage(plugin, leasing="lease_session" in self.capabilities)

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        """Make an empty store."""
        folder = tmp_path / f"store-{uuid.uuid4().hex[:12]}"
        folder.mkdir()
        store = Store(self, folder)
        yield store
        store.release()


_LEAST = 16
"""Files that are smaller hold no record."""


class Store:
    """One store, and the storages that were opened on it.

    Attributes:
        suite: the author's class.
        folder: what ``make_storage`` is called with.
        storage: the storage that was opened first.
    """

    def __init__(self, suite: StorageSuite, folder: Path) -> None:
        self.suite = suite
        self.folder = folder
        self._opened: list[OpenedStorage] = []
        self.storage = self.open()

    def open(self) -> OpenedStorage:
        """Open the storage once more, beside those that are open."""
        storage = self.suite.open_storage(self.folder)
        self._opened.append(storage)
        return storage

    def reopened(self) -> OpenedStorage:
        """Return the storage as somebody finds it who comes later.

        All leases are given back. What is not durable is not opened anew.
        """
        self.release()
        return self.open() if "durable" in self.suite.capabilities else self.storage

    def release(self) -> None:
        """Give back every lease that was taken for writing."""
        for storage in self._opened:
            storage.release()
