"""An HTTP answer whose body is read while it comes, counted after inflating."""

from __future__ import annotations

import contextlib
import http.client
import re
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

from moatbridge.errors import MoatbridgeError, NotApplied, OutcomeUnknown, Rejected
from moatbridge_soap.http._connection import SILENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from urllib3.response import BaseHTTPResponse

    from moatbridge.adapter import Net
    from moatbridge_soap.http._connection import Connection

PIECE: Final = 65536
HEADERS: Final = 65536
_RATIO: Final = 100
_RATIO_FROM: Final = 1024 * 1024
_CODINGS: Final = frozenset({"gzip", "x-gzip", "deflate", "identity"})
_MAX_CODINGS: Final = 2
_TITLE: Final = re.compile(rb"<title[^>]*>([^<]{0,400})", re.IGNORECASE)
_TITLE_SHOWN: Final = 80
_LONGEST_WAIT: Final = 86400.0


class HttpAnswer:
    """Status and headers now, the body through `chunks`, once.

    Args:
        connection: Where it comes from.
        response: urllib3's, with its body unread.
        net: Told of the bytes that arrive.
        write: True if doubt means that something may have happened.
        limit: Bytes of the body after inflating.
    """

    def __init__(
        self,
        connection: Connection,
        response: BaseHTTPResponse,
        net: Net,
        *,
        write: bool,
        limit: int,
    ) -> None:
        self.status: int = response.status
        self.headers = response.headers
        self.bytes: int = 0
        self.finished = False
        self.write = write
        self._connection = connection
        self._response = response
        self._net = net
        self._limit = limit
        self._reported = 0

    @property
    def content_type(self) -> str:
        """The header as it came; "" if there was none."""
        return self.headers.get("content-type", "")

    @property
    def media_type(self) -> str:
        """Type and subtype, in lower case."""
        return self.content_type.partition(";")[0].strip().lower()

    @property
    def date(self) -> datetime | None:
        """The server's own time, if it told it."""
        with contextlib.suppress(ValueError, TypeError):
            return parsedate_to_datetime(self.headers.get("date", ""))
        return None

    @property
    def retry_after(self) -> float | None:
        """Seconds to wait, if the server said so (RFC 9110 10.2.3)."""
        text = self.headers.get("retry-after", "").strip()
        if text.isascii() and text.isdigit() and len(text) < len("1000000"):
            return min(float(text), _LONGEST_WAIT)
        with contextlib.suppress(ValueError, TypeError):
            until, now = parsedate_to_datetime(text), self.date
            if now is not None:
                seconds = (until - now).total_seconds()
                return min(max(0.0, seconds), _LONGEST_WAIT)
        return None

    def check_head(self) -> None:
        """Refuse an answer whose head is too large or whose coding is unknown."""
        size = sum(len(k) + len(v) for k, v in self.headers.items())
        if size > HEADERS:
            raise self.failed("has more than 64 KiB of headers", "soap.too-large")
        codings = self.headers.get("content-encoding", "").lower().split(",")
        names = [coding.strip() for coding in codings if coding.strip()]
        if len(names) > _MAX_CODINGS or not set(names) <= _CODINGS:
            raise self.failed("has an unknown content coding", "soap.not-soap")

    def chunks(self) -> Iterator[bytes]:
        """The body in pieces of at most 64 KiB, inflated.

        Raises:
            NotApplied: ``soap.deadline``, ``soap.truncated``; for a write
                `OutcomeUnknown` instead.
            Rejected: ``soap.too-large``.
        """
        read: Callable[[int], bytes] = self._response.read1
        while True:
            try:
                self._connection.arm(SILENCE)
                piece = read(PIECE)
            except Exception as error:
                raise self._broken(error) from error
            self._report()
            if not piece:
                break
            self.bytes += len(piece)
            self._check_size()
            yield piece
        self.finished = True
        self._connection.rest()

    def read_some(self, most: int) -> bytes:
        """The beginning of the body: what an error message may look at."""
        found = bytearray()
        with contextlib.suppress(MoatbridgeError):
            for piece in self.chunks():
                found += piece
                if len(found) >= most:
                    break
        return bytes(found[:most])

    def title(self) -> str:
        """The title of an HTML page, cleaned and cut; remote text."""
        found = _TITLE.search(self.read_some(PIECE))
        text = found[1].decode("utf-8", "replace") if found else ""
        plain = "".join(c if c.isprintable() else " " for c in text)
        return " ".join(plain.split())[:_TITLE_SHOWN]

    def end(self) -> None:
        """Close the connection unless the answer was read to its end."""
        if not self.finished:
            self._connection.close()
            self._response.close()

    def failed(self, words: str, code: str) -> MoatbridgeError:
        """What a broken answer means: doubt, for a write."""
        self._connection.close()
        message = f"The answer of {self._connection.host} {words}."
        if self.write:
            return OutcomeUnknown(message, code=code)
        if code == "soap.too-large":
            return Rejected(message, code=code)
        return NotApplied(message, code=code)

    def _report(self) -> None:
        raw = self._response.tell()
        if raw > self._reported:
            self._net.progress(raw - self._reported)
            self._reported = raw

    def _check_size(self) -> None:
        if self.bytes > self._limit:
            words = f"has more than {self._limit} bytes; raise max_response if meant"
            raise self.failed(words, "soap.too-large")
        if self.bytes > _RATIO_FROM and self.bytes > _RATIO * self._reported:
            words = f"grows more than {_RATIO} times when inflated"
            raise self.failed(words, "soap.too-large")

    def _broken(self, error: Exception) -> MoatbridgeError:
        return broken(self._connection, self._net, error, write=self.write)


def broken(
    connection: Connection, net: Net, error: Exception, *, write: bool
) -> MoatbridgeError:
    """The typed error for a request or answer that broke off."""
    sent = connection.sent
    connection.close()
    host = connection.host
    late = net.remaining() <= 0 or "Timeout" in type(error).__name__
    if late:
        words, code = f"{host} did not answer in time", "soap.deadline"
    elif isinstance(error, http.client.HTTPException) and _is_head(error):
        words, code = f"The head of {host}'s answer is too large", "soap.too-large"
    elif sent:
        kind = type(error).__name__
        words, code = f"The answer of {host} broke off ({kind})", "soap.truncated"
    else:
        kind = type(error).__name__
        words, code = f"The request to {host} was not sent ({kind})", "soap.unreachable"
    if write and sent:
        return OutcomeUnknown(f"{words}.", code=code)
    return NotApplied(f"{words}.", code=code)


def _is_head(error: Any) -> bool:
    plain = type(error) is http.client.HTTPException
    return plain or isinstance(error, http.client.LineTooLong)
