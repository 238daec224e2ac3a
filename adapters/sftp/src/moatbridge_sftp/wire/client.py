"""An SFTP protocol 3 client on one `Line`: requests, answers by id, plain calls.

Theory of operation. Every request has an id that is `_pending` until its answer is
taken. Answers come in any order; one that nobody waits for yet is kept in `_early`. Ids
of a transfer that was given up are `_forgotten`: their answers are dropped when they
come. An answer with any other id ends the connection. So several transfers may be
on the way on one channel, and what is held is bounded by what was asked for.

Sources: draft-ietf-secsh-filexfer-02 section 6; OpenSSH ``PROTOCOL`` section 4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from moatbridge_sftp.wire.line import LONGEST, Line
from moatbridge_sftp.wire.packets import (
    Attributes,
    Kind,
    Limits,
    PacketError,
    Reader,
    frame,
    hello,
    mode_attributes,
    read_attributes,
    read_free,
    read_limits,
    read_names,
    read_status,
    read_version,
    string,
    uint32,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from typing import TypeVar

    T = TypeVar("T")

LIMITS: Final = "limits@openssh.com"
POSIX_RENAME: Final = "posix-rename@openssh.com"
FSYNC: Final = "fsync@openssh.com"
STATVFS: Final = "statvfs@openssh.com"

_UNSAID: Final = Limits(packet=34_000, read=32_768, write=32_768, handles=64)
_LARGEST: Final = Limits(packet=LONGEST, read=261_120, write=261_120, handles=1024)
_SMALLEST: Final = 1024  # a server's limit below that is taken for a mistake


class StatusError(Exception):
    """The server refused a request.

    Args:
        status: Its number; `Status` names the usual ones.
    """

    def __init__(self, status: int) -> None:
        super().__init__(f"SFTP status {status}")
        self.status = status


class Answer(NamedTuple):
    """One answer, its id not yet taken off."""

    kind: int
    payload: bytes


class Client:
    """Speaks to one server. One thread; see `Line` for times and errors.

    Args:
        line: A fresh one; `start` says hello.
    """

    def __init__(self, line: Line) -> None:
        self.line = line
        self.extensions: dict[str, str] = {}
        self.limits: Limits = _UNSAID
        self.requests = 0
        self._pending: set[int] = set()
        self._early: dict[int, Answer] = {}
        self._forgotten: set[int] = set()

    def start(self) -> None:
        """INIT and VERSION, then the limits where the server has any.

        Raises:
            NotApplied: As `Line.receive`.
        """
        self.line.send(hello())
        try:
            self.extensions = read_version(self.line.receive())
        except PacketError as error:
            raise self.line.broken(str(error)) from None
        if LIMITS in self.extensions:
            answer = self.answer(self.post(Kind.EXTENDED, string(LIMITS.encode())))
            said = self.take(answer, Kind.EXTENDED_REPLY, read_limits)
            self.limits = _within(said)

    def post(self, kind: Kind, body: bytes) -> int:
        """Queue a request; returns the id to ask `answer` for."""
        self.requests += 1
        number = self.requests & 0xFFFFFFFF
        self._pending.add(number)
        self.line.send(frame(kind, number, body))
        return number

    def answer(self, number: int) -> Answer:
        """Wait for the answer to one request.

        Raises:
            NotApplied: As `Line.receive`, and for an id that was not asked.
        """
        while number not in self._early:
            self._receive()
        self._pending.discard(number)
        return self._early.pop(number)

    def any_answer(self, numbers: Collection[int]) -> tuple[int, Answer]:
        """Wait for the first answer to any of these requests."""
        number = next((one for one in self._early if one in numbers), None)
        while number is None:
            number = self._receive()
            if number not in numbers:
                number = None
        return number, self.answer(number)

    def forget(self, numbers: Iterable[int]) -> None:
        """Drop the answers to these requests, come or to come."""
        for number in numbers:
            if self._early.pop(number, None) is None and number in self._pending:
                self._forgotten.add(number)
            self._pending.discard(number)

    def take(self, answer: Answer, kind: Kind, read: Callable[[bytes], T]) -> T:
        """Read an answer that must be of one kind.

        Raises:
            StatusError: It is a refusal.
            NotApplied: ``sftp.protocol``: neither, or broken.
        """
        try:
            if answer.kind == kind:
                return read(answer.payload)
            if answer.kind == Kind.STATUS and (code := read_status(answer.payload)):
                raise StatusError(code)
        except PacketError as error:
            raise self.line.broken(str(error)) from None
        raise self.line.broken(f"an answer of type {answer.kind} where it has no place")

    def done(self, answer: Answer) -> None:
        """Take an answer that can only be a status.

        Raises:
            StatusError: It is not OK.
        """
        if code := self.take(answer, Kind.STATUS, read_status):
            raise StatusError(code)

    def call(self, kind: Kind, body: bytes) -> Answer:
        """One request and its answer."""
        return self.answer(self.post(kind, body))

    def stat(self, path: bytes, *, follow: bool = False) -> Attributes:
        """Attributes of a path."""
        kind = Kind.STAT if follow else Kind.LSTAT
        return self.take(self.call(kind, string(path)), Kind.ATTRS, attributes)

    def real_path(self, path: bytes) -> bytes:
        """The absolute path, as the server sees it."""
        answer = self.call(Kind.REALPATH, string(path))
        names = self.take(answer, Kind.NAME, read_names)
        if len(names) != 1 or not names[0].name.startswith(b"/"):
            raise self.line.broken("REALPATH did not name one absolute path")
        return names[0].name

    def rename(self, old: bytes, new: bytes) -> None:
        """RENAME of protocol 3, which must not replace anything."""
        self.done(self.call(Kind.RENAME, string(old) + string(new)))

    def posix_rename(self, old: bytes, new: bytes) -> None:
        """The extension, which replaces what stands there."""
        body = string(POSIX_RENAME.encode()) + string(old) + string(new)
        self.done(self.call(Kind.EXTENDED, body))

    def make_folder(self, path: bytes, mode: int) -> None:
        """MKDIR."""
        self.done(self.call(Kind.MKDIR, string(path) + mode_attributes(mode)))

    def remove(self, path: bytes) -> None:
        """REMOVE."""
        self.done(self.call(Kind.REMOVE, string(path)))

    def open(self, path: bytes, flags: int, block: bytes | None = None) -> bytes:
        """OPEN; returns the handle."""
        answer = self.call(Kind.OPEN, open_body(path, flags, block))
        return self.take(answer, Kind.HANDLE, handle)

    def free(self, path: bytes) -> int | None:
        """Bytes free at a path; None if the server does not say."""
        if STATVFS not in self.extensions:
            return None
        body = string(STATVFS.encode()) + string(path)
        try:
            answer = self.call(Kind.EXTENDED, body)
            return self.take(answer, Kind.EXTENDED_REPLY, read_free)
        except StatusError:
            return None

    def _receive(self) -> int | None:
        packet = self.line.receive()
        try:
            number = Reader(packet, 1).uint32()
        except PacketError as error:
            raise self.line.broken(str(error)) from None
        if number in self._forgotten:
            self._forgotten.discard(number)
            return None
        if number not in self._pending or number in self._early:
            raise self.line.broken("an answer that nobody asked for")
        self._early[number] = Answer(packet[0], packet)
        return number


def open_body(path: bytes, flags: int, block: bytes | None = None) -> bytes:
    """The body of OPEN."""
    return string(path) + uint32(flags) + (block or uint32(0))


def attributes(payload: bytes) -> Attributes:
    """Reads an ATTRS answer, for `Client.take`."""
    return read_attributes(Reader(payload, 5))


def handle(payload: bytes) -> bytes:
    """Reads a HANDLE answer, for `Client.take`."""
    found = Reader(payload, 5).string()
    if len(found) > 256:  # noqa: PLR2004 - section 6.3 says so
        msg = "a handle of over 256 bytes"
        raise PacketError(msg)
    return found


def data(payload: bytes) -> bytes:
    """Reads a DATA answer, for `Client.take`."""
    return Reader(payload, 5).string()


def _within(said: Limits) -> Limits:
    """What we use of what a server says; 0 is "not said"."""
    used = [
        min(largest, told) if told >= least else unsaid
        for told, unsaid, largest, least in zip(
            said, _UNSAID, _LARGEST, (_SMALLEST, _SMALLEST, _SMALLEST, 1), strict=True
        )
    ]
    return Limits(*used)
