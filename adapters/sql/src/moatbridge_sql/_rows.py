"""Rows of a page to records, refs and rejects. Pure; the hot path of every read.

Only columns that need it are converted; a row that fails becomes a reject and never
takes its page along. Pages without a fault are read by column (`_columns`).
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from itertools import repeat
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from moatbridge.changes import Change, Record, Ref, Reject
from moatbridge.errors import Rejected
from moatbridge_sql._columns import Columns, ids_of, reader
from moatbridge_sql._keys import canonical, ref_id
from moatbridge_sql._values import Rules, Undecodable, ValueFault, decoder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import tzinfo

    from moatbridge.changes import Data, Key
    from moatbridge_sql._catalog import BoundStream
    from moatbridge_sql._columns import Parts, Read, Values
    from moatbridge_sql._database import Page

_change: Final = partial(tuple.__new__, Change)
_ref, _id = itemgetter(0), itemgetter(0)  # of a change, of a ref


class Decoded(NamedTuple):
    """One decoded row."""

    ref: Ref
    data: Data
    version: str | None
    inside: bool = True
    cursor: str | None = None


class RowReader:
    """Decodes the rows of one stream; made once per connection.

    Args:
        bound: The stream.
        loose: The driver does not guarantee types.
        zone: Zone of date-times without one.
        codec: Encoding of text that arrives as bytes.
        columnwise: Read pages by column where nothing in them is unusual.
    """

    def __init__(
        self,
        bound: BoundStream,
        *,
        loose: bool,
        zone: tzinfo | None,
        codec: str | None,
        columnwise: bool = True,
    ) -> None:
        selection = bound.selection
        columns = selection.columns
        self.stream = bound.name
        self._names = selection.fields
        self._width = len(columns)
        self._key_columns = bound.key_columns
        self._key_at = [columns.index(name) for name in selection.key]
        single = len(self._key_at) == 1 and self._key_columns[0].kind == "int"
        self._plain_key = self._key_at[0] if single else None
        self._marked = True
        self._version = _position(columns, selection.version)
        self._version_column = selection.version and bound.table.column(
            selection.version
        )
        self._name = _position(columns, selection.name)
        self._converters: list[tuple[int, str, Callable[[Any], Any]]] = []
        readers: list[tuple[int, Read]] = []
        for index, name in enumerate(selection.fields):
            rules = Rules(
                trim=bound.config.trim,
                empty_is_null=bound.config.empty_is_null,
                limit=bound.config.max_value_bytes,
                zone=zone,
                nulls=bound.nulls.get(name, ()),
                loose=loose or name in bound.rules or name in selection.as_text,
                codec=codec,
            )
            found = _with_rule(bound, name, decoder(bound.seen(name), rules), rules)
            if found is not None:
                self._converters.append((index, name, found))
                ruled = name in bound.rules
                read = reader(bound.seen(name), rules, found, ruled=ruled)
                readers.append((index, read))
        self._by_column = self._columns(readers) if columnwise else None

    def _columns(self, readers: Sequence[tuple[int, Read]]) -> Columns:
        version = None
        if self._version is not None and self._version_column:
            version = (self._version, partial(canonical, self._version_column))
        return Columns(self._names, readers, self._ids(), self._name, version)

    def _ids(self) -> Callable[[Sequence[Values]], Sequence[Key]]:
        ids, at = ids_of(self._key_columns), self._key_at
        return lambda columns: ids([columns[index] for index in at])

    def changes(
        self, rows: Sequence[Sequence[Any]], place: str, *, marked: bool = True
    ) -> tuple[list[Change], list[Reject]]:
        """Rows of a scan as upserts; arguments as for `rows`."""
        if self._by_column is not None and not marked:
            parts = self._by_column.read(rows)
            if parts is not None:
                return _upserts(parts), []
        good, bad = self.rows(rows, place, marked=marked)
        return list(map(to_change, good)), bad

    def rows(
        self, rows: Sequence[Sequence[Any]], place: str, *, marked: bool = True
    ) -> tuple[list[Decoded], list[Reject]]:
        """Decode rows.

        Args:
            rows: As `Selection` lays them out.
            place: Where they lie, for the rejects.
            marked: They may hold `Undecodable` markers (read by tolerant loaders).
        """
        self._marked = marked
        good: list[Decoded] = []
        bad: list[Reject] = []
        for row in rows:
            try:
                good.append(self._decoded(row))
            except ValueFault as fault:
                bad.append(self._reject(row, fault, place))
        return good, bad

    def key(self, row: Sequence[Any]) -> Key:
        """The id of a row; raises `ValueFault`."""
        if self._plain_key is not None:  # one integer: the usual case, and the hot one
            value = row[self._plain_key]
            if type(value) is int:
                return str(value)
        return ref_id(self._key_columns, tuple(row[i] for i in self._key_at))

    def _decoded(self, row: Sequence[Any]) -> Decoded:
        data = dict(zip(self._names, row, strict=False))  # extra columns follow
        for index, name, convert in self._converters:
            value = row[index]
            if value is not None:
                try:
                    data[name] = convert(value)
                except ValueFault as fault:
                    fault.field = name
                    raise
        if self._marked:
            _refuse_markers(data)
        label = None if self._name is None else row[self._name]
        ref = Ref(self.key(row), None if label is None else str(label).rstrip(" "))
        version = None if self._version is None else self._version_of(row)
        if len(row) == self._width:
            return Decoded(ref, data, version)
        extra = row[self._width :]
        cursor = extra[1] if len(extra) > 1 else None
        return Decoded(ref, data, version, bool(extra[0]), cursor)

    def _version_of(self, row: Sequence[Any]) -> str | None:
        if self._version is None or row[self._version] is None:
            return None
        assert self._version_column  # noqa: S101 - set together with _version
        return canonical(self._version_column, row[self._version])

    def _reject(self, row: Sequence[Any], fault: ValueFault, place: str) -> Reject:
        try:
            ref = Ref(self.key(row))
        except ValueFault:
            ref = None
        return Reject(f"sql.value.{fault.reason}", place, ref, fault.field or None)


def _upserts(parts: Parts) -> list[Change]:
    found = zip(
        parts.refs, repeat("upsert"), parts.data, parts.versions,
        repeat(object=False), repeat(()), strict=False,  # not partial, nothing missing
    )  # fmt: skip
    return list(map(_change, found))


def _refuse_markers(data: Data) -> None:
    for name, value in data.items():
        if type(value) is Undecodable:
            raise ValueFault("undecodable", name)


def _position(columns: Sequence[str], name: str | None) -> int | None:
    return None if name is None else columns.index(name)


def _with_rule(
    bound: BoundStream, name: str, inner: Callable[[Any], Any] | None, rules: Rules
) -> Callable[[Any], Any] | None:
    rule = bound.rules.get(name)
    if rule is None or rule.decode is None:
        return inner
    first, nulls = rule.decode, frozenset(rules.nulls)

    def convert(value: Any) -> Any:
        if nulls and str(value) in nulls:
            return None
        found = first(value)
        return found if inner is None else inner(found)

    return convert


def to_record(row: Decoded) -> Record:
    """What `fetch` and `find` return for a row."""
    return Record(row.ref, row.data, row.version)


def to_change(row: Decoded) -> Change:
    """What `scan` and `changes` yield: rows outside the stream are deletes."""
    if not row.inside:
        return Change(row.ref, "delete")
    return Change(row.ref, "upsert", row.data, row.version)


class PageReader:
    """Walks the pages of one pass and watches that keys never come twice."""

    def __init__(self, reader: RowReader, *, unique: bool) -> None:
        self._reader = reader
        self._unique = unique
        self._previous: set[Key] = set()
        self._count = 0

    def decode(self, page: Page) -> tuple[list[Change], list[Reject]]:
        """The rows of one page.

        Raises:
            Rejected: ``sql.order``: a server repeats unique keys.
        """
        self._count += 1
        place = f"page {self._count}"
        good, bad = self._reader.changes(page.rows, place, marked=page.marked)
        bad += list(self._server_faults(page, place))
        if self._unique:
            self._check(good)
        else:
            good, twins = _without_twins(good, place, tail=page.twin)
            bad += twins
        return good, bad

    def _check(self, rows: Sequence[Change]) -> None:
        keys = set(map(_id, map(_ref, rows)))
        seen, self._previous = self._previous, keys
        if len(keys) != len(rows) or not seen.isdisjoint(keys):
            raise Rejected(
                "The database returned one key twice although it calls the key unique; "
                "nothing after it was read. Check the table's indexes.",
                code="sql.order",
                stream=self._reader.stream,
            )

    def _server_faults(self, page: Page, place: str) -> Iterator[Reject]:
        for row in page.bad:
            columns = self._reader._key_columns  # noqa: SLF001 - one module
            try:
                ref = Ref(ref_id(columns, row.key))
            except ValueFault:
                ref = None
            yield Reject(row.fault.code, place, ref, row.fault.column)


def _without_twins(
    rows: list[Change], place: str, *, tail: bool
) -> tuple[list[Change], list[Reject]]:
    keys = Counter(row.ref.key for row in rows)
    double = {key for key, count in keys.items() if count > 1}
    if tail and rows:
        double.add(rows[-1].ref.key)
    if not double:
        return rows, []
    bad = [
        Reject("sql.duplicate-key", place, row.ref)
        for row in rows
        if row.ref.key in double
    ]
    return [row for row in rows if row.ref.key not in double], bad
