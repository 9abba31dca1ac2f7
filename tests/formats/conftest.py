"""The format's own models, from the distribution that defines them."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from platformdirs import user_cache_path

from caw_testkit.filelock import file_lock

HARBOR = "harbor==0.25.0"
MODELS = "harbor/models/trajectories/"


@pytest.fixture(scope="session")
def atif_model() -> Any:
    """Return ``harbor.models.trajectories.Trajectory``.

    Only the models are taken out of the wheel: harbor itself needs Python 3.12 and much besides,
    they need pydantic alone.
    """
    cache = user_cache_path("caw", appauthor=False)
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / HARBOR.replace("==", "-")
    with file_lock(cache / "harbor.lock", timeout=300):
        if not (folder / MODELS).is_dir():
            problem = fetch(folder)
            if problem and os.environ.get("CI"):
                pytest.fail(problem)
            elif problem:
                pytest.skip(problem)
    sys.path.insert(0, str(folder))
    try:
        from harbor.models.trajectories import (  # type: ignore[import-not-found]  # fetched above
            Trajectory,
        )
    finally:
        sys.path.remove(str(folder))
    return Trajectory


def fetch(folder: Path) -> str:
    """Put harbor's models into *folder*; return why that was not possible."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--ignore-requires-python", "--only-binary", ":all:", "--dest", str(folder), HARBOR]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return f"{HARBOR} cannot be downloaded: {done.stderr.strip()[-300:]}"
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.startswith(MODELS)]
        archive.extractall(folder, names)
    return ""
