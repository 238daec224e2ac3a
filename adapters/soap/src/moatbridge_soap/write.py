"""Writing: one call per intent or per batch, one receipt for each (soap 63-69).

Nothing is repeated here. After the first unknown outcome nothing more is sent, and the
connection is closed; what was not sent is ``not_applied``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from moatbridge.changes import Absent, OutOfScope, Receipt, Record, Ref
from moatbridge.errors import ConfigurationError, MoatbridgeError, NotApplied, Rejected
from moatbridge_soap.batches import Batches, check_system
from moatbridge_soap.fetch import Fetch
from moatbridge_soap.records import key_values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moatbridge.changes import Data, Intent
    from moatbridge_soap.call import Caller, Written
    from moatbridge_soap.config.operations import WriteConfig
    from moatbridge_soap.operation import Operation
    from moatbridge_soap.streams import CompiledStream


class Writer:
    """Writes to one stream over one connection.

    Args:
        caller: The connection.
        stream: The stream.
    """

    def __init__(self, caller: Caller, stream: CompiledStream) -> None:
        self._caller = caller
        self._stream = stream
        self._fetch = Fetch(caller, stream)

    def write(self, intents: Sequence[Intent]) -> list[Receipt]:
        """See `CanWrite.write`."""
        return _Round(self, intents).run()

    def table_of(self, intent: Intent) -> str | None:
        """The table that carries an intent out; None if there is none."""
        tables = self._stream.config.writes
        wanted = {
            "create": ("upsert", "create"),
            "update": ("upsert", "update"),
            "delete": ("delete",),
        }[intent.op]
        return next((table for table in wanted if table in tables), None)

    def batches(self, table: str) -> Batches | None:
        """How a table takes several intents at once; None if it does not."""
        settings = self._stream.config.writes[table]
        if settings.batch is None or settings.batch.result is None:
            return None
        operation = self._stream.operation(table)
        return Batches(self._caller, self._stream, operation, settings.batch)

    def one(self, intent: Intent) -> Receipt:
        """Carry one intent out.

        Raises:
            ConfigurationError: The system as a whole is not usable.
            NotApplied: Nothing was sent.
        """
        table = self.table_of(intent)
        if table is None:
            code = "soap.no-delete" if intent.op == "delete" else "soap.no-operation"
            return Receipt("rejected", intent.ref, code=code)
        if intent.op == "create":
            return self._created(table, intent)
        if intent.ref is None:
            return Receipt("rejected", code="soap.data")
        if intent.op == "delete":
            return self._deleted(table, intent)
        return self._updated(table, intent)

    def _created(self, table: str, intent: Intent) -> Receipt:
        record = intent.record or {}
        known = intent.ref or self._stream.records.ref(record)
        if known is None and not self._stream.config.writes[table].results:
            # It would take effect, and nobody could say which record it made.
            return Receipt("rejected", code="soap.no-id")
        return self._sent(table, intent, record, None)

    def _deleted(self, table: str, intent: Intent) -> Receipt:
        version = intent.before_version
        operation = self._stream.operation(table)
        if version is None and operation.request.uses("version"):
            present = self._present(intent)
            if isinstance(present, OutOfScope):  # it is there, but none of ours
                return Receipt("rejected", intent.ref, code="soap.conflict")
            if not isinstance(present, Record):
                return Receipt("applied", intent.ref, code="soap.already-gone")
            version = present.version
        receipt = self._sent(table, intent, {}, version)
        if receipt.outcome == "rejected" and receipt.reason == "gone":
            return Receipt("applied", intent.ref, code="soap.already-gone")
        return receipt

    def _updated(self, table: str, intent: Intent) -> Receipt:
        operation = self._stream.operation(table)
        patch = intent.record or {}
        if not self._is_full(self._stream.config.writes[table]):
            return self._sent(table, intent, patch, intent.before_version)
        present = self._present(intent)
        if not isinstance(present, Record):
            return Receipt("rejected", intent.ref, code="soap.gone")
        if intent.before_version not in {None, present.version}:
            return Receipt("not_applied", intent.ref, code="soap.stale")
        merged = {**present.data, **patch}
        if _same(patch, present.data):
            return Receipt(
                "applied", intent.ref, present.version, code="soap.already-there"
            )
        return self._sent(
            table, intent, _sendable(merged, patch, operation), present.version
        )

    def _is_full(self, settings: WriteConfig) -> bool:
        if self._stream.before is None:
            return False
        return settings.mode != "partial"

    def _present(self, intent: Intent) -> Record | Absent | OutOfScope:
        assert intent.ref is not None  # noqa: S101 - the caller looked
        operation = self._stream.before or self._stream.operation("get")
        try:
            return self._fetch.one(intent.ref, operation)
        except Rejected as error:
            raise NotApplied(error.message, code=error.code) from error

    def _sent(
        self, table: str, intent: Intent, record: Data, version: str | None
    ) -> Receipt:
        operation = self._stream.operation(table)
        written = self._caller.write(
            operation, self._values(intent, record, version), intent.key
        )
        receipt = self._receipt(table, intent, record, written)
        if written.meaning == "duplicate" and intent.op == "create":
            return self._duplicate(intent, record)
        return receipt

    def _values(
        self, intent: Intent, record: Data, version: str | None
    ) -> dict[str, Any]:
        known = {**record, **intent.secrets} if intent.secrets else record
        found: dict[str, Any] = {"record": known, "key": intent.key}
        if version is not None:
            found["version"] = version
        if intent.ref is not None:
            found |= key_values(self._stream.config, [intent.ref])
        return found

    def _receipt(
        self, table: str, intent: Intent, record: Data, written: Written
    ) -> Receipt:
        verdict = written.verdict
        if verdict.outcome != "applied":
            check_system(verdict, self._stream.name)
            wait = written.retry_after if verdict.outcome == "not_applied" else None
            return Receipt(
                verdict.outcome, intent.ref, retry_after=wait, code=verdict.code
            )
        return self._applied(table, intent, record, written)

    def _applied(
        self, table: str, intent: Intent, record: Data, written: Written
    ) -> Receipt:
        settings = self._stream.config.writes[table]
        ref, answer = intent.ref, written.answer
        if ref is None and answer is not None and settings.results:
            parts = [answer.text(path) for path in settings.results]
            texts = [part for part in parts if part]
            if len(texts) == len(self._stream.config.key):
                ref = Ref(texts[0] if len(texts) == 1 else tuple(texts))
        elif ref is None:
            ref = self._stream.records.ref(record)
        if ref is None:
            return Receipt("unknown", code="soap.no-id")
        version = None
        if settings.result_version is not None and answer is not None:
            version = answer.text(settings.result_version) or None
        stored = self._stored(written, settings)
        return Receipt("applied", ref, version, stored)

    def _stored(self, written: Written, settings: WriteConfig) -> Data | None:
        if settings.item is None or len(written.items) != 1:
            return None
        item = written.items[0]
        if item.reject is not None:
            return None
        self._stream.records.strip(item.record)
        return item.record

    def _duplicate(self, intent: Intent, record: Data) -> Receipt:
        """The key is taken: ours if what is there is what we meant to write."""
        ref = intent.ref or self._stream.records.ref(record)
        conflict = Receipt("rejected", ref, code="soap.conflict")
        if ref is None or "get" not in self._stream.operations:
            return conflict
        try:
            present = self._present(replace(intent, ref=ref))
        except MoatbridgeError as error:
            return Receipt("not_applied", ref, code=error.code)
        if isinstance(present, Record) and _same(record, present.data):
            return Receipt("applied", ref, present.version, code="soap.already-there")
        return conflict


class _Round:
    """The calls of one ``write``, one after another, until told to stop."""

    def __init__(self, writer: Writer, intents: Sequence[Intent]) -> None:
        self._writer = writer
        self._intents = list(intents)
        self._receipts: list[Receipt] = []
        self._stopped: Receipt | None = None
        self._alone = 0

    def run(self) -> list[Receipt]:
        while len(self._receipts) < len(self._intents):
            some = self._next()
            if self._stopped is not None:
                self._receipts += [self._unsent(intent) for intent in some]
            else:
                self._send(some)
        return self._receipts

    def _next(self) -> list[Intent]:
        """The next intent, or as many as one call takes."""
        start = len(self._receipts)
        first = self._intents[start]
        if self._alone:
            self._alone -= 1
            return [first]
        table = self._writer.table_of(first)
        batches = self._writer.batches(table) if table is not None else None
        if batches is None:
            return [first]
        some = [first]
        for intent in self._intents[start + 1 : start + batches.size]:
            if self._writer.table_of(intent) != table:
                break
            some.append(intent)
        return some

    def _send(self, some: list[Intent]) -> None:
        try:
            found = self._sent(some)
        except (ConfigurationError, NotApplied) as error:
            effects = {"applied", "unknown"} & {r.outcome for r in self._receipts}
            if isinstance(error, ConfigurationError) and not effects:
                raise
            wait = getattr(error, "retry_after", None)
            found = [
                Receipt("not_applied", i.ref, retry_after=wait, code=error.code)
                for i in some
            ]
            self._stopped = found[0]
        if found is None:
            self._alone = len(some)
            return
        self._receipts += found
        if any(receipt.outcome == "unknown" for receipt in found):
            self._stopped = Receipt("not_applied", code="soap.not-sent")

    def _sent(self, some: list[Intent]) -> list[Receipt] | None:
        table = self._writer.table_of(some[0])
        batches = self._writer.batches(table) if table is not None else None
        if batches is not None:
            return batches.send(some)
        try:
            return [self._writer.one(some[0])]
        except Rejected as error:
            return [Receipt("rejected", some[0].ref, code=error.code)]

    def _unsent(self, intent: Intent) -> Receipt:
        assert self._stopped is not None  # noqa: S101 - the caller looked
        return replace(self._stopped, ref=intent.ref)


def _same(wanted: Data, present: Data) -> bool:
    """True if every written field holds the value that was to be written."""
    return all(_equal(value, present.get(name)) for name, value in wanted.items())


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_equal, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        names = {*one, *other}
        return all(_equal(one.get(name), other.get(name)) for name in names)
    return bool(one == other)


def _sendable(merged: Data, patch: Data, operation: Operation) -> Data:
    """What the operation takes of a merged record; the patch stays whole."""
    slots = operation.request.writable
    if slots is None:
        return merged
    return {
        name: value
        for name, value in merged.items()
        if name in patch or (name in slots and not _is_nothing(value))
    }


def _is_nothing(value: Any) -> bool:
    return value is None or value == []
