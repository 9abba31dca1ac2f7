"""codex's threads: opening one, opening it again, and letting go of it."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Final

import attrs

from caw_core.errors import (
    CawError,
    ProcessError,
    ProtocolError,
    ProviderError,
    SessionBusyError,
    UnsupportedError,
)
from caw_core.json_fields import mapping, text
from caw_provider_codex.configuration import thread_config
from caw_provider_codex.errors import NAME, refusal, without_key
from caw_provider_codex.imported import history_items
from caw_provider_codex.rpc import RpcError

if TYPE_CHECKING:
    from collections.abc import Callable

    from caw_core.blocks import JSON
    from caw_core.deadlines import Deadline
    from caw_core.provider import Permissions, StartRequest
    from caw_provider_codex.rpc import Peer, Sink

log = logging.getLogger("caw.codex")

_SANDBOX: Final[dict[Permissions, tuple[str, str]]] = {
    "read-only": ("read-only", "never"),
    "ask": ("workspace-write", "untrusted"),
    "auto-edit": ("workspace-write", "never"),
    "full": ("danger-full-access", "never"),
}
"""``sandbox`` and ``approvalPolicy`` of ``thread/start``."""

_AT_MOST: Final = {
    "read-only": frozenset({"readOnly"}),
    "workspace-write": frozenset({"readOnly", "workspaceWrite"}),
    "danger-full-access": frozenset(
        {"readOnly", "workspaceWrite", "dangerFullAccess", "externalSandbox"},
    ),
}


@attrs.frozen(kw_only=True)
class Thread:
    """A thread that is open; ``model`` and ``effort`` are what codex settled on."""

    id: str
    model: str
    effort: str
    notice: str = ""


def start_thread(
    peer: Peer, request: StartRequest, mark: str, sink: Sink, deadline: Deadline
) -> Thread:
    """Open a new thread and let *sink* have what codex says about it.

    Args:
        peer: the app-server.
        request: what was asked for.
        mark: what the thread's commands carry; see `caw_provider_codex.configuration.MARK`.
        sink: who listens.
        deadline: when to give up.

    Raises:
        ProviderError: codex refused, ended, or did not answer in time.
        UnsupportedError: the tools that were asked for cannot be had, or codex does not take the
            history that the conversation is to begin with.
    """
    thread = _new_thread(peer, "thread/start", _settings(request, mark), request, sink, deadline)
    if request.history is not None and request.history.turns:
        try:
            items = history_items(request.history)
            ask(peer, "thread/inject_items", {"threadId": thread.id, "items": items}, deadline)
        except ProviderError as error:
            peer.unsubscribe(sink)
            if not isinstance(error.__cause__, RpcError):
                raise
            msg = f"this codex takes no history: {error}"
            raise UnsupportedError(msg, provider=NAME, options=("history",)) from error
    return thread


def fork_thread(
    peer: Peer, request: StartRequest, parent: str, mark: str, sink: Sink, deadline: Deadline
) -> Thread:
    """Open a thread that begins with what was said in *parent*; see `start_thread`."""
    params = {"threadId": parent, "excludeTurns": True, **_settings(request, mark)}
    return _new_thread(peer, "thread/fork", params, request, sink, deadline)


def _new_thread(
    peer: Peer,
    method: str,
    params: dict[str, JSON],
    request: StartRequest,
    sink: Sink,
    deadline: Deadline,
) -> Thread:
    def listen(result: dict[str, JSON]) -> None:
        peer.subscribe(text(mapping(result, "thread"), "id"), sink)

    return _opened(ask(peer, method, params, deadline, listen), request)


def resume_thread(
    peer: Peer, request: StartRequest, thread_id: str, mark: str, sink: Sink, deadline: Deadline
) -> Thread:
    """Open an existing thread; one that lies in codex's archive is taken out of it.

    Raises:
        NotResumableError: codex does not have it.
        SessionBusyError: another process, or another session of this one, has it open.
        ProviderError: codex refused for another reason, ended, or did not answer in time.
    """
    if not peer.subscribe(thread_id, sink):
        msg = f"the codex thread {thread_id} is open in another session of this process; end that"
        raise SessionBusyError(msg, holder="this process")
    params = {"threadId": thread_id, "excludeTurns": True, **_settings(request, mark)}
    notice = ""
    try:
        try:
            result = ask(peer, "thread/resume", params, deadline)
        except CawError as error:
            if not _is_archived(error):
                raise
            ask(peer, "thread/unarchive", {"threadId": thread_id}, deadline)
            result = ask(peer, "thread/resume", params, deadline)
            notice = "the conversation was in codex's archive and was taken out of it"
        return attrs.evolve(_opened(result, request), notice=notice)
    except BaseException:
        peer.unsubscribe(sink)
        raise


def turn_settings(request: StartRequest, thread: Thread) -> dict[str, JSON]:
    """Return what holds for a turn of *thread* and those after it, for ``turn/start``.

    Args:
        request: what was asked for.
        thread: the thread, with the model and the effort to use.
    """
    if request.system_prompt:
        # ``developerInstructions`` would be ignored by ``thread/resume``. These are kept in
        # the thread, sent to the model when they change and again after a compaction; model
        # and effort must be repeated because they take precedence (codex 0.169.0, observed).
        return {
            "collaborationMode": {
                "mode": "default",
                "settings": {
                    "model": thread.model,
                    "reasoning_effort": thread.effort or None,
                    "developer_instructions": request.system_prompt,
                },
            }
        }
    params: dict[str, JSON] = {}
    if request.model:
        params["model"] = thread.model
    if request.reasoning:
        params["effort"] = request.reasoning
    return params


def unload_thread(peer: Peer, thread_id: str, seconds: float) -> None:
    """Make a server that goes on running let go of a thread, so that others can open it.

    ``thread/unsubscribe`` alone leaves the thread locked for another 60 seconds; archiving it
    unloads it at once, and taking it out of the archive again leaves nothing behind (observed
    with codex 0.169.0: 7 ms together). Failing is logged, never raised.
    """
    params: dict[str, JSON] = {"threadId": thread_id}
    try:
        with contextlib.suppress(RpcError):
            peer.call("thread/backgroundTerminals/clean", params, timeout=seconds)
        try:
            peer.call("thread/archive", params, timeout=seconds)
        except RpcError:
            peer.call("thread/unsubscribe", params, timeout=seconds)
        else:
            peer.call("thread/unarchive", params, timeout=seconds)
    except (RpcError, ProcessError, TimeoutError) as error:
        reason = without_key(str(error))
        log.warning("codex may keep a thread locked for a minute: %s", reason)


def ask(
    peer: Peer,
    method: str,
    params: dict[str, JSON],
    deadline: Deadline,
    on_result: Callable[[dict[str, JSON]], None] = lambda _: None,
) -> dict[str, JSON]:
    """Make a request about a thread; as `caw_provider_codex.rpc.Peer.call`, with caw's errors.

    Raises:
        NotResumableError: codex does not have the thread.
        SessionBusyError: another process has it open.
        ProviderError: codex refused for another reason, ended, or did not answer in time.
    """
    try:
        return peer.call(method, params, timeout=deadline.left, on_result=on_result)
    except RpcError as error:
        raise refusal(error) from error
    except ProcessError as error:
        raise error.again(NAME) from error
    except CawError:
        raise
    except TimeoutError as error:
        raise deadline.error(str(error)) from error


def _is_archived(error: CawError) -> bool:
    cause = error.__cause__
    return isinstance(cause, RpcError) and "is archived" in cause.message


def _settings(request: StartRequest, mark: str) -> dict[str, JSON]:
    sandbox, approval = _SANDBOX[request.permissions]
    params: dict[str, JSON] = {
        "cwd": str(request.cwd),
        "sandbox": sandbox,
        "approvalPolicy": approval,
        "config": thread_config(request, mark),
    }
    if request.model:
        params["model"] = request.model
    if request.additional_dirs:
        params["runtimeWorkspaceRoots"] = [str(request.cwd), *map(str, request.additional_dirs)]
    return params


def _opened(result: dict[str, JSON], request: StartRequest) -> Thread:
    thread_id = text(mapping(result, "thread"), "id")
    if not thread_id:
        msg = "codex opened a thread without an id"
        raise ProtocolError(msg, provider=NAME)
    asked, _ = _SANDBOX[request.permissions]
    granted = text(mapping(result, "sandbox"), "type")
    if granted not in _AT_MOST[asked]:
        msg = f"codex would run in the sandbox {granted!r} where {asked!r} was asked for"
        raise ProtocolError(msg, provider=NAME)
    return Thread(
        id=thread_id,
        model=text(result, "model"),
        effort=request.reasoning or text(result, "reasoningEffort"),
    )
