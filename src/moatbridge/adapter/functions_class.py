"""What `make_adapter` builds round functions: one class for each ability."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar, Final

from moatbridge.adapter.abilities import CanFetch, CanFind, CanScan
from moatbridge.adapter.base import Adapter
from moatbridge.adapter.fitting import emptied, fitting
from moatbridge.adapter.streams import Probe
from moatbridge.changes import Absent, Batch, Change, Record, Reject
from moatbridge.errors import (
    ConfigurationError,
    CursorTooOld,
    MoatbridgeError,
    NotApplied,
    Rejected,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from moatbridge.adapter.functions import StreamFunctions
    from moatbridge.adapter.streams import Partition, Query, Stream
    from moatbridge.changes import Cursor, Fetched, Ref

PAGE: Final = 500
"""Records in a batch where the configuration has no ``page_size``."""


class FunctionAdapter(Adapter[Any]):
    """What all of them share: connecting, describing, one connection."""

    functions: ClassVar[Mapping[str, StreamFunctions[Any]]]
    described: ClassVar[Mapping[str, Stream]]
    connector: ClassVar[Callable[[Any, Any], Any]]
    prober: ClassVar[Callable[[Any], Probe | str]]

    _handle: Any = None
    _probe: Probe | None = None

    def open(self) -> None:
        """Connect, and ask the server who it is.

        Raises:
            NotApplied: Also for a bare `OSError` (``NAME.unreachable``).
            ConfigurationError: ``adapter.page-size``: the setting is below 1.
        """
        if self._size() < 1:
            msg = f"`page_size` is {self._size()}, and must be at least 1."
            raise ConfigurationError(msg, code="adapter.page-size")
        with contextlib.ExitStack() as undone:
            undone.callback(self.close)
            with self._reading():
                self._handle = type(self).connector(self.config, self.net)
                told = type(self).prober(self._handle)
            undone.pop_all()
        self._probe = told if isinstance(told, Probe) else Probe(told)

    def close(self) -> None:
        """Close what ``connect`` returned, if it can be closed."""
        handle, self._handle = self._handle, None
        close = getattr(handle, "close", None)
        if close is not None:
            with contextlib.suppress(Exception):
                close()

    def probe(self) -> Probe:
        """What the server said when it was connected."""
        if self._probe is None:
            raise NotApplied("It is not open.", code=f"{self.name}.closed")
        return self._probe

    def streams(self) -> Sequence[Stream]:
        """The declared streams."""
        return list(self.described.values())

    def _size(self) -> int:
        """Records in a batch."""
        return int(getattr(self.config, "page_size", PAGE))

    def _of(self, stream: str) -> StreamFunctions[Any]:
        if stream not in self.functions:
            there = ", ".join(self.functions)
            msg = f"There is no stream {stream!r}; there are: {there}."
            raise ConfigurationError(msg, code=f"{self.name}.stream")
        return self.functions[stream]

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        """A read can be repeated: what the network did to it is `NotApplied`."""
        try:
            yield
        except MoatbridgeError:
            raise
        except OSError as error:
            words = f"The system cannot be read ({type(error).__name__})."
            raise NotApplied(words, code=f"{self.name}.unreachable") from error

    def _fit(
        self, functions: StreamFunctions[Any], row: Any, location: str = ""
    ) -> Record | Reject:
        """The record that an author's row is."""
        if functions.empty_is_none and isinstance(row, Mapping):
            row = emptied(row)
        return fitting(self.name, self.described[functions.name], row, location)

    def _records(
        self, functions: StreamFunctions[Any], rows: Iterable[Any]
    ) -> Iterator[Record]:
        """What is there but does not fit must not be taken for absent."""
        for row in rows:
            fit = self._fit(functions, row)
            if isinstance(fit, Reject):
                msg = f"A record of {functions.name} does not fit its declared fields."
                raise Rejected(msg, code=fit.reason, kind="data")
            yield fit

    def _fetched(
        self, functions: StreamFunctions[Any], keys: Sequence[str]
    ) -> list[tuple[Record, Any]]:
        """The records with these keys, each with the row of the author's function.

        Raises:
            NotApplied: ``NAME.other-record``: an answer to another question, which
                must not be taken for "there is none".
        """
        if functions.fetch is not None:
            asking = partial(functions.fetch, self._handle, keys)
            return self._group(functions, keys, asking)
        asked = [(key, partial(self._one, functions, key)) for key in keys]
        groups = (self._group(functions, [key], asking) for key, asking in asked)
        return list(chain.from_iterable(groups))

    def _one(self, functions: StreamFunctions[Any], key: str) -> list[Any]:
        if functions.get is None:
            return []
        try:
            row = functions.get(self._handle, key)
        except Rejected as error:
            if error.kind != "gone":
                raise
            return []
        return [] if row is None else [row]

    def _group(
        self,
        functions: StreamFunctions[Any],
        keys: Sequence[str],
        asking: Callable[[], Iterable[Any]],
    ) -> list[tuple[Record, Any]]:
        """The records that one question about these keys is answered with."""
        with self._reading():
            rows = list(asking())
        records = list(self._records(functions, rows))
        if not {str(each.ref.id) for each in records} <= set(keys):
            msg = f"A record of {functions.name} came that nobody asked for."
            raise NotApplied(msg, code=f"{self.name}.other-record")
        return list(zip(records, rows, strict=True))

    def _rows(self, functions: StreamFunctions[Any], start: str | None) -> Any:
        if functions.read_after is not None:
            return functions.read_after(self._handle, start)
        if functions.read is not None:
            return functions.read(self._handle)
        msg = f"The stream {functions.name} cannot be read."
        raise Rejected(msg, code=f"{self.name}.unsupported")


class Scanning(FunctionAdapter, CanScan):
    """Reading with ``read`` or ``read_after``."""

    def scan(
        self, stream: str, partition: Partition, after: Cursor | None
    ) -> Iterator[Batch]:
        """See `CanScan.scan`; only ``read_after`` can be resumed."""
        del partition
        functions = self._of(stream)
        start = self._start(functions, after)
        size = self._size()
        with self._reading():
            rows = iter(self._rows(functions, start))
        try:
            yield from self._batches(functions, rows, start, size)
        finally:
            if isinstance(rows, Generator):
                rows.close()

    def _start(self, functions: StreamFunctions[Any], after: Cursor) -> str | None:
        if functions.read_after is None and after is not None:
            words = "The position is not one of ours."
            raise CursorTooOld(words, code=f"{self.name}.cursor", reason="foreign")
        return self.position(after, "after", str)

    def _batches(
        self,
        functions: StreamFunctions[Any],
        rows: Iterator[Any],
        start: str | None,
        size: int,
    ) -> Iterator[Batch]:
        number, last = 0, start
        changes: list[Change] = []
        rejects: list[Reject] = []
        while True:
            with self._reading():
                row = next(rows, None)
            if row is None:
                break
            number += 1
            fit = self._fit(functions, row, f"record {number}")
            if isinstance(fit, Record):
                last = str(fit.ref.id)
                changes.append(
                    Change(fit.ref, data=fit.data, incomplete=fit.incomplete)
                )
            else:
                rejects.append(fit)
            if len(changes) + len(rejects) == size:
                yield Batch(changes, self._cursor(functions, last), rejects)
                changes, rejects = [], []
        yield Batch(changes, self._cursor(functions, last), rejects, complete=True)

    @staticmethod
    def _cursor(functions: StreamFunctions[Any], last: str | None) -> Cursor:
        resumes = functions.read_after is not None and last is not None
        return {"after": last} if resumes else None


class Fetching(FunctionAdapter, CanFetch):
    """By key, with ``fetch``."""

    def fetch(self, stream: str, refs: Sequence[Ref]) -> Sequence[Fetched]:
        """See `CanFetch.fetch`."""
        functions = self._of(stream)
        if not refs:
            return []
        if functions.fetch is None and functions.get is None:
            msg = f"Records of {stream} cannot be asked for."
            raise Rejected(msg, code=f"{self.name}.unsupported")
        pairs = self._fetched(functions, [str(ref.id) for ref in refs])
        found = {record.ref.key: record for record, _ in pairs}
        return [found.get(ref.key, Absent(ref)) for ref in refs]


class Finding(FunctionAdapter, CanFind):
    """By another field, with ``find``."""

    def find(self, stream: str, queries: Sequence[Query]) -> Sequence[Sequence[Record]]:
        """See `CanFind.find`; hits are compared here already."""
        functions = self._of(stream)
        if functions.find is None:
            msg = f"Records of {stream} cannot be searched."
            raise Rejected(msg, code=f"{self.name}.unsupported")
        if functions.find == "read":
            return self._by_reading(functions, queries)
        found = []
        for query in queries:
            with self._reading():
                rows = functions.find(self._handle, query.field, query.value)
                hits = [r for r in self._records(functions, rows) if _has(r, query)]
            found.append(hits)
        return found

    def _by_reading(
        self, functions: StreamFunctions[Any], queries: Sequence[Query]
    ) -> list[list[Record]]:
        """One pass for all of them.

        A record that cannot be read is no hit, as it is none at any system. But where
        "there is none" means that a create is sent again, it may be the one.
        """
        found: list[list[Record]] = [[] for _ in queries]
        with self._reading():
            rows: Iterable[Any] = self._rows(functions, None)
            if functions.dedup == "lookup":
                rows = self._records(functions, rows)
            for row in rows:
                record = row if isinstance(row, Record) else self._fit(functions, row)
                for query, hits in zip(queries, found, strict=True):
                    if isinstance(record, Record) and _has(record, query):
                        hits.append(record)
        return found


def _has(record: Record, query: Query) -> bool:
    value = record.data.get(query.field)
    values = value if isinstance(value, list) else [value]
    return query.value in [str(each) for each in values if each is not None]
