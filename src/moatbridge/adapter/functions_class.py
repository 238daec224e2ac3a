"""What `make_adapter` builds round functions: one class for each ability."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, ClassVar, Final

from moatbridge.adapter.abilities import CanFetch, CanFind, CanScan, CanWrite
from moatbridge.adapter.base import Adapter
from moatbridge.adapter.each import write_each
from moatbridge.adapter.fitting import fitting, misfit
from moatbridge.adapter.streams import Probe
from moatbridge.changes import Absent, Batch, Change, Receipt, Record, Ref, Reject
from moatbridge.errors import (
    ConfigurationError,
    CursorTooOld,
    MoatbridgeError,
    NotApplied,
    Rejected,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from moatbridge.adapter.functions import StreamFunctions
    from moatbridge.adapter.streams import Partition, Query, Stream, WriteTraits
    from moatbridge.changes import Cursor, Fetched, Intent

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
        """
        with self._reading():
            self._handle = type(self).connector(self.config, self.net)
            told = type(self).prober(self._handle)
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

    def _records(self, stream: str, rows: Iterable[Any]) -> Iterator[Record]:
        """What is there but does not fit must not be taken for absent."""
        for row in rows:
            fit = fitting(self.name, self.described[stream], row, "")
            if isinstance(fit, Reject):
                msg = f"A record of {stream} does not fit its declared fields."
                raise Rejected(msg, code=fit.reason, kind="data")
            yield fit


class Scanning(FunctionAdapter, CanScan):
    """Reading with ``read`` or ``read_after``."""

    def scan(
        self, stream: str, partition: Partition, after: Cursor | None
    ) -> Iterator[Batch]:
        """See `CanScan.scan`; only ``read_after`` can be resumed."""
        del partition
        functions = self._of(stream)
        start = self._start(functions, after)
        size = max(1, int(getattr(self.config, "page_size", PAGE)))
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

    def _rows(self, functions: StreamFunctions[Any], start: str | None) -> Any:
        if functions.read_after is not None:
            return functions.read_after(self._handle, start)
        if functions.read is not None:
            return functions.read(self._handle)
        msg = f"The stream {functions.name} cannot be read."
        raise Rejected(msg, code=f"{self.name}.unsupported")

    def _batches(
        self,
        functions: StreamFunctions[Any],
        rows: Iterator[Any],
        start: str | None,
        size: int,
    ) -> Iterator[Batch]:
        stream, number, last = self.described[functions.name], 0, start
        changes: list[Change] = []
        rejects: list[Reject] = []
        while True:
            with self._reading():
                row = next(rows, None)
            if row is None:
                break
            number += 1
            fit = fitting(self.name, stream, row, f"record {number}")
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
        if functions.fetch is None:
            msg = f"Records of {stream} cannot be asked for."
            raise Rejected(msg, code=f"{self.name}.unsupported")
        with self._reading():
            rows = functions.fetch(self._handle, [str(ref.id) for ref in refs])
            found = {each.ref.key: each for each in self._records(stream, rows)}
        return [found.get(ref.key, Absent(ref)) for ref in refs]


class Finding(FunctionAdapter, CanFind):
    """By another field, with ``find``."""

    def find(self, stream: str, queries: Sequence[Query]) -> Sequence[Sequence[Record]]:
        """See `CanFind.find`; hits are compared here already."""
        functions = self._of(stream)
        if functions.find is None:
            msg = f"Records of {stream} cannot be searched."
            raise Rejected(msg, code=f"{self.name}.unsupported")
        found = []
        for query in queries:
            with self._reading():
                rows = functions.find(self._handle, query.field, query.value)
                hits = [r for r in self._records(stream, rows) if _has(r, query)]
            found.append(hits)
        return found


class Writing(FunctionAdapter, CanWrite):
    """With ``create``, ``update`` and ``delete``."""

    def traits(self, stream: str) -> WriteTraits:
        """What the stream's functions declare."""
        return self._of(stream).traits()

    def write(self, stream: str, intents: Sequence[Intent]) -> Sequence[Receipt]:
        """See `CanWrite.write` and `write_each`."""
        functions = self._of(stream)
        return write_each(self, intents, lambda each: self._carry_out(functions, each))

    def _carry_out(self, functions: StreamFunctions[Any], intent: Intent) -> Receipt:
        wrong = misfit(self.described[functions.name], intent)
        if wrong is not None:
            msg = f"What was to be written does not fit the field {wrong}."
            raise Rejected(msg, code=f"{self.name}.data", kind="data")
        if intent.op == "update" and any("[" in path for path in intent.owned):
            msg = "A part of a list is to be set, and the functions set whole fields."
            raise Rejected(msg, code=f"{self.name}.slots.data", kind="data")
        record = dict(intent.record or {})
        if intent.op == "create" and functions.create is not None:
            made = functions.create(self._handle, record, intent.key)
            if made in {"", None}:
                return Receipt("unknown", code=f"{self.name}.no-id")
            return Receipt("applied", Ref(str(made)))
        if intent.op == "update" and functions.update is not None and intent.ref:
            functions.update(self._handle, str(intent.ref.id), record)
            return Receipt("applied", intent.ref)
        if intent.op == "delete" and functions.delete is not None and intent.ref:
            return self._delete(functions.delete, intent.ref)
        msg = f"The stream {functions.name} knows no such write."
        raise Rejected(msg, code=f"{self.name}.unsupported.data")

    def _delete(self, delete: Callable[[Any, str], None], ref: Ref) -> Receipt:
        try:
            delete(self._handle, str(ref.id))
        except Rejected as error:
            if error.kind != "gone":
                raise
        return Receipt("applied", ref)


def _has(record: Record, query: Query) -> bool:
    value = record.data.get(query.field)
    values = value if isinstance(value, list) else [value]
    return query.value in [str(each) for each in values if each is not None]
