"""Complete passes over a stream: simple paged results (RFC 2696), nothing cut short.

The next page is requested before the current one is handed out, so the server works
while the core does; at most two pages are held. The only sign that a pass is over is
success with an empty cookie, on every base: each other ending raises.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from moatbridge.changes import Batch, Change, Reject
from moatbridge.errors import ConfigurationError, Rejected
from moatbridge_ldap.directory import PAGING
from moatbridge_ldap.ranges import completed
from moatbridge_ldap.shape import scope_of
from moatbridge_ldap.wire.ber import Reader, integer, octets, sequence
from moatbridge_ldap.wire.errors import ADMIN_LIMIT, SUCCESS, protocol, search_error
from moatbridge_ldap.wire.layout import reading
from moatbridge_ldap.wire.port import (
    Budget,
    Control,
    Done,
    Entry,
    Reference,
    SearchRequest,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from moatbridge.changes import Key
    from moatbridge_ldap.directory import Directory
    from moatbridge_ldap.shape import Place, Shape
    from moatbridge_ldap.wire.layout import Layouts
    from moatbridge_ldap.wire.port import Port, SearchStream

SMALLEST_PAGE: Final = 50
EMPTY_PAGES: Final = 10
MAX_HOST: Final = 255
MAX_HOSTS: Final = 5
MAX_URL: Final = 8192
UNREADABLE: Final = "an unreadable address"
_UNPRINTABLE: Final = re.compile(r"[^\x21-\x7e]")
KNOWN_REFERENCES: Final = (
    "cn=configuration,", "dc=domaindnszones,", "dc=forestdnszones,",
)  # fmt: skip
"""What Active Directory adds to every search from a domain's root."""


@dataclass
class Pages:
    """What a session has learned about paging; shared by all its scans.

    Args:
        size: Entries to ask for; halves where the server refuses that many.
        ignored: References ignored so far, by setting.
    """

    size: int
    ignored: int = 0


@dataclass(frozen=True)
class Scanner:
    """Reads pages of one directory.

    Args:
        port: The session.
        directory: Its server.
        pages: What was learned.
        referrals: ``known``, ``ignore`` or ``fail``.
    """

    port: Port
    directory: Directory
    pages: Pages
    referrals: str

    def scan(self, shape: Shape, key: str) -> Iterator[Batch]:
        """One complete pass; the last batch is complete.

        Until then there is no cursor: a paging cookie dies with its connection (RFC
        2696 section 3), so a pass that is cut starts again.
        """
        layouts = shape.learned.changes
        for place in shape.places:
            request = _request(shape, place)
            for page in self._pages(_LoopGuard(shape), request, layouts):
                batch = self._batch(shape, place, page)
                if batch.changes or batch.rejects:
                    yield batch
        yield Batch(cursor={"mode": "scan", "done": [key]}, complete=True)

    def _batch(self, shape: Shape, place: Place, page: _Page) -> Batch:
        changes, entries = page.made, page.entries
        if shape.excluded or shape.rivals(place):
            changes = [c for c in changes if shape.takes(c.ref.name or "", place)]
            entries = [e for e in entries if shape.takes(e.dn, place)]
        more, rejects = decoded(self.port, shape, entries)
        return Batch(changes + more if more else changes, rejects=rejects)

    def entries(self, shape: Shape, request: SearchRequest) -> Iterator[list[Entry]]:
        """Pages of a search, as read; see the module's promise."""
        layouts = shape.learned.entries(request.attributes)
        for page in self._pages(_LoopGuard(shape), request, layouts):
            yield page.made + page.entries

    def _pages(
        self, guard: _LoopGuard, request: SearchRequest, layouts: Layouts | None
    ) -> Iterator[_Page]:
        if not self.directory.supports(PAGING):
            for page in self._unpaged(request):
                guard.check(page)
                yield page
            return
        page = self._first(request, layouts)
        while True:
            stream = self._ask(request, page.cookie) if page.cookie else None
            try:
                guard.check(page)
                yield page
            except BaseException:
                if stream is not None:
                    stream.close()
                raise
            if stream is None:
                return
            page = self._page(stream, request, layouts)

    def _unpaged(self, request: SearchRequest) -> Iterator[_Page]:
        """One long answer, cut into pages here."""
        budget = Budget(self.pages.size)
        stream = self.port.search(request, budget)
        page: list[Entry] = []
        try:
            for message in stream:
                if isinstance(message, Entry):
                    page.append(message)
                elif isinstance(message, Reference):
                    self._reference(message, stream)
                elif isinstance(message, Done) and message.code != SUCCESS:
                    raise search_error(message, self.port.server, request.base)
                if budget.full:
                    if page:
                        yield _Page([], page)
                    page = []
                    budget.renew()
        finally:
            stream.close()
        yield _Page([], page)

    def _first(self, request: SearchRequest, layouts: Layouts | None) -> _Page:
        while True:
            try:
                return self._page(self._ask(request, b""), request, layouts)
            except _TooManyError as error:
                if self.pages.size <= SMALLEST_PAGE:
                    raise search_error(
                        error.done, self.port.server, request.base
                    ) from None
                self.pages.size = max(SMALLEST_PAGE, self.pages.size // 2)

    def _ask(self, request: SearchRequest, cookie: bytes) -> SearchStream:
        value = sequence(integer(self.pages.size), octets(cookie))
        paging = Control(PAGING, critical=True, value=value)
        paged = replace(request, controls=(*request.controls, paging))
        return self.port.search(paged, Budget(self.pages.size))

    def _page(
        self, stream: SearchStream, request: SearchRequest, layouts: Layouts | None
    ) -> _Page:
        made: list[Any] = []
        entries: list[Entry] = []
        for message in reading(stream, layouts, made):
            if isinstance(message, Entry):
                entries.append(message)
            elif isinstance(message, Reference):
                self._reference(message, stream)
            elif isinstance(message, Done):
                got_any = bool(made or entries)
                cookie = self._cookie(message, request, got_any=got_any)
                return _Page(made, entries, cookie)
        raise protocol("a search without an end")

    def _cookie(self, done: Done, request: SearchRequest, *, got_any: bool) -> bytes:
        if done.code == ADMIN_LIMIT and not got_any:
            raise _TooManyError(done)
        if done.code != SUCCESS:
            raise search_error(done, self.port.server, request.base)
        value = done.controls.get(PAGING)
        if value is None:
            raise protocol("a page without its cookie")
        reader = Reader(value).inside(0x30)
        reader.integer()
        return reader.expect(0x04)

    def _reference(self, reference: Reference, stream: SearchStream) -> None:
        known = bool(reference.urls) and all(map(_is_known, reference.urls))
        if self.referrals == "ignore" or (self.referrals == "known" and known):
            self.pages.ignored += 1
            return
        stream.close()
        raise ConfigurationError(
            f"{self.port.server} says that part of the stream lies on "
            f"{_hosts(reference.urls)}. References are never followed: "
            "configure that server as a system of its own, or set "
            'referrals = "ignore".',
            code="ldap.referral",
        )


class _TooManyError(Exception):
    def __init__(self, done: Done) -> None:
        super().__init__(done.code)
        self.done = done


class _Page(NamedTuple):
    """One page: what layouts made of it, the entries that fit none, the next cookie."""

    made: list[Any]
    entries: list[Entry]
    cookie: bytes = b""


class _LoopGuard:
    """Notices servers that page for ever. A repeated cookie alone is legal."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._empty = 0
        self._last: set[Key | bytes] = set()

    def check(self, page: _Page) -> None:
        self._empty = 0 if page.made or page.entries else self._empty + 1
        found = self._shape.ids([*page.made, *page.entries])
        ids = set(found)
        if self._empty >= EMPTY_PAGES or (ids and ids <= self._last):
            raise Rejected(
                "The server repeats the same page, or sends empty ones without end; "
                "nothing was taken from this pass.",
                code="ldap.paging-loop",
            )
        if len(ids) < len(found):
            raise protocol("two entries with one id")
        self._last = ids


def decoded(
    port: Port, shape: Shape, entries: Sequence[Entry]
) -> tuple[list[Change], list[Reject]]:
    """Decode entries; attributes sent in ranges are read to their end first."""
    changes: list[Change] = []
    rejects: list[Reject] = []
    for entry in entries:
        whole = completed(port, shape, entry)
        made = whole if isinstance(whole, Reject) else shape.change(whole)
        if isinstance(made, Reject):
            rejects.append(made)
        else:
            changes.append(made)
    return changes, rejects


def _request(shape: Shape, place: Place) -> SearchRequest:
    return SearchRequest(place.dn, place.filter, shape.attributes, scope_of(place))


def _is_known(url: str) -> bool:
    parts = _parts(url)
    path = "" if parts is None else unquote(parts.path)
    return path.lstrip("/").lower().startswith(KNOWN_REFERENCES)


def _hosts(urls: Sequence[str]) -> str:
    """The hosts that a reference names, fit for a message."""
    found = sorted({_host(url) for url in urls[:MAX_HOSTS]}) or [UNREADABLE]
    more = len(urls) - MAX_HOSTS
    return ", ".join(found) + (f" and {more} more" if more > 0 else "")


def _host(url: str) -> str:
    parts = _parts(url)
    name = parts.hostname if parts is not None else None
    return _UNPRINTABLE.sub("?", name[:MAX_HOST]) if name else UNREADABLE


def _parts(url: str) -> SplitResult | None:
    try:
        return urlsplit(url[:MAX_URL])
    except ValueError:  # brackets that hold no address, and the like
        return None
