"""Starting claude and greeting it."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Final

import attrs

from caw_core.blocks import JSON
from caw_core.deadlines import Deadline
from caw_core.errors import CawError, ProcessError, ProtocolError
from caw_provider_claude_code import forms
from caw_provider_claude_code.control import ControlError, Peer
from caw_provider_claude_code.errors import NAME, start_failure
from caw_provider_claude_code.models import check_effort, offered_models
from caw_provider_claude_code.servers import failures, server_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_core.provider import ModelInfo, StartRequest
    from caw_provider_claude_code.control import Owner
    from caw_provider_claude_code.launch import Launch
    from caw_provider_claude_code.listener import Listener

START_SLOTS: Final = threading.BoundedSemaphore(max(1, os.cpu_count() or 1))
"""Starting takes about a second of one core; more at a time would only make all of them late."""


class NoControlProtocolError(ProtocolError):
    """Claude does not speak the control protocol."""


@attrs.frozen(kw_only=True)
class Started:
    """A claude that was greeted.

    Attributes:
        peer: it.
        models: the models that it offers.
        problems: what did not come up with it, a sentence each.
    """

    peer: Peer
    models: list[ModelInfo]
    problems: list[str]


def start_live(
    launch: Launch,
    conversation: list[str],
    request: StartRequest,
    listener: Listener,
) -> Started:
    """Start claude, greet it and give it its MCP servers.

    Args:
        launch: how to start it.
        conversation: the flags that name the conversation.
        request: what was asked for.
        listener: gets what it says.

    Raises:
        ConfigError: claude does not know the effort.
        NoControlProtocolError: it refused the greeting.
        ProviderError: it ended or did not answer in time.
    """
    deadline = Deadline("start", request.deadlines.start, provider=NAME)
    left = deadline.left
    if not START_SLOTS.acquire(timeout=-1 if left is None else left):
        raise deadline.error("Other sessions were still starting.")
    try:
        peer = start_once(launch, conversation, listener)
        try:
            greet = {**launch.greeting, **forms.greeting(launch.form)}
            greeting = peer.call(greet, timeout=deadline.left)
            models = offered_models(greeting)
            check_effort(models, launch.effort)
            problems = list(_give_servers(peer, request, deadline))
        except BaseException as error:
            peer.stop(request.deadlines.stop)
            raise _explained(error, deadline, listener.last_words) from error
    finally:
        START_SLOTS.release()
    return Started(peer=peer, models=models, problems=problems)


def start_once(launch: Launch, conversation: list[str], owner: Owner) -> Peer:
    """Start a claude that is not greeted."""
    return Peer(launch.argv(*conversation), cwd=launch.cwd, env=launch.env, owner=owner)


def _give_servers(peer: Peer, request: StartRequest, deadline: Deadline) -> Iterator[str]:
    if request.mcp_servers:
        servers = server_settings(request.mcp_servers)
        wanted = {"subtype": "mcp_set_servers", "servers": servers}
        yield from failures(peer.call(wanted, timeout=deadline.left))


def _explained(
    error: BaseException, deadline: Deadline, last_words: dict[str, JSON]
) -> BaseException:
    if isinstance(error, ControlError):
        return NoControlProtocolError(f"claude refused the handshake: {error}", provider=NAME)
    if isinstance(error, ProcessError):
        return start_failure(error, last_words)
    if isinstance(error, TimeoutError) and not isinstance(error, CawError):
        return deadline.error("claude did not answer the handshake.")
    return error
