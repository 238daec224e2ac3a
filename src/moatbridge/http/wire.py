"""The quick transport: h11 over one connection, one request at a time.

The general client in front of a pool costs several times what a request itself does:
URL objects, header objects, cookies, locks, connection states (design note 0030). Here
`h11` alone reads and writes HTTP/1.1, over the same `Channel`, so egress, deadlines,
TLS and pins hold alike.

h11's errors quote what they refuse, which may be a credential or a person: they never
leave this module, not even as the context of another error.

Loaded lazily: this module imports h11, and the channel ssl.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import h11

from moatbridge.http.channel import KEEPALIVE, Channel, Flight
from moatbridge.http.inflating import AnswerError, inflated

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Iterator, Mapping

    from moatbridge.adapter import Net
    from moatbridge.http.url import BaseUrl

MAX_HEAD: Final = 65_536
"""Bytes of a head, of a chunk's first line or of a trailer that wait for their end."""

_PIECE: Final = 16_384
"""Bytes read at once."""

_BLANKS: Final = re.compile(rb"[ \t]{1024}")
"""No honest line holds that many. h11 tries each pair of ends on a run of blanks that
it refuses after all: 64 KiB of them would stop this process for eight seconds, which no
deadline ends. So a run may be no longer than this and one piece."""

_INFORMATIONAL: Final = 10
"""Answers before the final one, at most."""

_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})
_PLAIN: Final = "!$&'()*+,/:;=?@[]~%"
_TOGETHER: Final = 262_144
"""Bytes of a body that are copied behind the head, to leave with it."""


class WireAnswer:
    """One answer whose head has come; see `HttpClient` for who closes it."""

    __slots__ = ("_connection", "_transport", "headers", "lines", "status")

    def __init__(
        self, transport: WireTransport, connection: _Connection, head: h11.Response
    ) -> None:
        self.status: int = head.status_code
        self.headers: dict[str, str] = _joined(head.headers)
        self.lines: int = len(head.headers)
        self._transport = transport
        self._connection = connection

    def pieces(self) -> Iterator[bytes]:
        """The body without its content coding, as it comes."""
        coding = self.headers.get("content-encoding", "")
        yield from inflated(self._connection.body(), coding)

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
        self._net = net
        self._base = base
        self._origin = base.text.removesuffix(base.path)
        fixed = {"Host": self._origin.partition("://")[2], **headers}
        self._fixed = [(name.lower(), _line(name, fixed[name])) for name in fixed]
        self._context = _context(net) if base.scheme == "https" else None
        self._connection: _Connection | None = None
        self._used = 0.0

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
            AnswerError: What came is no answer, or the content is not as long as its
                ``Content-Length`` says.
            ValueError: A request that cannot be written down; nothing was sent.
            MoatbridgeError: From the core's own checks while connecting.
        """
        self.flight.sent = False
        request = self._request(method, url, headers, content)
        connection = self._ready()
        try:
            return WireAnswer(self, connection, connection.ask(request, content))
        except BaseException:
            self.close()
            raise

    def over(self) -> None:
        """The answer was read, or will not be."""
        if self._connection is not None and not self._connection.again():
            self.close()
        self._used = time.monotonic()

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.channel.close()

    def _ready(self) -> _Connection:
        if self._connection is not None:
            fresh = time.monotonic() - self._used <= KEEPALIVE
            if fresh and self._connection.channel.goes_on():
                return self._connection
            self.close()
        channel = Channel.dial(self._base.host, self._base.port, self._net, self.flight)
        if self._context is not None:
            try:
                channel = channel.encrypted(self._context, self._base.host)
            except BaseException:
                channel.close()
                raise
        self._connection = _Connection(channel)
        return self._connection

    def _request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | Iterable[bytes] | None,
    ) -> h11.Request:
        target = self._target(url)
        own = {name.lower() for name in headers}
        try:
            lines = [_line(name, headers[name]) for name in headers]
            lines += [line for name, line in self._fixed if name not in own]
            if not {"content-length", "transfer-encoding"} & own:
                lines += _length(method, content)
            return h11.Request(method=method, target=target, headers=lines)
        except (h11.LocalProtocolError, UnicodeEncodeError):
            msg = "a header that cannot be written"
        raise ValueError(msg)

    def _target(self, url: str) -> str:
        if not url.startswith(self._origin):
            msg = "another origin"
            raise ValueError(msg)
        target = quote(url[len(self._origin) :], safe=_PLAIN)
        return target if target[:1] == "/" else f"/{target}"


class _Connection:
    """A channel, and what h11 knows of the conversation on it."""

    __slots__ = ("_peer", "channel")

    def __init__(self, channel: Channel) -> None:
        self.channel: Channel = channel
        self._peer = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)

    def ask(
        self, request: h11.Request, content: bytes | Iterable[bytes] | None
    ) -> h11.Response:
        """Write a request and read the head of its answer; errors as `send`."""
        whole = (content,) if isinstance(content, bytes) else content or ()
        for block in self._blocks(request, whole):
            try:
                self.channel.write(block)
            except TimeoutError:
                raise
            except OSError as error:
                return self._refusal(error)
        return self._head()

    def body(self) -> Iterator[bytes]:
        """The answer's body, as it was sent."""
        while isinstance(event := self._event(), h11.Data):
            yield event.data

    def again(self) -> bool:
        """Make ready for another request, if nothing speaks against it."""
        if self._peer.trailing_data != (b"", False):
            return False
        try:
            self._peer.start_next_cycle()
        except h11.LocalProtocolError:
            return False
        return True

    def _blocks(
        self, request: h11.Request, content: Iterable[bytes]
    ) -> Iterator[bytes]:
        """What is to be written, the head and a small body's begin in one piece."""
        waiting = self._written(request)
        for piece in content:
            data = self._written(h11.Data(data=piece))
            if len(data) > _TOGETHER:
                yield waiting
                yield data
            else:
                yield waiting + data
            waiting = b""
        yield waiting + self._written(h11.EndOfMessage())

    def _refusal(self, error: OSError) -> h11.Response:
        """Who refuses a request early may have said why before hanging up."""
        self._peer.send_failed()
        try:
            return self._head()
        except (OSError, AnswerError):
            raise error from None

    def _written(self, event: h11.Request | h11.Data | h11.EndOfMessage) -> bytes:
        try:
            return self._peer.send(event)
        except h11.LocalProtocolError:
            msg = "the body is not as long as its Content-Length"
        raise AnswerError(msg)

    def _head(self) -> h11.Response:
        self._more()
        for _answer in range(_INFORMATIONAL):
            event = self._event()
            if isinstance(event, h11.Response):
                return event
            if not isinstance(event, h11.InformationalResponse):
                break
        msg = "no final answer"
        raise AnswerError(msg)

    def _event(self) -> object:
        """What h11 makes of the next bytes: one of its events, or that it pauses."""
        try:
            while (event := self._peer.next_event()) is h11.NEED_DATA:
                self._more()
        except h11.RemoteProtocolError:
            msg = "no answer of HTTP/1.1, or not all of one"
        else:
            return event
        raise AnswerError(msg)

    def _more(self) -> None:
        """Read on; what h11 holds by now is the beginning of a line or of a head."""
        if _BLANKS.search(self._peer.trailing_data[0]):
            msg = "a line of blanks"
            raise AnswerError(msg)
        self._peer.receive_data(self.channel.read(_PIECE))


def _context(net: Net) -> ssl.SSLContext:
    context = net.tls_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def _line(name: str, value: str) -> tuple[bytes, bytes]:
    return name.encode("ascii"), value.encode("ascii")


def _length(
    method: str, content: bytes | Iterable[bytes] | None
) -> list[tuple[bytes, bytes]]:
    if content is None:
        return [(b"Content-Length", b"0")] if method in _WITH_BODY else []
    if isinstance(content, bytes):
        return [(b"Content-Length", b"%d" % len(content))]
    return [(b"Transfer-Encoding", b"chunked")]


def _joined(lines: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Names in lower case; a repeated one is joined with a comma."""
    found: dict[str, str] = {}
    for raw_name, raw_value in lines:
        name, value = raw_name.decode("ascii"), _text(raw_value)
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
