"""`HttpClient`: one request, one typed result. No loops, no sleeps, no retries.

What a caller may rely on (platforms 1-8):

* No redirect is followed, no environment is read, no credential stands in a URL.
* A body is counted after decompression while it streams, and is parsed strictly.
* `NotApplied` means that no byte of the request had left, or that the call was safe;
  `OutcomeUnknown` that something may have happened. Every status but 401 and 3xx comes
  back as a `Response`, because only the caller knows what it means.
"""

from __future__ import annotations

import json as json_text
import logging
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Self

from moatbridge.errors import (
    ConfigurationError,
    MoatbridgeError,
    NotApplied,
    OutcomeUnknown,
)
from moatbridge.http.credentials import Credentials
from moatbridge.http.rate import SILENT, RateInfo, clock_ahead, rate_info
from moatbridge.http.strict_json import (
    TooManyValues,
    parse_json,
    parse_json_thoroughly,
)
from moatbridge.http.url import BaseUrl, host_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from moatbridge.adapter import Net
    from moatbridge.http.settings import HttpConfig
    from moatbridge.http.transport import GeneralAnswer, GeneralTransport
    from moatbridge.http.wire import WireAnswer, WireTransport

    Transport = WireTransport | GeneralTransport
    Answer = WireAnswer | GeneralAnswer

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
MAX_HEADERS: Final = 100
MAX_LINE: Final = 65_536
_PASSING: Final = frozenset({408, 425, 429})
"""Statuses that proxies answer with pages of their own."""


@dataclass(frozen=True, slots=True)
class Response:
    """One complete answer.

    Args:
        method: The request's method.
        template: The request's path template: what logs and errors may show.
        status: HTTP status, never 401 or 3xx.
        headers: Names in lower case; a repeated one is joined with a comma.
        body: The parsed JSON; None when there was none, or on an error status none
            that could be read.
        rate: What the answer said about the quota.
    """

    method: str
    template: str
    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Any = field(default=None, repr=False)
    rate: RateInfo = field(default=SILENT, repr=False)

    @property
    def ok(self) -> bool:
        """True for 2xx."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def mapping(self) -> dict[str, Any]:
        """The body if it is a JSON object, else an empty dict."""
        return self.body if isinstance(self.body, dict) else {}


class HttpClient:
    """A connection to one base URL, used by one thread at a time.

    Args:
        net: The adapter's way to the network.
        config: Base URL, credentials, limits. The secret is resolved now.
        media_type: Sent as ``Content-Type``, and first in ``Accept``.
        on_rate: Called with the rate information of every answer that holds any.

    Attributes:
        base: The base URL, taken apart.
        requests: How many were sent.
    """

    def __init__(
        self,
        net: Net,
        config: HttpConfig,
        *,
        media_type: str = "application/json",
        on_rate: Callable[[RateInfo], None] | None = None,
    ) -> None:
        self.base: BaseUrl = config.base
        self.requests: int = 0
        self._dated: tuple[Mapping[str, str], datetime] | None = None
        self._net = net
        self._max_response = config.max_response
        self._on_rate = on_rate
        self._credentials = Credentials(config.auth, self.base.origin)
        self._media_type = media_type
        self._parse = parse_json if config.quick else parse_json_thoroughly
        self._transport = _open(net, config, media_type)

    @property
    def clock_ahead(self) -> float | None:
        """Seconds that our clock is ahead of the peer's.

        As the last answer with a ``Date`` says; None if there was none.
        """
        return clock_ahead(*self._dated) if self._dated else None

    def request(
        self,
        method: str,
        template: str,
        *,
        params: Mapping[str, str] | None = None,
        query: Mapping[str, str | Sequence[str]] | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        safe: bool | None = None,
        chunks: Iterable[bytes] | None = None,
    ) -> Response:
        """Send one request and read its whole answer.

        Args:
            method: HTTP method, in capitals.
            template: Path below the base URL, such as ``/Users/{id}``.
            params: Values for the template's braces.
            query: Query parameters; a sequence repeats its name.
            json: Body, sent as UTF-8 JSON; None sends none. Bytes go as they are.
            headers: More headers.
            safe: True if repeating cannot do harm; by default GET, HEAD, OPTIONS.
            chunks: Body in pieces, instead of ``json``, sent as they come: for what is
                too large to be held. Name its ``Content-Length`` in the headers.

        Raises:
            ConfigurationError: ``http.auth`` (401), ``http.redirect``, ``http.not-api``
                (an HTML page), ``net.*``.
            NotApplied: ``http.unreachable``, ``http.deadline``, ``http.broken``,
                ``http.too-large``, ``http.unreadable``, ``net.*``.
            OutcomeUnknown: The same codes once bytes of an unsafe request had left.
        """
        url = self.base.build(template, params, query)
        repeatable = method in SAFE_METHODS if safe is None else safe
        content = _content(json) if chunks is None else chunks
        return self._send(_Call(method, template, url, repeatable), content, headers)

    def follow(self, link: str, template: str) -> Response:
        """GET a link from an answer, if it lies below the base URL.

        Raises:
            ConfigurationError: ``http.other-origin``, and as `request`.
            NotApplied: As `request`.
        """
        url = self.base.text + self.base.accept(link)
        return self._send(_Call("GET", template, url, safe=True), None, None)

    def lines(
        self, template: str, *, query: Mapping[str, str] | None = None
    ) -> Iterator[str]:
        """GET a stream of lines (``text/event-stream``) and yield them as they come.

        Each line is waited for no longer than the current call's deadline.

        Raises:
            ConfigurationError: ``http.auth``, ``http.redirect``; ``http.not-api``: the
                answer is not such a stream.
            NotApplied: ``http.unreachable``, ``http.deadline``, ``http.broken``,
                ``http.too-large`` (a line of more than 64 KiB).
        """
        call = _Call("GET", template, self.base.build(template, None, query), safe=True)
        headers = {"Accept": "text/event-stream"}
        headers |= self._credentials.headers(self.base.origin)
        self.requests += 1
        try:
            answer = self._transport.send("GET", call.url, headers, None)
            with closing(answer):
                _check_events(call, answer)
                yield from _lines(call, answer.pieces())
        except MoatbridgeError:
            raise
        except Exception as error:
            raise self._failure(call, error) from error

    def close(self) -> None:
        """Close every connection; idempotent, never raises."""
        try:
            self._transport.close()
        except Exception:  # noqa: BLE001 - closing must not hide why we close
            logging.getLogger(__name__).debug("closing a connection failed")

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close."""
        self.close()

    def _send(
        self,
        call: _Call,
        content: bytes | Iterable[bytes] | None,
        headers: Mapping[str, str] | None,
    ) -> Response:
        sent_headers = dict(headers or {}) | self._credentials.headers(self.base.origin)
        if content is not None:
            sent_headers.setdefault("Content-Type", self._media_type)
        if self._net.remaining() <= 0:
            words = f"{call} was not sent: no time left."
            raise NotApplied(words, code="http.deadline")
        self.requests += 1
        self._net.asked()
        try:
            answer = self._transport.send(call.method, call.url, sent_headers, content)
            try:
                return self._read(call, answer)
            finally:
                answer.close()
        except MoatbridgeError as error:
            if isinstance(error, NotApplied) and self._transport.flight.sent:
                raise call.failed(error.message, error.code, sent=True) from error
            raise
        except Exception as error:
            raise self._failure(call, error) from error

    def _read(self, call: _Call, answer: Answer) -> Response:
        headers = _headers(call, answer)
        rate = rate_info(headers)
        if "date" in headers:
            self._dated = headers, datetime.now(UTC)
        if not rate.silent:
            self._told(rate)
        status = answer.status
        _check_status(call, status, headers)
        content = b"".join(self._limited(call, answer))
        body = self._parsed(call, status, headers, content)
        return Response(call.method, call.template, status, headers, body, rate)

    def _parsed(
        self, call: _Call, status: int, headers: Mapping[str, str], content: bytes
    ) -> Any:
        if not content or call.method == "HEAD":
            return None
        ok = status < HTTPStatus.BAD_REQUEST
        if not ok and "json" not in headers.get("content-type", "").lower():
            return None
        try:
            return self._parse(content)
        except (ValueError, RecursionError) as error:
            if not ok:
                return None
            if isinstance(error, TooManyValues):
                words = f"{call} was answered with {error}; ask for smaller pages."
                raise call.failed(words, "http.too-large", sent=True) from None
            why = str(error) if isinstance(error, ValueError) else "nested too deep"
            words = f"The answer to {call} cannot be read: {why}."
            raise call.failed(words, "http.unreadable", sent=True) from None

    def _told(self, rate: RateInfo) -> None:
        """What is left until when goes to the core's quota.

        A ``Retry-After`` does not: what it means depends on the status, so it reaches
        the core with the error or receipt that the caller makes of the answer.
        """
        if self._on_rate is not None:
            self._on_rate(rate)
        if rate.remaining is not None:
            self._net.quota(remaining=rate.remaining, reset=rate.reset)

    def _limited(self, call: _Call, answer: Answer) -> Iterator[bytes]:
        total = 0
        for chunk in answer.pieces():
            total += len(chunk)
            if total > self._max_response:
                words = f"{call} was answered with more than {self._max_response} bytes"
                advice = "raise max_response if that is expected"
                raise call.failed(f"{words}; {advice}.", "http.too-large", sent=True)
            yield chunk

    def _failure(self, call: _Call, error: Exception) -> MoatbridgeError:
        sent = self._transport.flight.sent
        if self._net.remaining() <= 0 or "Timeout" in type(error).__name__:
            words = f"{call} did not end before its deadline."
            return call.failed(words, "http.deadline", sent=sent)
        kind = type(error).__name__
        if not sent:
            words = f"{call} could not be sent ({kind})."
            return call.failed(words, "http.unreachable", sent=False)
        words = f"The answer to {call} broke off ({kind})."
        return call.failed(words, "http.broken", sent=True)


@dataclass(frozen=True, slots=True)
class _Call:
    method: str
    template: str
    url: str = field(repr=False)
    safe: bool

    def __str__(self) -> str:
        return f"{self.method} {self.template}"

    def failed(self, words: str, code: str, *, sent: bool) -> MoatbridgeError:
        """`NotApplied` where nothing can have happened, else `OutcomeUnknown`."""
        if self.safe or not sent:
            return NotApplied(words, code=code)
        return OutcomeUnknown(words, code=code)


def _open(net: Net, config: HttpConfig, media_type: str) -> Transport:
    from importlib.metadata import version  # noqa: PLC0415 - slow to import

    headers = {
        "User-Agent": config.user_agent or f"moatbridge/{version('moatbridge')}",
        "Accept": f"{media_type}, application/json;q=0.9",
        "Accept-Encoding": "gzip",
    }
    opened: Callable[[], Transport]
    try:
        if config.quick and config.proxy is None:
            from moatbridge.http.wire import WireTransport  # noqa: PLC0415 - loads ssl

            opened = partial(WireTransport, net, config.base, headers)
        else:
            from moatbridge.http.transport import GeneralTransport  # noqa: PLC0415

            tls, proxy = config.base.scheme == "https", config.proxy
            opened = partial(GeneralTransport, net, headers, encrypted=tls, proxy=proxy)
    except ImportError:
        message = "This adapter needs more: pip install 'moatbridge[http]'."
        raise ConfigurationError(message, code="http.missing") from None
    return opened()


def _lines(call: _Call, chunks: Iterator[bytes]) -> Iterator[str]:
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line.decode("utf-8", "replace").rstrip("\r") for line in whole)
        if len(rest) > MAX_LINE:
            words = f"{call} sends a line without end."
            raise call.failed(words, "http.too-large", sent=True)


def _content(json: Any) -> bytes | None:
    if json is None or isinstance(json, bytes):
        return json
    return json_text.dumps(json, ensure_ascii=False, separators=(",", ":")).encode()


def _headers(call: _Call, answer: Answer) -> dict[str, str]:
    if answer.lines > MAX_HEADERS:
        words = f"{call} was answered with more than {MAX_HEADERS} header lines."
        raise call.failed(words, "http.too-large", sent=True)
    return answer.headers


def _check_status(call: _Call, status: int, headers: Mapping[str, str]) -> None:
    if status == HTTPStatus.UNAUTHORIZED:
        message = f"{call} was answered 401: the credentials are not accepted."
        raise ConfigurationError(f"{message} Check auth.", code="http.auth")
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        host = host_of(headers.get("location", ""))
        message = f"{call} was redirected ({status}) to host {host}, which is refused"
        raise ConfigurationError(f"{message}. Check base_url.", code="http.redirect")
    passing = status in _PASSING or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    if not passing and "text/html" in headers.get("content-type", "").lower():
        message = f"{call} was answered with an HTML page, which is not the API"
        advice = "Check base_url, and whether a login page stands in front"
        raise ConfigurationError(f"{message}. {advice}.", code="http.not-api")


def _check_events(call: _Call, answer: Answer) -> None:
    headers = _headers(call, answer)
    _check_status(call, answer.status, headers)
    if (
        not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES
        or "event-stream" not in headers.get("content-type", "")
    ):
        message = f"{call} is not answered with a stream of events."
        raise ConfigurationError(message, code="http.not-api")
