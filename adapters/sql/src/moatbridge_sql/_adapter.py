"""The adapter: streams over tables of a relational database."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, ClassVar, Final

from moatbridge.adapter import (
    Adapter,
    CanDiscover,
    CanFetch,
    CanFind,
    CanFollow,
    CanScan,
    CanWrite,
    Partition,
    Probe,
    Suggestion,
    Suggestions,
    WriteTraits,
)
from moatbridge.changes import Absent, Batch, OutOfScope, Receipt
from moatbridge.errors import ConfigurationError, NotApplied
from moatbridge_sql import _url
from moatbridge_sql._catalog import BoundStream, bind, describe, warnings_of
from moatbridge_sql._config import SqlConfig, SqlStreamConfig
from moatbridge_sql._cursors import (
    PollCursor,
    before,
    ranges,
    scan_cursor,
    scan_position,
    span_of,
)
from moatbridge_sql._database import PagePlan
from moatbridge_sql._encode import encode
from moatbridge_sql._keys import alike_id, raw_key
from moatbridge_sql._polling import poll
from moatbridge_sql._rows import PageReader, RowReader, to_record
from moatbridge_sql._stream_writing import StreamWriter
from moatbridge_sql._suggest import suggestions
from moatbridge_sql._values import ValueFault, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from moatbridge.adapter import Query, Stream
    from moatbridge.changes import Cursor, Fetched, Intent, Record, Ref
    from moatbridge_sql._database import Database
from moatbridge_sql._rows import Decoded

MOST_INTENTS: Final = 1000
SLACK: Final = 5.0
UNBOUNDED_LIFE: Final = 300.0


class SqlAdapter(
    Adapter[SqlConfig],
    CanScan,
    CanFollow,
    CanFetch,
    CanFind,
    CanWrite,
    CanDiscover,
):
    """Tables and views of PostgreSQL, MariaDB, MySQL, SQLite and others.

    Any SQLAlchemy dialect works, if less finely (`dialect_mode = "generic"`).

    One instance is one connection, used by one thread at a time; only `abort` may be
    called from another one. Reads are keyset pages, each in a read-only transaction of
    its own; writes are one transaction a call, and rows that the database refuses are
    rejected alone.
    """

    name: ClassVar[str] = "sql"
    Config: ClassVar[type[SqlConfig]] = SqlConfig
    StreamConfig: ClassVar[type[SqlStreamConfig]] = SqlStreamConfig
    reach = "inside"

    def __init__(self, config: SqlConfig, streams: Mapping[str, Any]) -> None:
        """Keep the configuration; no I/O here."""
        super().__init__(config, streams)
        self._database: Database | None = None
        self._bound: dict[str, BoundStream] = {}
        self._readers: dict[str, RowReader] = {}
        self._writers: dict[str, StreamWriter] = {}

    @classmethod
    def endpoints(cls, config: Any) -> Sequence[tuple[str, int]]:
        """Host and port of ``url``; nothing for files and local sockets."""
        found = _url.address(config.url)
        return [] if found is None else [found]

    # --- connection -----------------------------------------------------------------

    def open(self) -> None:
        """Connect, check the account's rights, and look the streams up.

        Raises:
            ConfigurationError: ``sql.auth``, ``sql.privileged``, ``net.tls.*``,
                ``sql.schema-changed``, ``sql.no-key``, ``sql.not-writable``.
            NotApplied: ``sql.unreachable``.
        """
        from moatbridge_sql.engine import open_database  # noqa: PLC0415 - loads SQLAlchemy

        self._database = open_database(
            self.config, self.net, read_only=self._read_only()
        )
        try:
            self._look_up()
        except BaseException:
            self.close()
            raise

    def _read_only(self) -> bool:
        if self.config.read_only != "auto":
            return self.config.read_only
        return not any(config.written for config in self.stream_configs.values())

    def _look_up(self) -> None:
        configs: Mapping[str, SqlStreamConfig] = self.stream_configs
        tables = self._open().describe([c.table for c in configs.values()])
        for name, config in configs.items():
            bound = bind(name, config, tables[config.table])
            self._bound[name] = bound
            self._writers[name] = StreamWriter(
                bound, self.config.zone, columnwise=self.config.columnwise
            )
            self._readers[name] = RowReader(
                bound,
                loose=self._open().loose,
                zone=self.config.zone,
                codec=self.config.text_encoding,
                columnwise=self.config.columnwise,
            )

    def close(self) -> None:
        """Release the connection."""
        database, self._database = self._database, None
        if database is not None:
            database.close()

    def abort(self) -> None:
        """Interrupt SQLite; the core shuts down the sockets of all others."""
        with contextlib.suppress(Exception):
            if self._database is not None:
                self._database.abort()

    def _open(self) -> Database:
        if self._database is None:
            raise NotApplied("The adapter is not open.", code="sql.unreachable")
        return self._database

    def _stream(self, name: str) -> BoundStream:
        self._open()
        if name not in self._bound:
            raise ConfigurationError(
                f"There is no stream {name!r} in this system; the configuration has "
                f"{', '.join(sorted(self._bound)) or 'none'}.",
                code="sql.no-stream",
            )
        return self._bound[name]

    # --- description ----------------------------------------------------------------

    def probe(self) -> Probe:
        """Who we are, and what a person should know about the streams."""
        facts = self._open().facts
        said = [f"the account holds {name}" for name in facts.privileges]
        if self.config.insecure_cleartext and self.endpoints(self.config):
            said.append("the connection is not encrypted (insecure_cleartext)")
        said += [*facts.warnings, *(f"without {name}" for name in facts.missing)]
        for bound in self._bound.values():
            said += warnings_of(bound)
            if not bound.config.written and self._open().may_write(bound.table):
                said.append(f"{bound.name}: this account may write.")
            if not bound.selection.unique and self._open().duplicated(bound.selection):
                said.append(f"{bound.name}: two rows share a key; both are rejected.")
        return Probe(
            server=facts.identity,
            product=facts.product,
            account=facts.account,
            limits={"page_size": self.config.page_size, "max_batch": MOST_INTENTS},
            warnings=tuple(said),
        )

    def streams(self) -> Sequence[Stream]:
        """The configured tables and views, with types from the catalogue."""
        self._open()
        return [describe(b, self._abilities(b)) for b in self._bound.values()]

    def _abilities(self, bound: BoundStream) -> frozenset[str]:
        found = {"CanScan", "CanFetch", "CanFind"}
        if bound.selection.cursor is not None:
            found.add("CanFollow")
        if bound.config.written and not self._read_only():
            found.add("CanWrite")
        return frozenset(found)

    # --- scan -----------------------------------------------------------------------

    def split(self, stream: str, wanted: int) -> Sequence[Partition]:
        """Equal ranges of a single integer key; otherwise one partition."""
        bound = self._stream(stream)
        columns = bound.key_columns
        if wanted < 2 or len(columns) != 1 or columns[0].kind != "int":  # noqa: PLR2004 - one part is no split
            return [Partition()]
        bounds = self._open().bounds(bound.selection)
        if bounds is None or not all(type(value) is int for value in bounds):
            return [Partition()]
        return [Partition(key, spec) for key, spec in ranges(*bounds, wanted)]

    def scan(
        self, stream: str, partition: Partition, after: Cursor | None
    ) -> Iterator[Batch]:
        """Keyset pages; the last one, shorter than its limit, says ``complete``."""
        bound = self._stream(stream)
        plan = PagePlan(
            bound.selection,
            self.config.page_size,
            after=scan_position(after, len(bound.selection.key)),
            span=span_of(partition.spec),
        )
        reader = PageReader(self._readers[stream], unique=bound.selection.unique)
        position = plan.after
        for page in self._open().pages(plan):
            good, bad = reader.decode(page)
            position = page.after if page.after is not None else position
            yield Batch(
                good,
                scan_cursor(position),
                bad,
                complete=page.last,
            )

    # --- follow ---------------------------------------------------------------------

    def changes(self, stream: str, after: Cursor | None) -> Iterator[Batch]:
        """Rows from a while before the newest value seen, by (cursor, key).

        Rows outside the stream, or marked deleted, are deletes. What did not change
        is told again within the overlap; the core's record states drop it.
        """
        bound = self._stream(stream)
        if bound.selection.cursor is None:
            raise ConfigurationError(
                "The stream has no cursor_column, so it cannot be followed.",
                code="sql.no-cursor",
                stream=stream,
            )
        if after is None:
            newest = self._open().newest(bound.selection)
            start = before(newest, bound.config.overlap)
            yield Batch((), PollCursor(start, newest).pack())
            return
        yield from poll(
            self._open(),
            self._readers[stream],
            bound,
            PollCursor.unpack(after, len(bound.selection.key)),
            self.config.page_size,
        )

    # --- fetch and find -------------------------------------------------------------

    def fetch(self, stream: str, refs: Sequence[Ref]) -> Sequence[Fetched]:
        """Rows by key, compared by the database's own rule.

        Raises:
            Rejected: ``sql.value``: a wanted row cannot be decoded.
        """
        bound = self._stream(stream)
        keys = {ref.key: raw_key(bound.key_columns, ref) for ref in refs}
        wanted = [key for key in keys.values() if key is not None]
        rows = self._open().fetch(bound.selection, wanted) if wanted else []
        good, bad = self._readers[stream].rows(rows, "fetch")
        found = {row.ref.key: row for row in good}
        if any(column.folded for column in bound.key_columns):
            found |= {alike_id(bound.key_columns, row.ref): row for row in good}
        broken = {reject.ref.key for reject in bad if reject.ref is not None}
        return [self._fetched(bound, ref, found, broken) for ref in refs]

    def _fetched(
        self,
        bound: BoundStream,
        ref: Ref,
        found: Mapping[str, Decoded],
        broken: set[str],
    ) -> Fetched:
        row = found.get(ref.key)
        if row is None and any(column.folded for column in bound.key_columns):
            row = found.get(alike_id(bound.key_columns, ref))
        if row is not None:
            if not row.inside:
                return OutOfScope(ref)
            return to_record(row)._replace(ref=ref if ref.name else row.ref)
        if ref.key in broken:
            raise NotApplied(
                "A row that was asked for holds a value that cannot be decoded; a scan "
                "names it among its rejects.",
                code="sql.value",
                stream=bound.name,
            )
        return Absent(ref)

    def find(self, stream: str, queries: Sequence[Query]) -> Sequence[Sequence[Record]]:
        """Rows inside the stream by one column each; compared again here."""
        bound = self._stream(stream)
        hits: list[list[Record]] = [[] for _ in queries]
        for field in dict.fromkeys(query.field for query in queries):
            if field not in bound.selection.fields:
                raise ConfigurationError(
                    f"The stream does not read a column {field!r}.",
                    code="sql.no-field",
                    stream=stream,
                )
            asked = [(i, q.value) for i, q in enumerate(queries) if q.field == field]
            records = self._records(bound, field, [value for _, value in asked])
            for index, value in asked:
                hits[index] = [r for r in records if _shown(r.data[field]) == value]
        return hits

    def _records(
        self, bound: BoundStream, field: str, texts: Sequence[str]
    ) -> list[Record]:
        column, rule = bound.seen(field), bound.rules.get(field)
        values = []
        for text in dict.fromkeys(texts):
            with contextlib.suppress(ValueFault):
                value = encode(column, text, self.config.zone)
                values.append(rule.encode(value) if rule and rule.encode else value)
        if not values:
            return []
        own = bound.table.column(field)
        rows = self._open().find(bound.selection, own, values)
        good, _ = self._readers[bound.name].rows(rows, "find")
        return [to_record(row) for row in good]

    # --- write ----------------------------------------------------------------------

    def traits(self, stream: str) -> WriteTraits:
        """``keyed`` where our own key (or ``external_id``) is unique in the table."""
        bound = self._stream(stream)
        enforced = self._open().repeats_safely
        limit = self.config.statement_timeout + SLACK if enforced else UNBOUNDED_LIFE
        return WriteTraits(
            dedup="keyed" if bound.natural else "none",
            key_scope="object",
            max_request_life=limit,
            max_batch=MOST_INTENTS,
            conditional=bound.selection.version is not None,
            retractable=True,
        )

    def write(self, stream: str, intents: Sequence[Intent]) -> Sequence[Receipt]:
        """One transaction; refused rows are rejected alone, the others commit.

        Raises:
            ConfigurationError: ``sql.rights``, ``sql.many-rejects``, and others.
            NotApplied: ``sql.busy``, ``sql.unreachable``: nothing took effect.
        """
        bound = self._stream(stream)
        if not bound.config.written or self._read_only():
            raise ConfigurationError(
                "The stream is not written: set 'writable' (and read_only = false).",
                code="sql.not-writable",
                stream=stream,
            )
        return self._writers[stream].write(self._open(), intents)

    # --- discover -------------------------------------------------------------------

    def discover(self) -> Suggestions:
        """Tables and views with keys, cursor columns and a mapping; no row is read."""
        facts = self._open().facts
        items: list[Suggestion] = []
        warnings = [f"the account holds {name}" for name in facts.privileges]
        for found in self._open().overview():
            name = found.table.name
            if not found.table.view and not found.table.uniques:
                warnings.append(f"{name} has no unique key")
            items += suggestions(found, name)
        return Suggestions(items, tuple(warnings) + facts.warnings)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else text_of(value)
