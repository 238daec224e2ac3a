"""A SOAP peer that answers as a test says: for faults and statuses nobody serves."""

from __future__ import annotations

import socket
import struct
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from moatbridge.demo.servers.erp.wsdl import NAMESPACE, wsdl

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from pathlib import Path

SOAP11 = "http://schemas.xmlsoap.org/soap/envelope/"
SOAP12 = "http://www.w3.org/2003/05/soap-envelope"


@dataclass(frozen=True)
class Asked:
    """One request the peer received."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Told:
    """What the peer says.

    Args:
        status: HTTP status.
        body: The body's bytes or text.
        headers: More headers; they replace the usual content type.
        reset: Reset the connection instead of answering.
        bare: Leave out the ``Date`` header.
    """

    status: int = 200
    body: bytes | str = b""
    headers: dict[str, str] = field(default_factory=dict)
    reset: bool = False
    bare: bool = False


def envelope(body: str, *, header: str = "", version: str = SOAP11) -> str:
    """An answer with that content of Body."""
    top = f"<e:Header>{header}</e:Header>" if header else ""
    return f'<e:Envelope xmlns:e="{version}">{top}<e:Body>{body}</e:Body></e:Envelope>'


def fault(code: str, detail: str = "", text: str = "refused") -> str:
    """A SOAP 1.1 fault; the detail is the content of an ``OrderFault``."""
    inner = f'<detail><OrderFault xmlns="{NAMESPACE}">{detail}</OrderFault></detail>'
    return envelope(
        f"<e:Fault><faultcode>{code}</faultcode><faultstring>{text}</faultstring>"
        f"{inner if detail else ''}</e:Fault>"
    )


def item(number: int, **more: str) -> str:
    """One order of a list."""
    values = {"orderNr": f"PO-{number:04d}", "title": "t", "status": "draft"}
    values |= {"requester": "ann", "ordered": "2026-03-01", "currency": "EUR"} | more
    fields = "".join(f"<{name}>{text}</{name}>" for name, text in values.items())
    return f"<order>{fields}</order>"


def page(
    items: list[str], cursor: str = "", as_of: str = "2026-03-01T00:00:00Z"
) -> str:
    """An answer to ``ListOrders``."""
    return envelope(
        f'<ListOrdersResponse xmlns="{NAMESPACE}"><orders>{"".join(items)}</orders>'
        f"<nextCursor>{cursor}</nextCursor><asOf>{as_of}</asOf></ListOrdersResponse>"
    )


def stored(operation: str = "CreateOrder", number: str = "PO-0001") -> str:
    """An answer to a write."""
    return envelope(
        f'<{operation}Response xmlns="{NAMESPACE}"><orderNr>{number}</orderNr>'
        f"<version>2</version></{operation}Response>"
    )


def one(number: int = 1, **more: str) -> str:
    """An answer to ``GetOrder``."""
    return envelope(
        f'<GetOrderResponse xmlns="{NAMESPACE}">{item(number, **more)}</GetOrderResponse>'
    )


class ScriptedSoap:
    """Serves ``script(asked) -> Told`` on a free loopback port.

    Args:
        script: Called for each POST and GET; HEAD is answered with nothing.
        context: Serves TLS with it.
    """

    username = "moatbridge"
    password = "scripted-password"

    def __init__(
        self, script: Callable[[Asked], Told], context: ssl.SSLContext | None = None
    ) -> None:
        self.script = script
        self.asked: list[Asked] = []
        self.connections = 0
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.peer = self
        if context is not None:
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True
            )
        self._scheme = "http" if context is None else "https"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def origin(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}"

    def endpoint(self, flavour: str = "erp") -> str:
        return f"{self.origin}/{flavour}"

    def in_folder(self, folder: Path) -> Self:
        """Keep the WSDL that `wsdl_file` names in a folder."""
        self._folder = folder
        return self

    def wsdl_file(self, flavour: Any = "erp") -> Path:
        path = self._folder / f"{flavour}.wsdl"
        path.write_text(wsdl(flavour, self.endpoint(flavour)))
        return path

    @property
    def posted(self) -> list[str]:
        """Bodies of all POSTs."""
        return [asked.body.decode() for asked in self.asked if asked.method == "POST"]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    peer: ScriptedSoap

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is part of the script."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # a head and its body are two small packets
    server: _Server

    def setup(self) -> None:
        self.server.peer.connections += 1
        super().setup()

    def log_message(self, *args: Any) -> None:
        """Silent."""

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, self.path, headers, self.rfile.read(size))
        self.server.peer.asked.append(asked)
        self._tell(self.server.peer.script(asked))

    do_GET = do_POST  # noqa: N815 - the standard library's name

    def _tell(self, told: Told) -> None:
        if told.reset:
            self._reset()
            return
        body = told.body.encode() if isinstance(told.body, str) else told.body
        send = self.send_response_only if told.bare else self.send_response
        send(told.status)
        headers = {"Content-Type": "text/xml; charset=utf-8"} | told.headers
        if not {name.lower() for name in headers} & {"content-length", "connection"}:
            headers["Content-Length"] = str(len(body))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        if "Content-Length" not in headers or headers.get("Connection") == "close":
            self.close_connection = True

    def _reset(self) -> None:
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close_connection = True
        self.connection.close()
