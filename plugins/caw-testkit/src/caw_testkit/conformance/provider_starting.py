"""Checks of what happens before the first prompt, and of the awaitable twins."""

from __future__ import annotations

import asyncio
import ipaddress
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from caw_core import Agent, PluginRegistry
from caw_core.provider import ProviderInfo
from caw_testkit.conformance.base import broken, needs
from caw_testkit.conformance.provider_stage import Stage
from caw_testkit.conformance.provider_suite import (
    CAPABILITIES,
    PROOFS,
    ProviderSuite,
    name_of,
    offer,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_core import Session

_WATCHED = frozenset({"socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.posix_spawn"})


class Deeds:
    """What this process does while somebody watches; there is one for all checks.

    An audit hook cannot be taken away again, so it is added once and does nothing unless asked.
    """

    def __init__(self) -> None:
        self._lists: list[list[tuple[str, Any]]] = []
        self._added = False

    @contextmanager
    def watched(self) -> Iterator[list[tuple[str, Any]]]:
        """Note connections, look-ups of names, and programs that are started."""
        if not self._added:
            sys.addaudithook(self._note)
            self._added = True
        deeds: list[tuple[str, Any]] = []
        self._lists.append(deeds)
        try:
            yield deeds
        finally:
            self._lists.remove(deeds)

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in _WATCHED:
            for deeds in self._lists:
                deeds.append((event, arguments))


_deeds = Deeds()


class StartingChecks(ProviderSuite):
    """What opening a session may cost: no tokens, and no network but this machine's."""

    def test_provider_can_be_loaded_and_says_what_it_is(self, agent_provider: object) -> None:
        """`caw providers` lists it, and everything else asks it first."""
        registry = PluginRegistry()
        offer(registry, agent_provider)
        agent = Agent(name_of(agent_provider), registry=registry)
        with _deeds.watched() as deeds:
            info = agent.provider_info
        if deeds:
            broken(f"provider_info() did {deeds!r:.300}", "return constants, and look at nothing")
        if not isinstance(info, ProviderInfo) or not info.name or not info.description:
            broken(f"provider_info() gave {info!r}", "return a ProviderInfo with its description")
        unknown = sorted(info.capabilities - set(CAPABILITIES))
        if unknown:
            broken(
                f"capabilities that nobody knows: {', '.join(unknown)}",
                f"declare some of {', '.join(sorted(CAPABILITIES))}",
            )

    def test_declared_capabilities_can_be_proved(self) -> None:
        """What is declared is promised; a promise that no script can try is not worth much."""
        unproved = [
            f"{capability!r} ({PROOFS[capability]})"
            for capability in sorted(self.capabilities & set(PROOFS))
            if PROOFS[capability] in self.cannot
        ]
        if unproved:
            broken(
                f"declared, but the step that proves it is in cannot: {', '.join(unproved)}",
                "script the step, or do not declare the capability",
            )

    def test_session_starts_without_network_and_without_cost(self, stage: Stage) -> None:
        """Opening a session is a preparation: it reaches no service and spends no tokens."""
        before = stage.script.spent()
        with _deeds.watched() as deeds:
            session = stage.start()
        reached = [arguments for event, arguments in deeds if not _is_local(event, arguments)]
        if reached:
            broken(
                f"starting a session reached for {reached!r:.300}",
                "leave whatever needs a network to the first prompt",
            )
        if stage.script.spent() != before or session.trajectory.turns:
            broken("starting a session spent tokens", "send nothing before the first prompt")

    def test_readiness_is_told_without_network(self, stage: Stage) -> None:
        """`caw doctor` asks every provider, also where there is no network."""
        with _deeds.watched() as deeds:
            readiness = stage.agent().check_ready()
        reached = [arguments for event, arguments in deeds if not _is_local(event, arguments)]
        if reached or not readiness.ready:
            broken(
                f"check_ready() gave {readiness!r} and reached for {reached!r:.300}",
                "look at files, PATH and variables only; here everything is ready",
            )


class TwinChecks(ProviderSuite):
    """The awaitable twins are made by the core; a provider must work under them all the same."""

    def test_awaitable_twins_do_the_same(self, stage: Stage) -> None:
        """Programs on asyncio get the same turns as others."""
        agent = stage.agent()
        with stage.keep(agent.start_session()) as session:
            stage.answered(session)
            plain = session.trajectory.turns[-1]

        async def twin() -> Session:
            async with await agent.start_session_async() as session:
                await session.send_async(stage.step("answer", "quince"))
            return session

        turn = asyncio.run(twin()).trajectory.turns[-1]
        seen = [[block.type for block in each.output] for each in (plain, turn)]
        if seen[0] != seen[1] or (turn.status, turn.stop_reason) != (
            plain.status,
            plain.stop_reason,
        ):
            broken(
                f"send() gave {plain.status} with {seen[0]}, send_async() {turn.status} with "
                f"{seen[1]}",
                "keep no state in thread-locals: each turn runs in a thread of its own",
            )

    @needs("interrupt")
    def test_cancelled_task_interrupts_the_turn(self, stage: Stage) -> None:
        """Cancelling an asyncio task must stop the agent, not only the waiting for it."""
        session = stage.start()
        prompt = stage.step("stall", "medlar")

        def wait_stalled() -> None:
            stage.wait_until(
                "the stall", lambda: "medlar" in _so_far(session), "see the step 'stall'"
            )
            stage.script.wait_stalled()

        async def cancel() -> None:
            task = asyncio.create_task(session.send_async(prompt))
            await asyncio.to_thread(wait_stalled)
            task.cancel()
            await asyncio.wait([task])

        asyncio.run(cancel())
        status = session.trajectory.turns[-1].status
        if status != "interrupted" or not stage.recorder.turns[-1].ended:
            broken(f"the turn is {status!r} after its task was cancelled", "see interrupt()")


def _so_far(session: Session) -> str:
    return "".join(turn.text for turn in session.trajectory.turns)


def _is_local(event: str, arguments: tuple[Any, ...]) -> bool:
    if event not in {"socket.connect", "socket.getaddrinfo"}:
        return True
    # (socket, address) for a connection, (host, port, …) for a look-up.
    address = arguments[1] if event == "socket.connect" else arguments
    if not isinstance(address, tuple):
        return True  # a socket in the file system
    host = address[0] or "localhost"
    if isinstance(host, bytes):
        host = host.decode(errors="replace")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
