"""`Endpoint`: posts envelopes to the configured address, and fetches documents.

No redirect is followed, no environment is read, nothing is repeated: only the HTTP
authentication schemes that begin with a challenge answer that challenge, once.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit

from moatbridge.errors import ConfigurationError, MoatbridgeError, NotApplied
from moatbridge_soap.config.system import origin_of
from moatbridge_soap.http._answer import HttpAnswer, broken
from moatbridge_soap.http._connection import Connection
from moatbridge_soap.http._cookies import Cookies

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from moatbridge.adapter import Net

AGENT: Final = "moatbridge-soap"
_LEGS: Final = 3
_BREAKS: Final = re.compile(r"[\r\n\0]")


class HttpAuth(Protocol):
    """One HTTP authentication scheme of one connection."""

    def headers(self, method: str, target: str) -> Mapping[str, str]:
        """Headers to send with the next request."""

    def challenged(self, challenges: list[str], peer: ssl.SSLSocket | None) -> bool:
        """Learn from a 401; True if the same request shall be sent once more."""

    def accepted(self, headers: Mapping[str, str]) -> None:
        """Check what the server proved in an answer that is not a 401."""


class Endpoint:
    """One address, one connection, used by one thread at a time.

    Args:
        net: The adapter's way to the network.
        url: The address.
        proxy: URL of a forward proxy.
        limit: Bytes of one answer after inflating.
        auth: HTTP authentication, if any.
    """

    def __init__(
        self,
        net: Net,
        url: str,
        *,
        proxy: str | None = None,
        limit: int,
        auth: HttpAuth | None = None,
    ) -> None:
        self.url = url
        self.origin: tuple[str, str, int] = origin_of(url)
        self.calls = 0
        self.cookies = Cookies()
        parts = urlsplit(url)
        query = f"?{parts.query}" if parts.query else ""
        self._target = (parts.path or "/") + query
        through = origin_of(proxy)[1:] if proxy else None
        self._connection = Connection(net, self.origin, through)
        self._net = net
        self._limit = limit
        self._auth = auth
        self._last: HttpAnswer | None = None

    @property
    def connection(self) -> Connection:
        """The connection, for facts about it."""
        return self._connection

    def connect(self) -> None:
        """Dial and encrypt now; see `Connection.ready`."""
        self._connection.ready(write=False)

    def post(
        self, message: bytes, headers: Mapping[str, str], *, write: bool
    ) -> HttpAnswer:
        """Post one envelope; returns as soon as the answer's head is there.

        Args:
            message: The envelope.
            headers: Content type, SOAPAction and the like.
            write: True if the operation may have effects.

        Raises:
            ConfigurationError: ``soap.auth`` (401, 403, 407), ``soap.redirect``,
                ``net.*``.
            NotApplied: ``net.*``, ``soap.unreachable``; for a read also
                ``soap.deadline``, ``soap.truncated``.
            OutcomeUnknown: The same codes, once bytes of a write had left.
        """
        return self.send("POST", message, headers, write=write)

    def send(
        self,
        method: str,
        body: bytes | None,
        headers: Mapping[str, str],
        *,
        write: bool = False,
        target: str | None = None,
        any_status: bool = False,
    ) -> HttpAnswer:
        """Send any request; see `post`. ``any_status``: no status is an error."""
        self._finish_last()
        path = target or self._target
        answer = self._once(method, path, body, headers, write=write)
        for _ in range(_LEGS):
            if not self._challenged(answer):
                break
            answer = self._once(method, path, body, headers, write=write)
        self._last = answer
        if self._auth is not None and answer.status != HTTPStatus.UNAUTHORIZED:
            self._auth.accepted(answer.headers)
        if not any_status:
            self._check_status(answer)
        answer.check_head()
        return answer

    def close(self) -> None:
        """Close the connection; idempotent, never raises."""
        self._last = None
        try:
            self._connection.close()
        except OSError:
            self._connection.sock = None

    def _once(
        self,
        method: str,
        target: str,
        body: bytes | None,
        headers: Mapping[str, str],
        *,
        write: bool,
    ) -> HttpAnswer:
        sent = {"User-Agent": AGENT, "Accept-Encoding": "gzip", **headers}
        if self._auth is not None:
            sent |= self._auth.headers(method, target)
        if cookie := self.cookies.header():
            sent["Cookie"] = cookie
        _check_headers(sent)
        if self._net.remaining() <= 0:
            message = f"Nothing was sent to {self._connection.host}: no time left."
            raise NotApplied(message, code="soap.deadline")
        self._connection.ready(write=write)
        self.calls += 1
        try:
            response = self._connection.ask(method, target, body, sent)
        except MoatbridgeError:
            raise
        except Exception as error:
            raise broken(self._connection, self._net, error, write=write) from error
        self.cookies.learn(response.headers.getlist("set-cookie"))
        return HttpAnswer(
            self._connection, response, self._net, write=write, limit=self._limit
        )

    def _challenged(self, answer: HttpAnswer) -> bool:
        """Whether a 401 asks for the same request again, with a better proof."""
        if answer.status != HTTPStatus.UNAUTHORIZED or self._auth is None:
            return False
        answer.read_some(1 << 20)
        challenges = answer.headers.getlist("www-authenticate")
        return self._auth.challenged(challenges, self._tls())

    def _finish_last(self) -> None:
        last, self._last = self._last, None
        if last is not None:
            last.end()

    def _tls(self) -> ssl.SSLSocket | None:
        sock = self._connection.sock
        return sock if hasattr(sock, "getpeercert") else None  # type: ignore[return-value]

    def _check_status(self, answer: HttpAnswer) -> None:
        status, host = answer.status, self._connection.host
        if status != HTTPStatus.NOT_MODIFIED and _is_redirect(status):
            self._connection.close()
            where = _shown_origin(answer.headers.get("location", ""))
            raise ConfigurationError(
                f"{host} redirects ({status}) to {where}, which is refused: no message "
                "and no password follows a redirect. Check endpoint.",
                code="soap.redirect",
            )
        if status in {
            HTTPStatus.UNAUTHORIZED,
            HTTPStatus.FORBIDDEN,
            HTTPStatus.PROXY_AUTHENTICATION_REQUIRED,
        } and not _is_xml(answer):
            self._connection.close()
            raise ConfigurationError(
                f"{host} answered {status}: it does not accept who we are. Check auth "
                "and this account's rights.",
                code="soap.auth",
            )


def _is_redirect(status: int) -> bool:
    return HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST


def _is_xml(answer: HttpAnswer) -> bool:
    # A fault that comes with 403 still is a fault, with a rule perhaps.
    forbidden = answer.status == HTTPStatus.FORBIDDEN
    return forbidden and "xml" in answer.media_type and "html" not in answer.media_type


def _check_headers(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        if _BREAKS.search(name) or _BREAKS.search(value):
            message = f"The HTTP header {name[:40]!r} would hold a line break."
            raise ConfigurationError(message, code="soap.header")


def _shown_origin(location: str) -> str:
    try:
        scheme, host, port = origin_of(location)
    except ValueError:
        return "another path of the same host"
    return f"{scheme}://{host}:{port}"
