"""The quick transport: one connection, one request at a time (design note 0030).

The general client in front of a pool costs four times what the request itself does:
URL objects, header objects, cookies, events, connection states. Here a request is one
block of bytes, and the answer is read by `moatbridge.http.framing`. The same `Channel`
lies under it, so egress, deadlines, TLS and pins hold alike.

Loaded lazily: the channel imports ssl.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from moatbridge.http.channel import KEEPALIVE, Channel, Flight
from moatbridge.http.framing import AnswerError, Head, Incoming, inflated

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Iterator, Mapping

    from moatbridge.adapter import Net
    from moatbridge.http.url import BaseUrl

_METHOD: Final = re.compile(r"[A-Z]+")
_NAME: Final = re.compile(r"[-!#$%&'*+.^_`|~0-9a-zA-Z]+")
_VALUE: Final = re.compile(r"(?:[!-~](?:[ \t]*+[!-~]++)*+)?")
_TARGET: Final = re.compile(r"[!#$&-;=?@A-Z\[\]_a-z~%]*")
_PLAIN: Final = "!#$&'()*+,/:;=?@[]~%"
_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})
_TOGETHER: Final = 262_144
"""Bytes of a body that are copied behind the head, to leave in one piece."""


class WireAnswer:
    """One answer whose head has come; see `HttpClient` for who closes it."""

    __slots__ = ("_read", "_transport", "headers", "lines", "status")

    def __init__(self, transport: WireTransport, head: Head) -> None:
        self.status: int = head.status
        self.headers: dict[str, str] = head.headers
        self.lines: int = head.lines
        self._transport = transport
        self._read = transport.incoming.body(head)

    def pieces(self) -> Iterator[bytes]:
        """The body without its content coding, as it comes."""
        yield from inflated(self._read, self.headers.get("content-encoding", ""))
        self._transport.answered = True

    def close(self) -> None:
        """Let go of the connection; one with an unread answer on it is closed."""
        self._transport.over()


class WireTransport:
    """Sends requests to one origin, one after the other.

    Args:
        net: The adapter's way to the network.
        base: Where requests may go.
        headers: Sent with every request, unless the request brings its own.
    """

    def __init__(self, net: Net, base: BaseUrl, headers: Mapping[str, str]) -> None:
        self.flight: Flight = Flight()
        self.answered: bool = False
        self.incoming: Incoming
        self._net = net
        self._base = base
        self._origin = base.text.removesuffix(base.path)
        fixed = {"Host": self._origin.partition("://")[2], **headers}
        self._lines = [(name.lower(), f"{name}: {fixed[name]}") for name in fixed]
        self._context = _context(net) if base.scheme == "https" else None
        self._channel: Channel | None = None
        self._used = 0.0
        self._lasting = False

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | Iterable[bytes] | None,
    ) -> WireAnswer:
        """Send one request and read the head of its answer.

        Raises:
            TimeoutError: The call's deadline.
            OSError: The connection broke.
            AnswerError: What came is no answer.
            ValueError: A header that cannot be written; nothing was sent.
            MoatbridgeError: From the core's own checks while connecting.
        """
        self.flight.sent = self.answered = False
        block = self._block(method, url, headers, content)
        channel = self._ready()
        try:
            head = self._exchange(channel, method, block, content, headers)
        except BaseException:
            self._drop()
            raise
        self._lasting = head.lasting
        return WireAnswer(self, head)

    def over(self) -> None:
        """The answer was read, or will not be."""
        reusable = self.answered and self._lasting and self.incoming.clean
        if not reusable:
            self._drop()
        self._used = time.monotonic()

    def close(self) -> None:
        """Close the connection."""
        self._drop()

    def _exchange(
        self,
        channel: Channel,
        method: str,
        block: bytes,
        content: bytes | Iterable[bytes] | None,
        headers: Mapping[str, str],
    ) -> Head:
        try:
            if content is None or isinstance(content, bytes):
                _write(channel, block, content or b"")
            else:
                channel.write(block)
                _stream(channel, content, _length(headers))
        except TimeoutError:
            raise
        except OSError as error:
            # Who refuses a request early may have said why before hanging up.
            try:
                return self.incoming.head(method)
            except (OSError, AnswerError):
                raise error from None
        return self.incoming.head(method)

    def _ready(self) -> Channel:
        channel = self._channel
        if channel is not None:
            fresh = time.monotonic() - self._used <= KEEPALIVE
            if fresh and channel.goes_on():
                return channel
            self._drop()
        channel = Channel.dial(self._base.host, self._base.port, self._net, self.flight)
        if self._context is not None:
            try:
                channel = channel.encrypted(self._context, self._base.host)
            except BaseException:
                channel.close()
                raise
        self._channel, self.incoming = channel, Incoming(channel.read)
        return channel

    def _drop(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    def _block(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | Iterable[bytes] | None,
    ) -> bytes:
        lines, own = [f"{_method(method)} {self._target(url)} HTTP/1.1"], set()
        for name, value in headers.items():
            if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
                msg = "a header that cannot be written"
                raise ValueError(msg)
            own.add(name.lower())
            lines.append(f"{name}: {value}")
        lines += [line for name, line in self._lines if name not in own]
        if not {"content-length", "transfer-encoding"} & own:
            lines += _framing(method, content)
        lines.append("\r\n")
        return "\r\n".join(lines).encode("ascii")

    def _target(self, url: str) -> str:
        if not url.startswith(self._origin):
            msg = "another origin"
            raise ValueError(msg)
        target = url[len(self._origin) :]
        if not _TARGET.fullmatch(target):
            target = quote(target, safe=_PLAIN)
        return target if target[:1] == "/" else f"/{target}"


def _context(net: Net) -> ssl.SSLContext:
    context = net.tls_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def _method(method: str) -> str:
    if not _METHOD.fullmatch(method):
        msg = "no method"
        raise ValueError(msg)
    return method


def _framing(method: str, content: bytes | Iterable[bytes] | None) -> list[str]:
    if content is None:
        return ["Content-Length: 0"] if method in _WITH_BODY else []
    if isinstance(content, bytes):
        return [f"Content-Length: {len(content)}"]
    return ["Transfer-Encoding: chunked"]


def _length(headers: Mapping[str, str]) -> int | None:
    for name, value in headers.items():
        if name.lower() == "content-length":
            return int(value)
    return None


def _write(channel: Channel, block: bytes, content: bytes) -> None:
    if len(content) <= _TOGETHER:
        channel.write(block + content)
    else:
        channel.write(block)
        channel.write(content)


def _stream(channel: Channel, chunks: Iterable[bytes], length: int | None) -> None:
    """A body in pieces; one that is not as long as was said ends the connection."""
    left = length or 0
    for chunk in chunks:
        if length is None:
            channel.write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if chunk else b"")
            continue
        left -= len(chunk)
        if left < 0:
            break
        channel.write(chunk)
    if left:
        msg = "the body is not as long as its Content-Length"
        raise AnswerError(msg)
    if length is None:
        channel.write(b"0\r\n\r\n")
