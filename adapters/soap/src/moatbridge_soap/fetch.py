"""Records by identity or by another field (soap 70)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moatbridge.changes import Absent, OutOfScope, Record, Ref
from moatbridge.errors import ConfigurationError, NotApplied, Rejected
from moatbridge_soap.records import key_values
from moatbridge_soap.request import MISSING, inside, plain_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from moatbridge.adapter import Query
    from moatbridge.changes import Fetched
    from moatbridge_soap.call import Caller
    from moatbridge_soap.decode import Item
    from moatbridge_soap.operation import Operation
    from moatbridge_soap.streams import CompiledStream


class Fetch:
    """``get`` and ``find`` of one stream.

    Args:
        caller: The connection.
        stream: The stream.
    """

    def __init__(self, caller: Caller, stream: CompiledStream) -> None:
        self._caller = caller
        self._stream = stream

    def fetch(self, refs: Sequence[Ref]) -> list[Fetched]:
        """One answer per ref, in order; see `CanFetch.fetch`."""
        operation = self._stream.operation("get")
        config = self._stream.config.get
        if config is None or config.batch is None:
            return [self.one(ref, operation) for ref in refs]
        found: dict[str, Fetched] = {}
        for start in range(0, len(refs), config.batch.size):
            some = refs[start : start + config.batch.size]
            for record in self._records(
                operation, key_values(self._stream.config, some)
            ):
                found[record.ref.key] = self._scoped(record)
        return [found.get(ref.key, Absent(ref)) for ref in refs]

    def one(self, ref: Ref, operation: Operation) -> Fetched:
        """One record, or that it is not there.

        Raises:
            NotApplied: ``soap.not-soap``: the answer is about another record.
        """
        try:
            values = key_values(self._stream.config, [ref])
            records = list(self._records(operation, values))
        except Rejected as error:
            if error.code in {"soap.value", "soap.text"}:
                return Absent(ref)  # such a key cannot exist
            raise
        if not records:
            return Absent(ref)
        if records[0].ref.key != ref.key or len(records) > 1:
            raise NotApplied(
                f"{operation.where}: the answer is about another record than asked.",
                code="soap.other-answer",
            )
        return self._scoped(records[0])

    def find(self, queries: Sequence[Query]) -> list[list[Record]]:
        """Records whose field has that value; see `CanFind.find`."""
        return [self._find(query) for query in queries]

    def _find(self, query: Query) -> list[Record]:
        name, value = query.field, query.value
        config = self._stream.config
        if "find" in self._stream.operations:
            operation = self._stream.operation("find")
            if operation.request.uses(f"query.{name}"):
                hits = self._hits(operation, {f"query.{name}": value})
                return [h for h in hits if _text(inside(h.data, name)) == value]
        if config.key == (name,) and "get" in self._stream.operations:
            found = self.fetch([Ref(value)]) if value else []
            return [record for record in found if isinstance(record, Record)]
        raise ConfigurationError(
            f"Stream {self._stream.name} cannot be searched by {name}: only by its "
            "key, or by what its table find names as {query.FIELD}.",
            code="soap.query",
        )

    def _hits(self, operation: Operation, values: dict[str, Any]) -> list[Record]:
        try:
            found = list(self._records(operation, values))
        except Rejected as error:
            if error.code in {"soap.value", "soap.text"}:
                return []
            raise
        return [record for record in found if self._belongs(record)]

    def _records(
        self, operation: Operation, values: dict[str, Any]
    ) -> Iterator[Record]:
        reading = self._caller.read(operation, values)
        items: list[Item] = list(reading)
        if reading.meaning == "absent":
            return
        for item in items:
            if item.reject is not None:
                raise NotApplied(
                    f"{operation.where}: a record cannot be read "
                    f"({item.reject.reason} in {item.reject.field or 'the item'}).",
                    code="soap.value",
                )
            yield self._stream.records.record(item.record, operation)

    def _scoped(self, record: Record) -> Fetched:
        return record if self._belongs(record) else OutOfScope(record.ref)

    def _belongs(self, record: Record) -> bool:
        return self._stream.records.belongs(record.data)


def _text(value: Any) -> str | None:
    if value is None or value is MISSING or isinstance(value, dict | list | bytes):
        return None
    return repr(value) if isinstance(value, float) else plain_text(value)
