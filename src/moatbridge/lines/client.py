"""`LineClient`: one request, one whole answer or a typed error. No loops, no sleeps.

What a caller may rely on:

* What cannot be said in one line is refused before a byte is sent, so no value can
  begin another request.
* `NotApplied` means that nothing was sent, or that it was a read; `OutcomeUnknown`
  that a write was sent and no whole answer came.
* After an answer that is not whole, too long or not understood the client hangs up:
  what is still to come belongs to no later request. The next one says so (`NotApplied`,
  nothing was sent), and the core opens a new connection.
* No error shows a request or an answer, which may hold secrets and personal values.

An answer that comes late to a request that had one already cannot be told from the next
one: compare the key of what you asked for, as ``get`` of `make_adapter` does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Generic, Self, TypeVar

from moatbridge.errors import MoatbridgeError, NotApplied, OutcomeUnknown, Rejected
from moatbridge.lines.settings import LineConfig
from moatbridge.lines.wire import Broken, Wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from moatbridge.adapter import Net
    from moatbridge.lines.protocol import LineProtocol

C = TypeVar("C", bound=LineConfig)

_ENDS: Final = frozenset("\r\n\0")
"""What ends a line, or a text, at one server or another."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One whole answer.

    Args:
        said: What stands behind the accepted word in the first line.
        lines: The lines after the first. One that is no text in the protocol's encoding
            holds lone surrogates, which no record may: `make_adapter` rejects it.
    """

    said: str = field(repr=False)
    lines: list[str] = field(repr=False)


class LineClient(Generic[C]):
    """A connection to a server that is asked in lines, used by one thread at a time.

    Made by `LineProtocol.connect`: it dials, encrypts unless ``insecure_cleartext`` is
    set, reads the greeting and logs in, as the protocol says.

    Args:
        net: The adapter's way to the network.
        config: Address and limits; there for your own functions as well.
        protocol: How the system speaks.

    Attributes:
        greeting: What the server said first, if the protocol has a greeting.
        requests: How many were sent.

    Raises:
        ConfigurationError: ``net.*``, and ``AREA.auth`` of a refused login.
        NotApplied: ``net.*``, ``lines.*``.
    """

    def __init__(self, net: Net, config: C, protocol: LineProtocol) -> None:
        self.config: C = config
        self.protocol: LineProtocol = protocol
        self.greeting: str = ""
        self.requests: int = 0
        self._net = net
        self._wire = Wire(net, config, protocol.end.encode(protocol.encoding))
        self._open = True
        try:
            if protocol.greeting:
                self.greeting = self._exchange(b"", NotApplied, None, None).said
            if protocol.login is not None:
                protocol.login(self)
        except BaseException:
            self.close()
            raise

    def ask(
        self,
        request: str,
        *,
        writes: bool = False,
        count: Callable[[str], int] | None = None,
        until: str | None = None,
    ) -> Answer:
        """Send one line and read its whole answer.

        Args:
            request: The line, without its end.
            writes: Whether it may change something: then an answer that does not come
                is an unknown outcome.
            count: How many lines follow the first, from what that said: ``int`` for
                ``OK 3``.
            until: The line behind the last one (``.``, ``END``), which is left out; the
                first line may be it already.

        Raises:
            Rejected: ``AREA.data``: it cannot be said in one line of this encoding;
                nothing was sent. And what the protocol's ``refusals`` say.
            NotApplied: ``lines.*``, ``net.*``.
            OutcomeUnknown: The same codes, once bytes of a write had left.
            ConfigurationError: ``AREA.auth``.
        """
        sent = self._encoded(request)
        self._check()
        self.requests += 1
        self._net.asked()
        return self._exchange(
            sent, OutcomeUnknown if writes else NotApplied, count, until
        )

    def close(self) -> None:
        """Hang up; idempotent, never raises."""
        self._open = False
        self._wire.close()

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Hang up."""
        self.close()

    def _encoded(self, request: str) -> bytes:
        protocol = self.protocol
        if _ENDS.isdisjoint(request) and protocol.end not in request:
            try:
                return (request + protocol.end).encode(protocol.encoding)
            except UnicodeEncodeError:
                words = f"A value cannot be written in {protocol.encoding}"
        else:
            words = "A value holds a line break"
        raise Rejected(f"{words}; nothing was sent.", code=f"{protocol.area}.data")

    def _check(self) -> None:
        """Raise where a request would get somebody else's answer, or none."""
        if not self._open:
            words = "The connection was hung up; open a new one. Nothing was sent."
            raise NotApplied(words, code="lines.closed")
        if self._net.remaining() <= 0:
            words = "There was no time left; nothing was sent."
            raise NotApplied(words, code="lines.deadline")
        try:
            self._wire.check()
        except Broken as error:
            self.close()
            words = f"The system {error.words}; nothing was sent."
            raise NotApplied(words, code=error.code) from None

    def _exchange(
        self,
        sent: bytes,
        doubt: type[NotApplied | OutcomeUnknown],
        count: Callable[[str], int] | None,
        until: str | None,
    ) -> Answer:
        try:
            self._wire.send(sent)
            first = self._wire.line().decode(self.protocol.encoding)
            refused = self.protocol.refused(first)
            if refused is None:
                return self._whole(first, count, until)
        except Exception as error:  # noqa: BLE001 - also what `count` of an author raises
            self.close()
            # Not chained: a decoding error holds the bytes it could not read.
            raise self._failure(error, doubt) from None
        except BaseException:
            self.close()
            raise
        raise refused

    def _whole(
        self, first: str, count: Callable[[str], int] | None, until: str | None
    ) -> Answer:
        if first == until:
            return Answer("", [])
        said = self.protocol.said(first)
        lines: list[str] = []
        due = count(said) if count is not None else 0
        if not 0 <= due <= self.config.max_lines:
            raise self._too_many()
        while len(lines) < due:
            lines.append(self._text())
        while until is not None and (line := self._text()) != until:
            if len(lines) >= self.config.max_lines:
                raise self._too_many()
            lines.append(line)
        return Answer(said, lines)

    def _text(self) -> str:
        return self._wire.line().decode(self.protocol.encoding, "surrogateescape")

    def _too_many(self) -> Broken:
        words = f"answers with more than {self.config.max_lines} lines (`max_lines`)"
        return Broken("lines.too-large", words)

    def _failure(
        self, error: Exception, doubt: type[NotApplied | OutcomeUnknown]
    ) -> MoatbridgeError:
        if isinstance(error, Broken):
            return doubt(f"The system {error.words}.", code=error.code)
        if isinstance(error, TimeoutError) or self._net.remaining() <= 0:
            words = "No whole answer came before the deadline."
            return doubt(words, code="lines.deadline")
        kind = type(error).__name__
        if isinstance(error, OSError):
            return doubt(f"The connection broke off ({kind}).", code="lines.broken")
        words = f"The answer cannot be understood ({kind})."
        return doubt(words, code="lines.unreadable")
