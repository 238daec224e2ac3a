"""Records by id or by a value, many at once: never one search per record."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final, TypeVar

from moatbridge.changes import Absent, OutOfScope, Record, Ref, Reject
from moatbridge.errors import ConfigurationError, NotApplied
from moatbridge_ldap import dn as names
from moatbridge_ldap.ranges import completed
from moatbridge_ldap.shape import scope_of
from moatbridge_ldap.wire import filters
from moatbridge_ldap.wire.errors import (
    ADMIN_LIMIT,
    NO_SUCH_OBJECT,
    SIZE_LIMIT,
    SUCCESS,
    UNWILLING,
    search_error,
)
from moatbridge_ldap.wire.filters import EVERYTHING
from moatbridge_ldap.wire.layout import reading
from moatbridge_ldap.wire.port import BASE, Budget, Done, Entry, SearchRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from moatbridge.adapter import Query
    from moatbridge.changes import Fetched
    from moatbridge_ldap.directory import Directory
    from moatbridge_ldap.shape import Column, Shape
    from moatbridge_ldap.straight import Learned
    from moatbridge_ldap.wire.filters import Filter
    from moatbridge_ldap.wire.port import Port

Item = TypeVar("Item")
Answer = TypeVar("Answer")

CHUNK: Final = 200
_TOO_MUCH: Final = frozenset({SIZE_LIMIT, ADMIN_LIMIT, UNWILLING})


class Fetcher:
    """Looks records of one stream up."""

    def __init__(self, port: Port, directory: Directory, shape: Shape) -> None:
        self._port = port
        self._shape = shape
        bases = (directory.context_of(place.dn) for place in shape.places)
        self._contexts = tuple(dict.fromkeys(bases))
        self._chunk = CHUNK

    def fetch(self, refs: Sequence[Ref]) -> list[Fetched]:
        """One `Record`, `Absent` or `OutOfScope` per ref, in the same order.

        Raises:
            NotApplied, ConfigurationError: A search failed.
            NotApplied: ``ldap.unreadable``: an entry is there but cannot be decoded.
        """
        known = self.identified(refs)
        wanted = list({str(ref.id): None for ref in known if ref.id})
        records: dict[str, Record] = {}
        inside: set[str] = set()
        for entries, visible in self._chunks(wanted, self._both):
            for entry in entries:
                record = self._record(entry)
                records[str(record.ref.id)] = record
            inside |= visible
        return [self._judged(ref, records, inside) for ref in known]

    def entries(self, ids: Sequence[str], attributes: Sequence[str]) -> list[Entry]:
        """Raw entries with these ids, in scope or not: what a writer needs."""
        shape = self._shape
        raw = [shape.id_bytes(text) for text in ids]
        asked = tuple(dict.fromkeys((*attributes, shape.id_name)))
        return self._anywhere(shape.id_name, raw, asked)

    def having(self, attribute: str, values: Sequence[bytes]) -> list[Entry]:
        """Raw entries anywhere with one of these values."""
        return self._anywhere(attribute, values, self._shape.attributes)

    def _anywhere(
        self, attribute: str, values: Sequence[bytes], asked: tuple[str, ...]
    ) -> list[Entry]:
        learned = self._shape.learned

        def ask(chunk: list[bytes]) -> list[Entry]:
            node = filters.any_of(attribute, chunk)
            requests = [SearchRequest(c, node, asked) for c in self._contexts]
            answers = collect(self._port, requests, len(chunk), learned)
            return list(itertools.chain(*answers))

        return list(itertools.chain(*self._chunks(values, ask)))

    def _judged(
        self, ref: Ref, records: dict[str, Record], inside: set[str]
    ) -> Fetched:
        record = records.get(str(ref.id))
        if record is None:
            return Absent(ref)
        if record.ref.id not in inside or self._shape.excludes(record.ref.name or ""):
            return OutOfScope(record.ref)
        return record

    def _chunks(
        self, items: Sequence[Item], ask: Callable[[list[Item]], Answer]
    ) -> Iterator[Answer]:
        """Ask for 200 at a time; fewer where the server says that is too much."""
        todo = list(items)
        while todo:
            chunk, rest = todo[: self._chunk], todo[self._chunk :]
            try:
                answer = ask(chunk)
            except ConfigurationError as error:
                if len(chunk) == 1 or error.details.get("result") not in _TOO_MUCH:
                    raise
                self._chunk = max(1, len(chunk) // 2)
                continue
            todo = rest
            yield answer

    def _both(self, ids: list[str]) -> tuple[list[Entry], set[str]]:
        """Two pipelined searches: everywhere for the data, in scope for the ids."""
        shape = self._shape
        node = filters.any_of(shape.id_name, [shape.id_bytes(i) for i in ids])
        everywhere = [
            SearchRequest(context, node, shape.attributes) for context in self._contexts
        ]
        scoped = self._scoped_requests(node, (shape.id_name,))
        answers = collect(self._port, [*everywhere, *scoped], len(ids), shape.learned)
        found = list(itertools.chain(*answers[: len(everywhere)]))
        visible = {
            str(ref.id)
            for entry in itertools.chain(*answers[len(everywhere) :])
            if (ref := shape.ref(entry)) is not None
        }
        return found, visible

    def _scoped_requests(
        self, node: Filter, attributes: Sequence[str]
    ) -> list[SearchRequest]:
        return [
            SearchRequest(
                place.dn,
                filters.both(node, place.filter),
                attributes,
                scope_of(place),
            )
            for place in self._shape.places
        ]

    def find(self, queries: Sequence[Query]) -> list[list[Record]]:
        """Records of the stream that match each query; compared again here."""
        columns = [self._column(query) for query in queries]
        found: dict[tuple[str, str], list[Record]] = {}
        grouped: dict[str, list[str]] = {}
        spelled = [column.name if column else "" for column in columns]
        for query, name in zip(queries, spelled, strict=True):
            grouped.setdefault(name, []).append(query.value)
        for name, texts in grouped.items():
            column = self._shape.column(name)
            for record in self._matching(column, texts):
                for value in {_compared(name, value) for value in _given(record, name)}:
                    found.setdefault((name, value), []).append(record)
        return [
            found.get((name, _compared(name, query.value)), [])
            for query, name in zip(queries, spelled, strict=True)
        ]

    def _matching(self, column: Column | None, texts: list[str]) -> list[Record]:
        if column is None:
            found = self.fetch([Ref("", text) for text in texts])
            return [got for got in found if isinstance(got, Record)]
        encoded = [_encoded(column, text) for text in texts]
        usable = [value for value in encoded if value is not None]

        def ask(chunk: list[bytes]) -> list[Record]:
            return self._scoped(filters.any_of(column.name, chunk), len(chunk))

        return list(itertools.chain(*self._chunks(usable, ask)))

    def _scoped(self, node: Filter, most: int) -> list[Record]:
        shape = self._shape
        requests = self._scoped_requests(node, shape.attributes)
        found: dict[str, Record] = {}
        for entry in itertools.chain(
            *collect(self._port, requests, most, shape.learned)
        ):
            ref = shape.ref(entry)
            if ref is not None and not shape.excludes(entry.dn):
                found[str(ref.id)] = self._record(entry)
        return list(found.values())

    def _record(self, entry: Entry) -> Record:
        whole = completed(self._port, self._shape, entry)
        made = whole if isinstance(whole, Reject) else self._shape.record(whole)
        if isinstance(made, Reject):
            raise NotApplied(
                f"An entry of stream {self._shape.stream} cannot be read: "
                f"{made.reason} in field {made.field}.",
                code="ldap.unreadable",
                stream=self._shape.stream,
            )
        return made

    def identified(self, refs: Sequence[Ref]) -> list[Ref]:
        """Complete the refs that have only a DN: one base search each, in one go."""
        named = [ref for ref in refs if not ref.id and _is_dn(ref.name)]
        requests = [
            SearchRequest(ref.name or "", EVERYTHING, (self._shape.id_name,), BASE)
            for ref in named
        ]
        answers = collect(self._port, requests, 1)
        found = {
            ref: self._shape.ref(entries[0])
            for ref, entries in zip(named, answers, strict=True)
            if entries
        }
        return [found.get(ref) or ref for ref in refs]

    def _column(self, query: Query) -> Column | None:
        column = self._shape.column(query.field)
        if column is None and query.field.lower() != "dn":
            raise ConfigurationError(
                f"Stream {self._shape.stream} has no field {query.field!r} to look up.",
                code="ldap.field",
                stream=self._shape.stream,
            )
        return column


def collect(
    port: Port,
    requests: Sequence[SearchRequest],
    most: int,
    learned: Learned | None = None,
) -> list[list[Entry]]:
    """Run unpaged searches, all in flight at once; a missing base holds nothing.

    Args:
        port: The session.
        requests: The searches.
        most: Entries that each of them asks for.
        learned: How the entries of the stream look.

    Raises:
        NotApplied: ``ldap.protocol``: far more came, or over 64 MiB in all.
        NotApplied, ConfigurationError: One failed. References are ignored: identity
            decides, and what lies on another server is not this stream's.
    """
    budget = Budget(most * len(requests))
    streams = [port.search(request, budget) for request in requests]
    answers: list[list[Entry]] = []
    failed: Exception | None = None
    for stream, request in zip(streams, requests, strict=True):
        entries: list[Entry] = []
        layouts = learned.entries(request.attributes) if learned else None
        for message in reading(stream, layouts, entries):
            if isinstance(message, Entry):
                entries.append(message)
            elif isinstance(message, Done):
                failed = failed or _failure(message, port, request)
        answers.append(entries)
    if failed is not None:
        raise failed
    return answers


def _failure(done: Done, port: Port, request: SearchRequest) -> Exception | None:
    if done.code in {SUCCESS, NO_SUCH_OBJECT}:
        return None
    return search_error(done, port.server, request.base)


def _is_dn(text: str | None) -> bool:
    try:
        return bool(text) and bool(names.parse(text or ""))
    except ConfigurationError:
        return False


def _encoded(column: Column, text: str) -> bytes | None:
    codec = column.codec
    try:
        if codec.type in {"text", "reference"}:
            return codec.encode(text)
        if codec.type == "int":
            return codec.encode(int(text))
    except ValueError:
        return None
    return text.encode()


def _given(record: Record, name: str) -> list[str]:
    value = record.data.get(name) if name else record.ref.name
    listed = value if isinstance(value, list) else [value]
    return [str(item) for item in listed if item is not None]


def _compared(name: str, text: str) -> str:
    # Most name-like attributes compare so (RFC 4518); a hint may be generous.
    if not name:
        return repr(names.normal(text)) if _is_dn(text) else ""
    return " ".join(text.casefold().split())
