"""Several intents in one call; results are matched by key, never by guess (soap 65)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moatbridge.changes import Receipt, Ref
from moatbridge.errors import ConfigurationError
from moatbridge_soap.records import is_marked, key_values
from moatbridge_soap.request import MISSING, inside, plain_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moatbridge.changes import Intent
    from moatbridge_soap.call import Caller, Written
    from moatbridge_soap.config.operations import BatchConfig
    from moatbridge_soap.decode import Item
    from moatbridge_soap.faults import Verdict
    from moatbridge_soap.operation import Operation
    from moatbridge_soap.streams import CompiledStream


class Batches:
    """One write table that takes several records at once.

    Args:
        caller: The connection.
        stream: The stream.
        operation: The table's operation.
        config: Its ``batch``.
    """

    def __init__(
        self,
        caller: Caller,
        stream: CompiledStream,
        operation: Operation,
        config: BatchConfig,
    ) -> None:
        self.size = config.size
        self._caller = caller
        self._stream = stream
        self._operation = operation
        self._config = config

    def send(self, intents: Sequence[Intent]) -> list[Receipt] | None:
        """Send one call; one receipt per intent.

        Returns:
            None if the call was refused as a whole: sent alone, each intent gets its
            own answer, and who is to blame is seen.

        Raises:
            ConfigurationError: The system as a whole is not usable.
            NotApplied: Nothing was sent.
        """
        refs = [intent.ref for intent in intents if intent.ref is not None]
        values: dict[str, Any] = {
            "record": [{**(i.record or {}), **i.secrets} for i in intents],
            "key": intents[0].key,
            **key_values(self._stream.config, refs),
        }
        written = self._caller.write(self._operation, values, intents[0].key)
        verdict = written.verdict
        check_system(verdict, self._stream.name)
        refused = verdict.outcome == "rejected" and written.answer is None
        if refused and len(intents) > 1:
            return None
        if verdict.outcome != "applied":
            return [
                Receipt(
                    verdict.outcome,
                    i.ref,
                    retry_after=written.retry_after,
                    code=verdict.code,
                )
                for i in intents
            ]
        return self._matched(intents, written)

    def _matched(self, intents: Sequence[Intent], written: Written) -> list[Receipt]:
        if self._config.by == "position":
            lines = written.items if len(written.items) == len(intents) else []
            found = dict(enumerate(lines))
            return [self._receipt(i, found.get(n)) for n, i in enumerate(intents)]
        by_key: dict[str, Item | None] = {}
        for line in written.items:
            text = _text(line.record, self._config.key or "")
            if text is not None:
                by_key[text] = None if text in by_key else line
        return [self._receipt(i, by_key.get(self._key(i))) for i in intents]

    def _key(self, intent: Intent) -> str:
        ref = intent.ref or self._stream.records.ref(intent.record or {})
        if ref is None:
            return ""
        return ref.id if isinstance(ref.id, str) else ref.id[0]

    def _receipt(self, intent: Intent, line: Item | None) -> Receipt:
        ref = intent.ref or self._stream.records.ref(intent.record or {})
        if line is None or line.reject is not None:
            return Receipt("unknown", ref, code="soap.no-result")
        ok = self._config.ok
        if ok is not None and not is_marked(line.record, ok):
            return Receipt("rejected", ref, code="soap.data")
        if ref is None:
            text = _text(line.record, self._config.key or "")
            ref = Ref(text) if text else None
        if ref is None:
            return Receipt("unknown", code="soap.no-id")
        return Receipt("applied", ref)


def check_system(verdict: Verdict, stream: str) -> None:
    """Stop where the service refuses us and not the record.

    Raises:
        ConfigurationError: With the verdict's code.
    """
    if verdict.system:
        raise ConfigurationError(
            f"Stream {stream}: the service refuses us as a whole ({verdict.code}). "
            "Check auth and rights.",
            code=verdict.code,
        )


def _text(record: Any, path: str) -> str | None:
    value = inside(record, path)
    if value is MISSING or value is None or isinstance(value, list | dict):
        return None
    return plain_text(value)
