"""Loaded models, one for each file and setting, shared by all sessions of the process.

Native code comes from xllamacpp (MIT; llama.cpp inside). Its server takes requests in the process
but opens an HTTP port as well, and has no switch against that (``server.cpp``, ``init``); so the
port is bound to loopback and locked with a random key that nobody is told.
"""

from __future__ import annotations

import secrets
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from caw_core.errors import ModelError, ProviderError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from caw_core.blocks import JSON

BATCH_TOKENS = 64
"""How much of a prompt is read between two looks at whether to go on (0.27 s with one thread);
larger batches were no faster: 431 tokens took 1.87 s with 64, 1.97 with 128 and 1.82 with 512."""

PROMPT_CACHE_MIB = 256
"""Memory in which conversations wait whose turn it is not, so that they need not be read again;
the library's own default is 8192."""

_SILENT = -1


@attrs.frozen(kw_only=True)
class ModelKey:
    """What makes two sessions share a model.

    Attributes:
        path: the weights, a GGUF file.
        n_ctx: the context window in tokens.
        threads: how many threads compute.
    """

    path: Path
    n_ctx: int
    threads: int


class Model:
    """A model that is in memory."""

    def __init__(self, key: ModelKey) -> None:
        """Load it; takes 0.3 to 0.5 s for the built-in weights.

        :raises ModelError: the file is not a model that llama.cpp can load.
        :raises ProviderError: xllamacpp cannot be imported.
        """
        try:
            import xllamacpp  # type: ignore[import-untyped]
        except ImportError as error:
            message = (
                f"xllamacpp cannot be imported: {error}. Reinstall it: "
                "pip install --force-reinstall 'xllamacpp>=2026.10,<2027'"
            )
            raise ProviderError(message, provider="local") from error
        params = xllamacpp.CommonParams()
        params.model.path = str(key.path)
        params.n_ctx = key.n_ctx
        params.n_batch = params.n_ubatch = BATCH_TOKENS
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = key.threads
        params.n_parallel = 1
        params.cache_ram_mib = PROMPT_CACHE_MIB
        params.warmup = False
        params.verbosity = _SILENT
        params.hostnames = ["127.0.0.1"]
        params.port = 0
        params.n_threads_http = 1
        params.api_keys = [secrets.token_urlsafe(32)]
        params.cors_origins = "null"
        params.cors_credentials = False
        params.ui = False
        params.endpoint_slots = params.endpoint_props = params.endpoint_metrics = False
        self._server: Any = None
        try:
            self._server = xllamacpp.Server(params)
        except RuntimeError as error:
            message = (
                f"{key.path} could not be loaded as a model ({error}). It must be a GGUF file that "
                f"llama.cpp knows, and {key.n_ctx} tokens of context must fit into memory."
            )
            raise ModelError(message, model=str(key.path), provider="local") from error

    @property
    def address(self) -> str:
        """Where the library's locked HTTP port is."""
        return str(self._server.listening_address)

    def chat(
        self,
        request: Mapping[str, JSON],
        on_chunk: Callable[[Mapping[str, JSON]], bool],
    ) -> Mapping[str, JSON]:
        """Answer a streaming chat request in the form of OpenAI's Chat Completions.

        Other threads run meanwhile: the library holds the interpreter's lock only for *on_chunk*.

        :param request: the request's body.
        :param on_chunk: gets each chunk and returns whether to stop. It must not raise, because
            the library would swallow that.
        :return: ``{"error": …}`` if the request was refused, else an empty mapping.
        :raises RuntimeError: the library could not read the request.
        :raises ValueError: it can make no grammar of the request's JSON Schema.
        """
        refusal: Mapping[str, JSON] | None
        refusal = self._server.handle_chat_completions(dict(request), on_chunk)
        return refusal or {}

    def free(self) -> None:
        """Give the memory back (0.04 s), whoever still holds this object."""
        self._server = None


@attrs.define(eq=False)
class _Entry:
    users: int = 0
    model: Model | None = None
    loading: Any = attrs.field(factory=threading.Lock)


class ModelPool:
    """Loads each model once and frees it with its last user."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[ModelKey, _Entry] = {}

    def is_loaded(self, key: ModelKey) -> bool:
        """Tell whether `acquire` would find the model in memory."""
        with self._lock:
            entry = self._entries.get(key)
            return entry is not None and entry.model is not None

    def acquire(self, key: ModelKey) -> Model:
        """Return the model, loaded if need be; each call needs one `release`."""
        with self._lock:
            entry = self._entries.setdefault(key, _Entry())
            entry.users += 1
        try:
            with entry.loading:
                if entry.model is None:
                    entry.model = Model(key)
                return entry.model
        except BaseException:
            self.release(key)
            raise

    def release(self, key: ModelKey) -> None:
        """Give back one `acquire`; the last one frees the model."""
        with self._lock:
            entry = self._entries[key]
            entry.users -= 1
            if entry.users:
                return
            del self._entries[key]
        if entry.model is not None:
            entry.model.free()

    @contextmanager
    def lent(self, key: ModelKey) -> Iterator[Model]:
        """Hold the model for a block."""
        model = self.acquire(key)
        try:
            yield model
        finally:
            self.release(key)


POOL = ModelPool()
"""The process's own: a second copy of the same weights would only cost memory."""
