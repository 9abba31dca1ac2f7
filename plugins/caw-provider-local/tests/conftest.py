"""What the tests share: the real model and requests for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from caw_core.provider import StartRequest
from caw_provider_local import LocalProvider
from caw_provider_local.cancellation import Cancellation
from caw_provider_local.pool import POOL, ModelKey
from caw_provider_local.weights import SMOLLM2, WeightsFile, models_dir

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def model_path() -> Path:
    """The built-in weights, fetched into the user's cache only where they are not there yet."""
    file = WeightsFile(weights=SMOLLM2, folder=models_dir())
    file.ensure(lambda _event: None, Cancellation())
    return file.path


@pytest.fixture(scope="session")
def loaded(model_path: Path) -> Iterator[None]:
    """Keep the model in memory from test to test, since loading takes longer than answering."""
    key = ModelKey(path=model_path, n_ctx=4096, threads=1)
    POOL.acquire(key)
    yield
    POOL.release(key)


@pytest.fixture
def provider(loaded: None) -> LocalProvider:
    return LocalProvider()


@pytest.fixture
def make_request(tmp_path: Path) -> Callable[..., StartRequest]:
    def make(**options: Any) -> StartRequest:
        return StartRequest(**{"session_id": "s-1", "cwd": tmp_path, **options})

    return make
