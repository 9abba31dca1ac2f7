"""What codex says about a thread, without the thread's id, which is the resume key."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from caw_core.errors import NotResumableError
from caw_core.provider import ResumeRequest
from caw_provider_codex.errors import refusal
from caw_provider_codex.exec_session import ExecSession
from caw_provider_codex.rpc import RpcError
from caw_provider_codex.server import Launch

if TYPE_CHECKING:
    from pathlib import Path

KEY = "01a1fd4e-4bbb-7802-96f5-516ac68e3710"


@pytest.mark.parametrize("key", [KEY, KEY.upper(), "my-thread"])
@pytest.mark.parametrize(
    "message",
    [
        "thread {} already has an active writer",
        "no rollout found for thread id {}",
        "thread not found: {}",
        "thread not loaded: {}",
        "cannot fork thread id {} now",
    ],
)
def test_refusal_does_not_repeat_the_key(message: str, key: str) -> None:
    said = str(refusal(RpcError(-32600, message.format(key))))
    assert message.format("…") in said
    assert key not in said


def test_missing_file_is_told_without_the_key(tmp_path: Path) -> None:
    request = ResumeRequest(session_id="mine", resume_key=KEY, cwd=tmp_path)
    launch = Launch.of(tmp_path / "codex", {"CODEX_HOME": str(tmp_path)})
    with pytest.raises(NotResumableError) as caught:
        ExecSession(launch, request, "why", KEY)
    assert KEY not in str(caught.value)
