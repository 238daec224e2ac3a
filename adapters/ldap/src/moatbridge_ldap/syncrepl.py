"""Following changes by LDAP Content Synchronization, refreshOnly (RFC 4533).

One poll is one search per base with the cookie of the last; the server answers with
what changed, deletes as entry ids, and a new cookie. Rules that protect the data:

* A new cookie leaves this module only after everything before it.
* A *present phase* means "delete whatever was not named". It is never obeyed; the core
  rescans instead, and its guard judges.
* No paged results: with both controls slapd sends one page and a new cookie.
"""

from __future__ import annotations

import base64
import re
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from moatbridge.changes import Batch, Change, Ref
from moatbridge.errors import ConfigurationError, CursorTooOld, NotApplied
from moatbridge_ldap.directory import SYNC
from moatbridge_ldap.scan import decoded
from moatbridge_ldap.shape import scope_of
from moatbridge_ldap.wire.ber import ENUMERATED, Reader, boolean, octets, sequence
from moatbridge_ldap.wire.ber import integer as ber_integer
from moatbridge_ldap.wire.errors import SUCCESS, UNWILLING, protocol, search_error
from moatbridge_ldap.wire.port import Budget, Control, Done, Entry, Info, SearchRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moatbridge_ldap.shape import Place, Shape
    from moatbridge_ldap.wire.port import Port

STATE: Final = "1.3.6.1.4.1.4203.1.9.1.2"
DONE: Final = "1.3.6.1.4.1.4203.1.9.1.3"
INFO: Final = "1.3.6.1.4.1.4203.1.9.1.4"
PRESENT, ADDED, MODIFIED, DELETED = range(4)
NEW_COOKIE, REFRESH_DELETE, REFRESH_PRESENT, ID_SET = 0x80, 0xA1, 0xA2, 0xA3
BATCH: Final = 500
MAX_IDS: Final = 100_000
_CSN: Final = re.compile(r"csn=([^,]+)")
_OPENLDAP: Final = re.compile(rb"(?:rid|sid)=[0-9a-f]+(?:,|$)")
_WHOLE_CSN: Final = re.compile(
    r"\d{14}\.\d{6}Z#[0-9a-f]{6}#[0-9a-f]{3}#[0-9a-f]{6}", re.ASCII
)


@dataclass(frozen=True)
class Position:
    """Where a follow stands.

    Args:
        host: Server that gave the cookies.
        cookies: One per base, in their order.
        flagless: The server sends plain deltas without saying so.
    """

    host: str
    cookies: tuple[bytes, ...]
    flagless: bool = False

    def to_json(self) -> dict[str, Any]:
        """As a cursor."""
        cookies = [base64.b64encode(cookie).decode() for cookie in self.cookies]
        return {
            "mode": "syncrepl", "host": self.host, "cookies": cookies,
            "flagless": self.flagless,
        }  # fmt: skip

    @staticmethod
    def from_json(cursor: Any, bases: int) -> Position:
        """Read a cursor back.

        Raises:
            CursorTooOld: It is of another mode, or damaged.
        """
        try:
            mode = cursor["mode"]
            cookies = tuple(
                base64.b64decode(cookie, validate=True) for cookie in cursor["cookies"]
            )
            found = Position(str(cursor["host"]), cookies, bool(cursor["flagless"]))
        except (KeyError, TypeError, ValueError):
            mode, found = None, Position("", ())
        if mode != "syncrepl" or len(found.cookies) != bases:
            raise CursorTooOld(
                "The cursor is not one of mode syncrepl; a rescan is needed.",
                code="ldap.cursor",
                reason="other-mode",
            )
        return found


@dataclass
class _Poll:
    """What one search brought so far."""

    had_cookie: bool
    entries: list[Entry] = field(default_factory=list)
    deletes: list[Ref] = field(default_factory=list)
    present: bool = False
    seen: int = 0
    cookie: bytes | None = None
    deltas_only: bool = False


@dataclass(frozen=True)
class Follower:
    """Polls one stream."""

    port: Port
    shape: Shape

    def now(self) -> Position:
        """The position "now": a full pass that asks for ids alone."""
        cookies, flagless = [], False
        for place in self.shape.places:
            poll = self._drained(place, None, ("1.1",))
            if not poll.cookie:
                raise protocol("a first synchronization without a cookie")
            cookies.append(poll.cookie)
            again = self._drained(place, poll.cookie, ("1.1",))
            silent = not again.deltas_only and not again.present and again.seen == 0
            flagless = flagless or (silent and poll.seen > 0 and bool(again.cookie))
        return Position(self.port.server, tuple(cookies), flagless)

    def changes(self, position: Position) -> Iterator[Batch]:
        """What changed since; the last batch holds the new position."""
        before = position.to_json()
        if any(map(_damaged, position.cookies)):
            raise CursorTooOld(
                "A synchronization cookie is damaged; a rescan is needed.",
                code="ldap.cursor",
                reason="damaged",
            )
        cookies = []
        for place, cookie in zip(self.shape.places, position.cookies, strict=True):
            polled = _Poll(had_cookie=True)
            for poll in self._poll(
                place, cookie, self.shape.attributes, polled, position
            ):
                batch = self._batch(poll, before)
                if batch.changes or batch.rejects:
                    yield batch
            self._judge(polled, cookie, flagless=position.flagless)
            cookies.append(polled.cookie or cookie)
        after = Position(self.port.server, tuple(cookies), position.flagless)
        yield Batch(cursor=after.to_json())

    def _drained(
        self, place: Place, cookie: bytes | None, attributes: tuple[str, ...]
    ) -> _Poll:
        poll = _Poll(had_cookie=cookie is not None)
        for part in self._poll(place, cookie, attributes, poll, None):
            part.entries.clear()
            part.deletes.clear()
        return poll

    def _poll(
        self,
        place: Place,
        cookie: bytes | None,
        attributes: tuple[str, ...],
        poll: _Poll,
        position: Position | None,
    ) -> Iterator[_Poll]:
        """Run one search; yields whenever a batch is full, and at the end."""
        budget = Budget(BATCH)
        stream = self.port.search(
            SearchRequest(
                place.dn,
                place.filter,
                attributes,
                scope_of(place),
                controls=(_request(cookie),),
            ),
            budget,
        )
        try:
            for message in stream:
                if isinstance(message, Entry):
                    self._entry(message, poll)
                elif isinstance(message, Info):
                    _info(message, poll)
                elif isinstance(message, Done):
                    self._done(message, poll, place, position)
                if poll.present and poll.had_cookie:
                    raise _present_phase()
                if budget.full or len(poll.deletes) >= BATCH:
                    yield poll
                    budget.renew()
        finally:
            stream.close()
        yield poll

    def _entry(self, entry: Entry, poll: _Poll) -> None:
        value = entry.controls.get(STATE)
        if value is None:
            raise protocol("a synchronized entry without its state")
        reader = Reader(value).inside(0x30)
        state = reader.integer(ENUMERATED)
        raw = reader.expect(0x04)
        poll.seen += 1
        if state in {ADDED, MODIFIED}:
            self._check_id(entry, raw)
            poll.entries.append(entry)
        elif state == DELETED:
            poll.deletes.append(Ref(_uuid(raw), entry.dn))
        elif state == PRESENT:
            poll.present = True
        else:
            raise protocol("a synchronization state that does not exist")

    def _check_id(self, entry: Entry, raw: bytes) -> None:
        ref = self.shape.ref(entry)
        if ref is None or ref.id in {_uuid(raw), raw.hex()}:
            return
        raise ConfigurationError(
            f"{self.port.server} names entries by another id than "
            f"{self.shape.id_name} in synchronization, so deletes could not be "
            'resolved. Set id_attribute to that one, or follow = "timestamp".',
            code="ldap.sync-id",
        )

    def _done(
        self, done: Done, poll: _Poll, place: Place, position: Position | None
    ) -> None:
        if done.code == UNWILLING and position is not None:
            raise self._behind(position)
        if done.code != SUCCESS:
            raise search_error(done, self.port.server, place.dn)
        value = done.controls.get(DONE)
        if value is None:
            raise protocol("a synchronization that ends without its control")
        reader = Reader(value).inside(0x30)
        cookie = reader.optional(0x04)
        poll.deltas_only = reader.boolean() if reader.more() else False
        if cookie == b"":
            raise protocol("an empty synchronization cookie")
        poll.cookie = cookie

    def _behind(self, position: Position) -> NotApplied | CursorTooOld:
        if position.host == self.port.server:
            return CursorTooOld(
                f"{self.port.server} is older than what was already read from it: it "
                "was restored from a backup. A rescan is needed.",
                code="ldap.sync-behind",
                reason="source-went-back",
            )
        return NotApplied(
            f"{self.port.server} lags behind {position.host}, which was read before.",
            code="ldap.sync-behind",
            retry_after=60.0,
        )

    def _judge(self, poll: _Poll, before: bytes, *, flagless: bool) -> None:
        if poll.cookie is None:
            return
        if not poll.deltas_only and not flagless:
            raise _present_phase()
        old, new = _positions(before), _positions(poll.cookie)
        if any(new.get(sid, csn) < csn for sid, csn in old.items()):
            raise protocol("a synchronization cookie that goes back")

    def _batch(self, poll: _Poll, cursor: dict[str, Any]) -> Batch:
        kept = [e for e in poll.entries if not self.shape.excludes(e.dn)]
        upserts, rejects = decoded(self.port, self.shape, kept)
        deletes = [Change(ref, "delete") for ref in poll.deletes]
        poll.entries.clear()
        poll.deletes.clear()
        return Batch([*upserts, *deletes], cursor, rejects)


def _request(cookie: bytes | None) -> Control:
    value = sequence(
        ber_integer(1, ENUMERATED),
        b"" if cookie is None else octets(cookie),
        boolean(value=False),
    )
    return Control(SYNC, critical=True, value=value)


def _info(info: Info, poll: _Poll) -> None:
    if info.oid != INFO:
        raise protocol("an intermediate answer of unknown kind")
    outer = Reader(info.value)
    kind = outer.peek()
    if kind == NEW_COOKIE:
        return
    reader = outer.inside(REFRESH_DELETE, REFRESH_PRESENT, ID_SET)
    reader.optional(0x04)
    if kind == REFRESH_PRESENT:
        poll.present = True
    elif kind == ID_SET:
        _id_set(reader, poll)


def _id_set(reader: Reader, poll: _Poll) -> None:
    deletes = reader.boolean() if reader.peek() == 0x01 else False
    ids = reader.inside(0x31)
    poll.present = poll.present or not deletes
    count = 0
    while ids.more():
        ref = Ref(_uuid(ids.expect(0x04)))
        count += 1
        if count > MAX_IDS:
            raise protocol(f"a synchronization set of over {MAX_IDS} ids")
        if deletes:
            poll.deletes.append(ref)
            poll.seen += 1


def _uuid(raw: bytes) -> str:
    if len(raw) != 16:  # noqa: PLR2004 - a UUID
        raise protocol("a synchronization id of impossible size")
    return str(uuid.UUID(bytes=raw))


def _positions(cookie: bytes) -> dict[str, str]:
    """OpenLDAP's change numbers by server id; {} for other servers' cookies."""
    found = _CSN.search(cookie.decode("utf-8", "replace"))
    stamps = found[1].split(";") if found else []
    return {csn.split("#")[2]: csn for csn in stamps if csn.count("#") > 2}  # noqa: PLR2004


def _damaged(cookie: bytes) -> bool:
    # slapd answers an unreadable change number with all entries *as a delta*, so what
    # was deleted meanwhile would never be told.
    if not _OPENLDAP.match(cookie):
        return False
    found = _CSN.search(cookie.decode("utf-8", "replace"))
    stamps = found[1].split(";") if found else []
    return not stamps or not all(map(_WHOLE_CSN.fullmatch, stamps))


def _present_phase() -> CursorTooOld:
    return CursorTooOld(
        "The server no longer knows what was deleted since the last poll (its session "
        "log was lost or is too short); a rescan finds out.",
        code="ldap.sync-present",
        reason="present-phase",
    )
