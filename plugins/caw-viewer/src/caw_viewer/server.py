"""A web server for one reader: loopback, a key in the address, nothing that changes anything."""

from __future__ import annotations

import contextlib
import hmac
import ipaddress
import logging
import secrets
import socket
import threading
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from caw_core.errors import CawError, ConfigError, ResumeHandleError
from caw_core.formats.html import to_html
from caw_viewer import pages
from caw_viewer.records import Records

if TYPE_CHECKING:
    from types import TracebackType

log = logging.getLogger("caw.viewer")

_COOKIE = "caw_viewer"
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class ViewerServer:
    """A viewer that runs in threads of this process until `stop`, or the end of a ``with`` block.

    Args:
        records: what it shows.
        host: where to listen.
        port: likewise; 0 for any that is free.
    """

    def __init__(self, records: Records, host: str, port: int) -> None:
        self._key = secrets.token_urlsafe(32)
        answers = {"records": records, "key": self._key, "names": _own_names(host)}

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

        try:
            self._server = Server((host, port), type("Handler", (_Handler,), answers))
        except (OSError, OverflowError) as error:
            msg = f"cannot listen on {host} port {port}: {error}. Choose another port, or 0"
            raise ConfigError(msg) from error
        self.host = host
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """The address to open; it holds the key, so it is a secret."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/?key={self._key}"

    def check_status(self) -> bool:
        """Tell whether it runs."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """End it; idempotent."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        """Show where it listens; the key is a secret."""
        state = "running" if self.check_status() else "stopped"
        return f"ViewerServer({self.host!r}, {self.port}, {state})"


def start_viewer_server(
    *sources: object, host: str = "127.0.0.1", port: int = 0, any_file: bool = False
) -> ViewerServer:
    """Show records in a browser.

    Args:
        sources: storage URLs, storage plugins, one `caw_core.Store`, or paths of documents (caw's,
            the older wrapper's, ATIF).
        host: where to listen. What is not loopback can be read by everybody who has the address.
        port: likewise; 0 for any that is free.
        any_file: let the reader open other documents by their path.

    Returns:
        The server, which runs already; ``url`` is the address to open.

    Raises:
        ConfigError: there is nothing to show, or nobody can listen there.
        UnknownStorageError, PluginError: a storage is not installed, or broken.
    """
    return ViewerServer(Records(sources, any_file=any_file), host, port)


def _own_names(host: str) -> frozenset[str] | None:
    """Return the names by which a loopback server may be asked; None for any."""
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    return frozenset({host.lower(), "localhost", "127.0.0.1", "::1"}) if loopback else None


class _Handler(BaseHTTPRequestHandler):
    """Answers one browser."""

    records: Records
    key: str
    names: frozenset[str] | None
    server_version = "caw"
    sys_version = ""
    timeout = 30

    def do_GET(self) -> None:
        """Answer with a page."""
        try:
            asked = urlsplit(self.path)
            query = {name: values[-1] for name, values in parse_qs(asked.query).items()}
        except ValueError:
            self._problem(HTTPStatus.BAD_REQUEST, "the address cannot be understood")
            return
        if not self._is_for_us():
            self._problem(HTTPStatus.FORBIDDEN, "this server answers to its own name alone")
        elif hmac.compare_digest(query.get("key", "").encode(), self.key.encode()):
            self._let_in(asked.path)
        elif not self._has_key():
            reason = "open the whole address that caw viewer printed, with its key"
            self._problem(HTTPStatus.FORBIDDEN, reason)
        else:
            self._page(asked.path, query)

    do_HEAD = do_GET  # noqa: N815 - the name that the base looks for

    def _page(self, path: str, query: dict[str, str]) -> None:
        try:
            text = self._text(path, query)
        except (ConfigError, ResumeHandleError) as error:
            self._problem(HTTPStatus.BAD_REQUEST, error)
        except CawError as error:
            self._problem(HTTPStatus.INTERNAL_SERVER_ERROR, error)
        except Exception as error:
            log.exception("a page could not be made")
            self._problem(HTTPStatus.INTERNAL_SERVER_ERROR, type(error).__name__)
        else:
            if text is None:
                self._problem(HTTPStatus.NOT_FOUND, "there is nothing of that name here")
            else:
                self._send(HTTPStatus.OK, text)

    def _text(self, path: str, query: dict[str, str]) -> str | None:
        store = self.records.store
        match unquote(path).strip("/").split("/"):
            case [""]:
                return pages.sessions_page(self.records, query.get("cursor", ""))
            case ["search"] if store is not None:
                return pages.search_page(store, query.get("q", ""))
            case ["session", session_id] if store is not None:
                return pages.session_page(store, session_id)
            case ["document", number] if number in map(str, range(len(self.records.documents))):
                return to_html(self.records.document(int(number)), back="/")
            case ["file"] if self.records.any_file:
                return to_html(self.records.file(query.get("path", "")), back="/")
        return None

    def _is_for_us(self) -> bool:
        # A page from elsewhere can give this address a name of its own, which the browser sends.
        host = urlsplit(f"//{self.headers.get('Host', '')}").hostname or ""
        return self.names is None or host in self.names

    def _has_key(self) -> bool:
        cookies: SimpleCookie = SimpleCookie()
        with contextlib.suppress(CookieError):
            cookies.load(self.headers.get("Cookie", ""))
        found = cookies.get(self._cookie_name())
        return found is not None and hmac.compare_digest(found.value.encode(), self.key.encode())

    def _cookie_name(self) -> str:
        # Cookies do not tell ports apart.
        address: Any = self.server.server_address
        return f"{_COOKIE}_{address[1]}"

    def _let_in(self, path: str) -> None:
        self.send_response(HTTPStatus.SEE_OTHER)
        cookie = f"{self._cookie_name()}={self.key}; Path=/; HttpOnly; SameSite=Strict"
        self.send_header("Set-Cookie", cookie)
        # Of two slashes the first name would be another host's.
        self.send_header("Location", "/" + path.lstrip("/"))
        self._end("")

    def _problem(self, status: HTTPStatus, reason: object) -> None:
        self._send(status, pages.problem_page(status.phrase, reason))

    def _send(self, status: HTTPStatus, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self._end(text)

    def _end(self, text: str) -> None:
        body = text.encode(errors="backslashreplace")
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            with contextlib.suppress(ConnectionError):
                self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """Log nothing: the first line of the first request has the key in it."""
