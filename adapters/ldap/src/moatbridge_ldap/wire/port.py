"""What the rest of the adapter knows of the wire: plain requests and answers.

Everything above this port is free of sockets, and of the library that sets the session
up, so a second engine has to pass the same tests and nothing else changes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from moatbridge_ldap.wire.filters import Filter
    from moatbridge_ldap.wire.layout import Layouts

BASE: Final = 0
ONE_LEVEL: Final = 1
SUBTREE: Final = 2
ANSWER: Final = 64 << 20
"""Bytes of messages that one answer may have."""
SLACK: Final = 1000
"""Entries beyond those that make sense, for servers that round up."""
SCOPES: Final = {"base": BASE, "one": ONE_LEVEL, "subtree": SUBTREE}


class Control(NamedTuple):
    """A request control: OID, criticality, encoded value."""

    oid: str
    critical: bool
    value: bytes | None = None


class Entry(NamedTuple):
    """One search result entry; only attributes that were asked for.

    Args:
        dn: As the server sent it.
        attributes: Name as asked for (or ``name;range=...``) -> values as bytes.
        duplicate: Name of an attribute that came twice, which LDAP forbids.
        controls: Response controls, OID -> value.
    """

    dn: str
    attributes: dict[str, list[bytes]]
    duplicate: str | None = None
    controls: Mapping[str, bytes] = {}

    def __repr__(self) -> str:
        return f"Entry({sorted(self.attributes)})"


class Reference(NamedTuple):
    """A continuation reference: never followed."""

    urls: tuple[str, ...]


class Info(NamedTuple):
    """An intermediate response (RFC 4511 4.13)."""

    oid: str
    value: bytes


class Done(NamedTuple):
    """The final answer to a request.

    Args:
        tag: Tag of the response (which kind of request it answers).
        code: Result code.
        matched: Matched DN; never shown, may be personal.
        text: The server's free text; never shown, it may quote values.
        referrals: Urls; never dialled.
        controls: Response controls, OID -> value.
        value: Value of an extended response.
    """

    tag: int
    code: int
    matched: str = ""
    text: str = ""
    referrals: tuple[str, ...] = ()
    controls: Mapping[str, bytes] = {}
    oid: str = ""
    value: bytes | None = None

    def __repr__(self) -> str:
        return f"Done(0x{self.tag:02x} {self.code})"


class Unanswered(NamedTuple):
    """No answer came.

    Args:
        sent: Whether any byte of the request may have been handed to the socket.
    """

    sent: bool


Message: TypeAlias = Entry | Reference | Info | Done
Answer: TypeAlias = Done | Unanswered


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A search (RFC 4511 4.5.1); aliases are never dereferenced.

    Args:
        base: DN.
        filter: What to match.
        attributes: Names to ask for; others are dropped while decoding.
        scope: `BASE`, `ONE_LEVEL` or `SUBTREE`.
        size_limit: 0 = the server's own.
        controls: Request controls.
    """

    base: str
    filter: Filter
    attributes: Sequence[str]
    scope: int = SUBTREE
    size_limit: int = 0
    controls: Sequence[Control] = ()

    def __repr__(self) -> str:
        return f"SearchRequest({self.base!r}, {list(self.attributes)})"


class ModifyItem(NamedTuple):
    """One change of a modify: `ADD`, `DELETE` or `REPLACE` of some values."""

    action: int
    attribute: str
    values: Sequence[bytes]

    def __repr__(self) -> str:
        return f"ModifyItem({self.action} {self.attribute})"


ADD: Final = 0
DELETE: Final = 1
REPLACE: Final = 2


@dataclass(frozen=True, slots=True)
class AddEntry:
    """Add one entry."""

    dn: str
    attributes: Mapping[str, Sequence[bytes]] = field(repr=False)
    controls: Sequence[Control] = ()


@dataclass(frozen=True, slots=True)
class ModifyEntry:
    """Change attributes of one entry, all or nothing."""

    dn: str
    items: Sequence[ModifyItem]
    controls: Sequence[Control] = ()


@dataclass(frozen=True, slots=True)
class RenameEntry:
    """Give one entry another RDN, or another parent; the old RDN goes."""

    dn: str
    rdn: str
    parent: str | None = None
    controls: Sequence[Control] = ()


@dataclass(frozen=True, slots=True)
class DeleteEntry:
    """Remove one leaf entry."""

    dn: str
    controls: Sequence[Control] = ()


Operation: TypeAlias = AddEntry | ModifyEntry | RenameEntry | DeleteEntry


@dataclass(slots=True)
class Budget:
    """What may arrive before somebody takes it away; searches may share one.

    Bytes that move prolong a call, so no deadline ends an answer that never does, and
    whoever collects it would run out of memory. A reader that keeps nothing, or hands
    on what it has whenever `full`, calls `renew`; for others it is one limit in all.

    Args:
        most: Entries that were asked for.
        entries: Entries that came.
        size: Bytes of all messages that came.
    """

    most: int
    entries: int = 0
    size: int = 0

    @property
    def full(self) -> bool:
        """Time to hand on what came: enough entries, or 16 MiB."""
        return self.entries >= self.most or self.size >= ANSWER // 4

    def spend(self, message: Message, size: int) -> str | None:
        """Count a message; what is wrong if that is more than was asked for."""
        return self.count(isinstance(message, Entry), size)

    def count(self, entries: int, size: int) -> str | None:
        """As `spend`, for several messages."""
        self.entries += entries
        self.size += size
        if self.entries > self.most + SLACK:
            return f"far more entries than the {self.most} asked for"
        if self.size > ANSWER:
            return (
                "over 64 MiB, more than was asked for; if values are that large, set "
                "page_size lower"
            )
        return None

    def renew(self) -> None:
        """Start again: nothing of what came is held any more."""
        self.entries = self.size = 0


class SearchStream(Protocol):
    """Answers to one search as they arrive; the last is a `Done`."""

    def __iter__(self) -> Iterator[Message]:
        """Iterate over the answers."""

    def __next__(self) -> Message:
        """Block until the next answer is there.

        Raises:
            NotApplied: ``ldap.lost`` or ``ldap.protocol``; the session is closed.
        """

    def close(self) -> None:
        """Abandon the search if it is not over. Idempotent."""

    def read(self, layouts: Layouts) -> list[Any]:
        """Entries as long as they fit a layout, made by it. `__next__` gives the rest.

        Raises:
            NotApplied: ``ldap.lost`` or ``ldap.protocol``; the session is closed.
        """


class Port(Protocol):
    """An open, authenticated session. One thread at a time."""

    server: str
    secure: bool

    def search(self, request: SearchRequest, budget: Budget) -> SearchStream:
        """Send the search now; its answers are read when they are asked for.

        Args:
            request: What to search for.
            budget: What may come; more is ``ldap.protocol`` and closes the session.
        """

    def send(self, operations: Sequence[Operation]) -> list[Answer]:
        """Pipeline the operations as one window and collect every answer, in order.

        Never raises for a lost connection: that becomes `Unanswered`.
        """

    def extended(self, oid: str, value: bytes | None = None) -> Done:
        """Send an extended request and wait for its answer."""

    def certificate(self) -> bytes | None:
        """The server's certificate (DER); None without TLS."""

    def unbind(self) -> None:
        """Say goodbye and close. Idempotent, never raises."""

    def abort(self) -> None:
        """Shut the socket down, from any thread; never blocks, never raises."""
