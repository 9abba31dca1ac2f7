"""The scripted model server: what a test starts, scripts and asks."""

from __future__ import annotations

import itertools
import socket
import sys
import threading
import uuid
from http.server import ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from caw_testkit.modelserver.asides import KNOWN_ASIDES
from caw_testkit.modelserver.dialects.dialect import Ids
from caw_testkit.modelserver.handler import ModelHandler
from caw_testkit.modelserver.request import MODEL_APIS
from caw_testkit.modelserver.script import Aside, Script, checked, settled
from caw_testkit.modelserver.steps import Fail
from caw_testkit.modelserver.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType
    from typing import Self

    from caw_testkit.modelserver.request import Predicate, RecordedRequest
    from caw_testkit.modelserver.steps import Answer, Responder, Step

__all__ = ["ModelServer"]

# How long stopping waits for the thread that accepts connections, in seconds.
_STOP_SECONDS = 5.0
_POLL_SECONDS = 0.05


class ModelServer:
    """A model vendor on the loopback interface that says what a test scripts.

    It speaks OpenAI's Responses and Chat Completions APIs and Anthropic's Messages API on one
    port. Start it with ``with ModelServer() as server:`` or by ``start()`` and ``stop()``. All
    methods may be called from any thread.
    """

    def __init__(self, *, known_asides: Iterable[Aside] = KNOWN_ASIDES) -> None:
        """Prepare a server; ``start`` opens its port.

        Args:
            known_asides: requests that are answered without a script; see ``KNOWN_ASIDES``.
        """
        self._known_asides = tuple(known_asides)
        self._token = uuid.uuid4().hex[:8]
        self._counter = itertools.count()
        self._changed = threading.Condition(threading.RLock())
        self._script = Script(self._known_asides)
        self._requests: list[RecordedRequest] = []
        self._asides: list[RecordedRequest] = []
        self._listener: _Listener | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """``http://127.0.0.1:PORT``, without ``/v1``.

        Raises:
            RuntimeError: the server does not run.
        """
        if self._listener is None:
            message = "the model server does not run; use it in a with block or call start()"
            raise RuntimeError(message)
        return f"http://127.0.0.1:{self._listener.server_address[1]}"

    def start(self) -> Self:
        """Open a free port and serve it from a daemon thread.

        Raises:
            RuntimeError: the server runs already.
        """
        if self._listener is not None:
            message = "the model server runs already"
            raise RuntimeError(message)

        class Handler(ModelHandler):
            answer = self._answer
            next_index = self._counter.__next__

        self._listener = _Listener(Handler, self._crashed)
        self._thread = threading.Thread(
            target=self._listener.serve_forever,
            args=(_POLL_SECONDS,),
            name="caw-testkit model server",
            daemon=True,
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        """Close the port and every connection. What was recorded stays; twice does no harm."""
        listener, thread = self._listener, self._thread
        self._listener = self._thread = None
        if listener is None or thread is None:
            return
        listener.shutdown()
        listener.server_close()
        listener.close_connections()
        thread.join(_STOP_SECONDS)

    def __enter__(self) -> Self:
        """Start the server."""
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the server. It does not verify: call ``verify`` for that."""
        self.stop()

    def script(self, *steps: Step, when: Predicate | None = None) -> None:
        """Append steps, of which each answers one model request, in order.

        A retry of the program is a request too and takes a step.

        Args:
            steps: answers, or callables that make one from the request.
            when: only requests for which this returns true take these steps, and such requests
                take no others. Calls with the same predicate object share one queue.

        Raises:
            TypeError: a step is neither an answer nor a callable.
        """
        found = checked(steps)
        with self._changed:
            self._script.add_steps(found, when)

    def respond(self, responder: Responder, *, when: Predicate | None = None) -> None:
        """Answer any number of requests with *responder* when no scripted step is left for them.

        Args:
            responder: makes an answer from the request, as ``echo`` does.
            when: only requests for which this returns true.
        """
        with self._changed:
            self._script.add_responder(responder, when)

    def aside(self, when: Predicate, step: Step) -> None:
        """Answer requests that a program makes by itself, without taking a scripted step.

        Such requests are recorded in ``asides``, not in ``requests``, and need not happen.

        Args:
            when: returns true for such a request.
            step: the answer, any number of times.

        Raises:
            TypeError: *step* is neither an answer nor a callable.
        """
        [found] = checked([step])
        with self._changed:
            self._script.add_aside(Aside(when=when, step=found))

    @property
    def requests(self) -> list[RecordedRequest]:
        """The requests so far that were not asides, in order of arrival."""
        with self._changed:
            return list(self._requests)

    @property
    def asides(self) -> list[RecordedRequest]:
        """The asides so far, in order of arrival."""
        with self._changed:
            return list(self._asides)

    @property
    def usage(self) -> Usage:
        """The sum of what was reported for ``requests``; asides and cut answers do not count."""
        return sum(
            (request.usage for request in self.requests if request.usage is not None),
            start=Usage.zero(),
        )

    def wait_for_requests(self, count: int, *, timeout: float = 10.0) -> list[RecordedRequest]:
        """Wait until *count* requests have arrived, and return all of them.

        Args:
            count: how many, asides not counted.
            timeout: how many seconds to wait.

        Raises:
            TimeoutError: fewer had arrived after *timeout* seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._requests) >= count, timeout):
                message = f"{len(self._requests)} of {count} requests came within {timeout:g} s"
                raise TimeoutError(message)
            return list(self._requests)

    def clear(self) -> None:
        """Forget all requests and all that was scripted; the known asides stay."""
        with self._changed:
            self._script = Script(self._known_asides)
            self._requests.clear()
            self._asides.clear()

    def verify(self) -> None:
        """Check that exactly what was scripted happened.

        Raises:
            AssertionError: it names every request that nothing answered, every step that was
                not used, and every callable that raised.
        """
        with self._changed:
            problems = self._script.problems()
        if problems:
            listed = "\n- ".join(problems)
            message = f"the model server's script and what happened differ:\n- {listed}"
            raise AssertionError(message)

    def _answer(self, request: RecordedRequest) -> tuple[Answer, Ids]:
        ids = Ids(token=self._token, number=request.index)
        with self._changed:
            script = self._script
            try:
                step = script.aside_for(request)
                if step is not None:
                    self._asides.append(request)
                else:
                    self._requests.append(request)
                    step = self._scripted(script, request)
            except Exception as error:  # noqa: BLE001 - a predicate of the test; verify() tells
                script.step_raised(request, error)
                return _refusal(request, f"a predicate raised {error!r}"), ids
            finally:
                self._changed.notify_all()
        if step is None:
            return _refusal(request, f"nothing is scripted for {request}"), ids
        try:
            return settled(step, request), ids
        except BaseException as error:  # noqa: BLE001 - pytest.fail() is no Exception
            with self._changed:
                script.step_raised(request, error)
            return _refusal(request, f"the scripted step raised {error!r}"), ids

    def _crashed(self, error: BaseException) -> None:
        with self._changed:
            self._script.crashed(error)

    @staticmethod
    def _scripted(script: Script, request: RecordedRequest) -> Step | None:
        if request.api in MODEL_APIS:
            return script.step_for(request)
        script.refuse(request, "the server does not know this path")
        return None


def _refusal(request: RecordedRequest, reason: str) -> Fail:
    # 400, because programs take it as final; they would retry a 500 for minutes.
    status = 400 if request.api in MODEL_APIS else 404
    return Fail(status=status, message=f"caw-testkit: {reason}", kind="unscripted_request")


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    # The default of 5 refuses connections when 40 sessions start at once.
    request_queue_size = 256

    def __init__(
        self, handler: type[ModelHandler], on_crash: Callable[[BaseException], None]
    ) -> None:
        self._on_crash = on_crash
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        super().__init__(("127.0.0.1", 0), handler)

    def server_bind(self) -> None:
        # HTTPServer.server_bind() asks the name service for this host's name.
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        with self._guard:
            self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        if isinstance(request, socket.socket):
            with self._guard:
                self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(
        self,
        request: socket.socket | tuple[bytes, socket.socket],
        client_address: object,
    ) -> None:
        del request, client_address
        error = sys.exception()
        # A client that is killed resets its connection; that is no fault of the server.
        if error is not None and not isinstance(error, OSError):
            self._on_crash(error)

    def close_connections(self) -> None:
        with self._guard:
            connections = list(self._open)
        for connection in connections:
            try:
                # Only shutdown wakes a thread that reads or waits on this socket.
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
