"""A SOAP peer that does what no honest server does.

`BODIES` holds hostile answers as functions that yield their bytes, so that parsers can
be tested without a socket; `WIRE` holds what can only be done on a connection.
`HostileSoap` serves any of them on a free loopback port::

    with HostileSoap("billion-laughs") as peer:
        ...  # POST to peer.url

Bodies are answers to the ERP's ``ListOrders``.
"""

from __future__ import annotations

import contextlib
import gzip
import socket
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NS = "urn:example:erp:orders:1"
SOAP11 = "http://schemas.xmlsoap.org/soap/envelope/"
_OPEN = f'<e:Envelope xmlns:e="{SOAP11}"><e:Body>'
_LIST = f'<ListOrdersResponse xmlns="{NS}"><orders>'
_END = "</orders><nextCursor/><asOf>2026-03-01T00:00:00Z</asOf></ListOrdersResponse>"
_CLOSE = "</e:Body></e:Envelope>"
ITEM = (
    "<order><orderNr>PO-1</orderNr><title>t</title><status>draft</status>"
    "<requester>ann</requester><ordered>2026-03-01</ordered><currency>EUR</currency>"
    "</order>"
)
_PIECE = 64 * 1024


def answer(items: str = ITEM, *, prolog: str = "") -> str:
    """A well-formed answer to ``ListOrders`` with these items."""
    return f"{prolog}{_OPEN}{_LIST}{items}{_END}{_CLOSE}"


def _text(text: str, encoding: str = "utf-8") -> Callable[[], Iterator[bytes]]:
    return lambda: iter((text.encode(encoding),))


def _dtd(declaration: str, use: str = "t") -> str:
    item = ITEM.replace("<title>t</title>", f"<title>{use}</title>")
    return answer(item, prolog=f"<!DOCTYPE e:Envelope {declaration}>")


def _declared(text: str, encoding: str) -> Callable[[], Iterator[bytes]]:
    return _text(f'<?xml version="1.0" encoding="{encoding}"?>{text}', encoding)


def _laughs() -> str:
    entities = ['<!ENTITY l0 "ha">']
    entities += [f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10)]
    return _dtd(f"[{''.join(entities)}]", "&l9;")


def _quadratic() -> str:
    return _dtd(f'[<!ENTITY big "{"x" * 100_000}">]', "&big;" * 1000)


def _repeat(piece: str, times: int, before: str, after: str) -> Iterator[bytes]:
    yield before.encode()
    per = max(1, _PIECE // len(piece))
    whole, rest = divmod(times, per)
    block = (piece * per).encode()
    for _ in range(whole):
        yield block
    yield (piece * rest + after).encode()


def _head(items: str = "") -> str:
    return f"{_OPEN}{_LIST}{items}"


def _multi_ref_bomb() -> str:
    """Each level refers twice to the next: eager expansion is exponential."""
    chain = "".join(
        f'<multiRef id="i{n}"><a href="#i{n + 1}"/><b href="#i{n + 1}"/></multiRef>'
        for n in range(60)
    )
    body = '<r xmlns=""><return href="#i0"/></r>'
    return f'{_OPEN}{body}{chain}<multiRef id="i60">x</multiRef>{_CLOSE}'


def _cycle() -> str:
    body = '<r xmlns=""><return href="#a"/></r>'
    return (
        f'{_OPEN}{body}<multiRef id="a" href="#b"/><multiRef id="b" href="#a"/>{_CLOSE}'
    )


_EXTERNAL = '[<!ENTITY x SYSTEM "file:///etc/hostname">]'
_REMOTE = '[<!ENTITY x SYSTEM "http://127.0.0.1:9/x">]'
_PARAMETER = '[<!ENTITY % p SYSTEM "file:///etc/hostname"> %p;]'

BODIES: dict[str, Callable[[], Iterator[bytes]]] = {
    "dtd-empty": _text(_dtd("[]")),
    "dtd-system": _text(_dtd('SYSTEM "http://127.0.0.1:9/x.dtd"')),
    "dtd-public": _text(_dtd('PUBLIC "-//x//y" "file:///etc/hostname"')),
    "dtd-internal-entity": _text(_dtd('[<!ENTITY x "y">]', "&x;")),
    "dtd-file-entity": _text(_dtd(_EXTERNAL, "&x;")),
    "dtd-remote-entity": _text(_dtd(_REMOTE, "&x;")),
    "dtd-parameter-entity": _text(_dtd(_PARAMETER)),
    "dtd-default-attribute": _text(_dtd('[<!ATTLIST order urgent CDATA "true">]')),
    "dtd-utf-16": _declared(_dtd('[<!ENTITY x "y">]', "&x;"), "utf-16"),
    "dtd-iso-8859-1": _declared(_dtd('[<!ENTITY x "y">]', "&x;"), "iso-8859-1"),
    "dtd-utf-16-bomb": _declared(_laughs(), "utf-16"),
    "billion-laughs": _text(_laughs()),
    "quadratic-blowup": _text(_quadratic()),
    "laughs-in-attribute": _text(
        _laughs().replace("<order>", '<order urgent="&l9;">').replace(">&l9;<", "><")
    ),
    "endless-whitespace": lambda: _repeat(" ", 200_000_000, "", ""),
    "endless-whitespace-inside": lambda: _repeat(" \n", 50_000_000, _head(), ""),
    "endless-text": lambda: _repeat(
        "x" * 1000, 100_000, _head("<order><title>"), "</title></order>"
    ),
    "endless-comment": lambda: _repeat("x" * 1000, 100_000, _head("<!--"), "-->"),
    "name-of-5-mb": lambda: _repeat("n" * 1000, 5_000, _head("<order><"), "/></order>"),
    "200000-attributes": lambda: iter(
        (
            _head("<order ").encode(),
            *(f'a{n}="" '.encode() for n in range(200_000)),
            f"/>{_END}{_CLOSE}".encode(),
        )
    ),
    "200000-namespaces": lambda: iter(
        (
            _head("<order ").encode(),
            *(f'xmlns:a{n}="u:{n}" '.encode() for n in range(200_000)),
            f"/>{_END}{_CLOSE}".encode(),
        )
    ),
    "deep-nesting": lambda: _repeat("<d>", 1_000_000, _head("<order>"), ""),
    "endless-record": lambda: _repeat("<x/>", 20_000_000, _head("<order>"), ""),
    "endless-junk": lambda: _repeat("<x/>", 40_000_000, _head(), ""),
    "endless-headers-block": lambda: _repeat(
        "<x/>", 40_000_000, _OPEN.replace("<e:Body>", "<e:Header>"), ""
    ),
    "truncated-in-item": _text(answer()[: answer().index("<status>")]),
    "truncated-after-item": _text(answer()[: answer().index(_END)]),
    "truncated-before-close": _text(answer()[: -len("</e:Envelope>")]),
    "two-envelopes": _text(answer() + answer()),
    "two-bodies": _text(answer().replace("</e:Body>", "</e:Body><e:Body/>")),
    "trailing-garbage": _text(f"{answer()}garbage"),
    "html-page": _text(
        "<!DOCTYPE html><html><head><title>Sign in\x07 &amp; go</title></head></html>"
    ),
    "not-xml": _text('{"error": "not found"}'),
    "empty": _text(""),
    "binary": lambda: iter((bytes(range(256)) * 400,)),
    "other-root": _text(answer().replace("ListOrdersResponse", "ListUsersResponse")),
    "other-envelope": _text(answer().replace(SOAP11, "urn:other")),
    "envelope-inside": _text(f"<x>{answer()}</x>"),
    "undeclared-prefix": _text(answer().replace("<title>", '<title q:a="">')),
    "mismatched-tags": _text(answer().replace("</status>", "</stadus>")),
    "invalid-utf-8": lambda: iter(
        (answer().encode().replace(b">ann<", b">\xff\xfe<"),)
    ),
    "nul-byte": lambda: iter((answer().encode().replace(b">ann<", b">\x00<"),)),
    "multiref-bomb": _text(_multi_ref_bomb()),
    "multiref-cycle": _text(_cycle()),
}


def _whole(name: str) -> Callable[[socket.socket, threading.Event], None]:
    def serve(sock: socket.socket, _: threading.Event) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n")
        sock.sendall(b"Connection: close\r\n\r\n")
        for piece in BODIES[name]():
            sock.sendall(piece)

    return serve


def _gzip_bomb(sock: socket.socket, _: threading.Event) -> None:
    body = gzip.compress(_head().encode() + b" " * 100_000_000, 9)
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n")
    sock.sendall(b"Content-Encoding: gzip\r\n")
    sock.sendall(f"Content-Length: {len(body)}\r\n\r\n".encode() + body)


def _drip(sock: socket.socket, stop: threading.Event) -> None:
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n\r\n")
    for letter in answer():
        sock.sendall(letter.encode())
        if stop.wait(0.05):
            return


def _drip_headers(sock: socket.socket, stop: threading.Event) -> None:
    sock.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not stop.wait(0.05):
        sock.sendall(b"x")


def _stall(sock: socket.socket, stop: threading.Event) -> None:
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n\r\n")
    sock.sendall(answer()[:200].encode())
    stop.wait()


def _silent(sock: socket.socket, stop: threading.Event) -> None:
    del sock
    stop.wait()


def _endless_headers(sock: socket.socket, stop: threading.Event) -> None:
    sock.sendall(b"HTTP/1.1 200 OK\r\n")
    while not stop.is_set():
        sock.sendall(b"X-More: " + b"x" * 4000 + b"\r\n")


def _reset(sock: socket.socket, _: threading.Event) -> None:
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n\r\n")
    sock.sendall(answer()[:200].encode())
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")


def _short(sock: socket.socket, _: threading.Event) -> None:
    body = answer().encode()
    head = f"Content-Length: {len(body) + 100}\r\n\r\n".encode()
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n" + head + body)


def _redirect(status: int) -> Callable[[socket.socket, threading.Event], None]:
    def serve(sock: socket.socket, _: threading.Event) -> None:
        sock.sendall(f"HTTP/1.1 {status} Away\r\n".encode())
        sock.sendall(b"Location: http://127.0.0.1:9/elsewhere\r\n")
        sock.sendall(b"Content-Length: 0\r\n\r\n")

    return serve


WIRE: dict[str, Callable[[socket.socket, threading.Event], None]] = {
    "gzip-bomb": _gzip_bomb,
    "drip": _drip,
    "drip-headers": _drip_headers,
    "stall": _stall,
    "silent": _silent,
    "endless-headers": _endless_headers,
    "reset": _reset,
    "short-body": _short,
    "redirect-302": _redirect(302),
    "redirect-307": _redirect(307),
}


class HostileSoap:
    """Serves one behaviour to every connection, until it is left.

    Args:
        behaviour: A name of `BODIES` or `WIRE`, or a function of socket and stop event.
    """

    def __init__(self, behaviour) -> None:
        if isinstance(behaviour, str):
            behaviour = WIRE.get(behaviour) or _whole(behaviour)
        self._serve = behaviour
        self.requests: list[bytes] = []
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hostile"

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._run(self._accept)
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)

    def _run(self, work, *arguments) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._run(self._talk, sock)

    def _talk(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            sock.settimeout(60)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.requests.append(_request(sock))
            self._serve(sock, self._stop)


def _request(sock: socket.socket) -> bytes:
    """One whole request, by its Content-Length."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += sock.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    size = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            size = int(line.partition(b":")[2])
    while len(body) < size:
        body += sock.recv(65536)
    return head + b"\r\n\r\n" + body
