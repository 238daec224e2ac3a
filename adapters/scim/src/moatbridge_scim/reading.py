"""Reads: pages, records by identity, records by value. The calls of one stream."""

from __future__ import annotations

import uuid
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from moatbridge.changes import Absent, Batch, Change, Record, Ref, Reject
from moatbridge.errors import ConfigurationError, CursorTooOld, NotApplied
from moatbridge.http import check_read
from moatbridge_scim import filters
from moatbridge_scim.resources import RecordMaker
from moatbridge_scim.walk import CursorWalk, IndexWalk, identifier

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from moatbridge.adapter import Field, Query
    from moatbridge.changes import Fetched
    from moatbridge.http import HttpClient, Response
    from moatbridge_scim.peer import Abilities, ResourceType
    from moatbridge_scim.walk import Page

GONE: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
_UNSUPPORTED: Final = frozenset(
    {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_IMPLEMENTED, HTTPStatus.FORBIDDEN}
)
_TOGETHER: Final = 25
"""Resources that are read at once while all of them are plain."""
_TOO_OLD: Final = frozenset({"expiredcursor", "invalidcursor"})


class Reader:
    """Reads resources of one type.

    Args:
        client: The open connection.
        kind: The resource type and where it lives.
        abilities: What the peer can do.
        fields: The stream's fields.
        page_size: Resources in a page.
        stream: Address-like name for messages.
        quick: False reads records the general way only.
    """

    def __init__(
        self,
        client: HttpClient,
        kind: ResourceType,
        abilities: Abilities,
        *,
        fields: tuple[Field, ...],
        page_size: int,
        stream: str,
        quick: bool = True,
    ) -> None:
        self.client = client
        self.type = kind
        self.abilities = abilities
        self.stream = stream
        self.fields = fields
        self.honest = False
        self.record_of = RecordMaker(fields, kind.kind, quick=quick)
        self._page = min(page_size, abilities.max_results or page_size)

    def check_filters(self) -> str | None:
        """Ask for something that cannot exist; remembers whether filters are honoured.

        Returns:
            A warning, or None when the peer honours filters.

        Raises:
            ConfigurationError: The account may not even list (``scim.rights``), or
                ``http.auth``.
        """
        query = {"count": "1"}
        if self.abilities.filter:
            query["filter"] = filters.term("externalId", str(uuid.uuid4()))
        response = self.client.request("GET", self.type.endpoint, query=query)
        if self.abilities.filter and response.status in _UNSUPPORTED:
            self.may_list()
            return f"{self.stream}: the peer refuses filters; look-ups are not possible"
        self._must_list(response)
        if not self.abilities.filter:
            return f"{self.stream}: the peer has no filters; look-ups are not possible"
        if response.mapping.get("Resources") or response.mapping.get("totalResults"):
            return f"{self.stream}: the peer ignores filters; look-ups are not possible"
        self.honest = True
        return None

    def may_list(self) -> None:
        """Raise `ConfigurationError` if the account may not list this type at all."""
        self._must_list(
            self.client.request("GET", self.type.endpoint, query={"count": "1"})
        )

    def scan(self, after: Any) -> Iterator[Batch]:
        """All resources, page by page; see `CanScan.scan`."""
        pages = self._pages({}, after)
        while True:
            page = next(pages, None)
            if page is None:
                return
            batch = [self._batch(page)]
            del page  # while the batch is worked on, only the batch is held
            yield batch.pop()

    def fetch(self, refs: Sequence[Ref], *, members: bool = True) -> list[Fetched]:
        """Records by id: filters where the peer honours them, else one by one."""
        raw = self.fetch_raw(refs, members=members)
        return [
            Absent(ref) if found is None else self.readable(found)
            for ref, found in zip(refs, raw, strict=True)
        ]

    def fetch_raw(
        self, refs: Sequence[Ref], *, members: bool = True
    ) -> list[dict[str, Any] | None]:
        """Resources by id, None where there is none."""
        extra = {} if members else {"excludedAttributes": "members"}
        found: dict[str, dict[str, Any]] = {}
        if self.honest and len(refs) > 1:
            for resource in self._matching("id", [_id(ref) for ref in refs], extra):
                found.setdefault(identifier(resource), resource)
        # A miss is asked for again by name: some peers answer any id filter with
        # an empty list, and "absent" must never be a guess.
        return [found.get(_id(ref)) or self._get(_id(ref), extra) for ref in refs]

    def find(self, queries: Sequence[Query]) -> list[list[Record]]:
        """Records by value; every hit is compared again."""
        found: list[list[Record]] = [[] for _ in queries]
        for field, positions in self._by_field(queries).items():
            values = list(dict.fromkeys(queries[at].value for at in positions))
            resources = list(self._matching(field, values, {}))
            for at in positions:
                found[at] = [
                    self.readable(resource)
                    for resource in resources
                    if filters.really(resource, field, queries[at].value)
                    and identifier(resource)
                ]
        return found

    def readable(self, resource: Mapping[str, Any]) -> Record:
        """The record of one resource; `NotApplied` if it cannot be read."""
        try:
            return self.record_of(resource)
        except ValueError as error:
            message = f"{self.stream}: a resource cannot be read: {error}."
            raise NotApplied(message, code="scim.value") from None

    def _batch(self, page: Page) -> Batch:
        """A page as a batch; what cannot be decoded becomes a reject."""
        changes: list[Change] = []
        rejects: list[Reject] = []
        for start in range(0, len(page.resources), _TOGETHER):
            end = min(start + _TOGETHER, len(page.resources))
            idents, resources = page.idents[start:end], page.resources[start:end]
            plain = self.record_of.changes(idents, resources)
            if plain is not None:
                changes += plain
                page.resources[start:end] = idents  # nobody needs them any more
                continue
            for position in range(start, end):
                read = self._decoded(page, position)
                if isinstance(read, Reject):
                    rejects.append(read)
                else:
                    changes.append(read)
        return Batch(changes, page.cursor, rejects, page.complete)

    def _decoded(self, page: Page, at: int) -> Change | Reject:
        ident, resource, position = page.idents[at], page.resources[at], at + 1
        if not ident:
            return Reject("scim.no-id", f"{page.place}, entry {position}")
        try:
            return self.record_of.change(ident, resource)
        except ValueError as error:
            field, place = (
                str(error).split(" ", 1)[0],
                f"{page.place}, entry {position}",
            )
            return Reject("scim.value", place, Ref(ident), field)

    def _by_field(self, queries: Sequence[Query]) -> dict[str, list[int]]:
        if queries and not self.honest:
            raise ConfigurationError(
                f"{self.stream}: the peer ignores or refuses filters, so looking a "
                f"record up by value could name the wrong one. Rely on links only.",
                code="scim.filter-ignored",
            )
        grouped: dict[str, list[int]] = {}
        for at, query in enumerate(queries):
            field = filters.FIELDS.get(query.field.lower())
            if field is None:
                raise ConfigurationError(
                    f"{self.stream}: records cannot be looked up by {query.field}; "
                    f"use {', '.join(filters.FIELDS.values())}.",
                    code="scim.query",
                )
            grouped.setdefault(field, []).append(at)
        return grouped

    def _matching(
        self, field: str, values: Sequence[str], extra: Mapping[str, str]
    ) -> Iterator[dict[str, Any]]:
        for chunk in filters.chunked(field, values):
            query = {"filter": filters.any_of(field, chunk), **extra}
            try:
                for page in self._pages(query, None):
                    yield from (r for r in page.resources if isinstance(r, dict))
            except CursorTooOld as moved:  # an answer has no place to go on from
                raise NotApplied(moved.message, code=moved.code) from None

    def _pages(self, query: Mapping[str, str], after: Any) -> Iterator[Page]:
        kind = CursorWalk if self.abilities.cursor else IndexWalk
        walk = kind(self._page, self.abilities.max_results, after)
        order = {"sortBy": "id"} if self.abilities.sort and not query else {}
        while True:
            response = self.client.request(
                "GET", self.type.endpoint, query={**query, **order, **walk.query}
            )
            if str(response.mapping.get("scimType", "")).lower() in _TOO_OLD:
                message = f"{self.stream}: the peer no longer serves the position."
                raise CursorTooOld(message, code="scim.cursor")
            check_read(response, area="scim")
            found = [walk.accept(response.body)]
            last = found[0].complete
            del response
            yield found.pop()
            if last:
                return

    def _get(self, ident: str, extra: Mapping[str, str]) -> dict[str, Any] | None:
        if not ident or ident in {".", ".."}:
            return None
        response = self.client.request(
            "GET", self.type.endpoint + "/{id}", params={"id": ident}, query=extra
        )
        if response.status in GONE:
            return None
        check_read(response, area="scim")
        if identifier(response.body) != ident:
            message = "The peer answered with another resource than was asked for."
            raise NotApplied(message, code="scim.other-id", stream=self.stream)
        return response.mapping

    def _must_list(self, response: Response) -> None:
        if response.status in {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}:
            raise ConfigurationError(
                f"{self.stream}: listing was answered {response.status}; check the "
                f"account's rights and base_url.",
                code="scim.rights",
            )
        check_read(response, area="scim")


def _id(ref: Ref) -> str:
    return ref.id if isinstance(ref.id, str) else ""
