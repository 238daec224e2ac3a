"""Writing with the functions of `StreamFunctions`: `make_adapter` builds it in."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from moatbridge.adapter.abilities import CanWrite
from moatbridge.adapter.each import write_each
from moatbridge.adapter.fitting import emptied, misfit_why
from moatbridge.adapter.functions_class import FunctionAdapter
from moatbridge.changes import Receipt, Ref
from moatbridge.errors import Rejected

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moatbridge.adapter.functions import StreamFunctions
    from moatbridge.adapter.streams import WriteTraits
    from moatbridge.changes import Data, Intent


class Writing(FunctionAdapter, CanWrite):
    """With ``create``, ``update`` or ``replace``, and ``delete``."""

    def traits(self, stream: str) -> WriteTraits:
        """What the stream's functions declare."""
        return self._of(stream).traits()

    def write(self, stream: str, intents: Sequence[Intent]) -> Sequence[Receipt]:
        """See `CanWrite.write` and `write_each`."""
        functions = self._of(stream)
        return write_each(self, intents, lambda each: self._carry_out(functions, each))

    def _carry_out(self, functions: StreamFunctions[Any], intent: Intent) -> Receipt:
        record = dict(intent.record or {})
        if functions.empty_is_none:
            record = emptied(record)
            intent = replace(intent, record=record)
        self._check(functions, intent)
        if intent.op == "create" and functions.create is not None:
            return self._create(functions, record, intent.key)
        if intent.op == "update" and intent.ref is not None:
            return self._update(functions, intent.ref, record)
        if intent.op == "delete" and functions.delete is not None and intent.ref:
            return self._delete(functions.delete, intent.ref)
        raise self._unsupported(functions)

    def _check(self, functions: StreamFunctions[Any], intent: Intent) -> None:
        """Refuse what no function has to see: ``NAME.required.data`` and so on."""
        wrong = misfit_why(self.described[functions.name], intent)
        if wrong is None and (intent.record or {}).get(functions.key) == "":
            wrong = functions.key, "required"
        if wrong is not None:
            field, why = wrong
            msg = f"What was to be written does not fit the field {field} ({why})."
            raise Rejected(msg, code=f"{self.name}.{why}.data", field=field)
        if intent.op == "update" and any("[" in path for path in intent.owned):
            msg = "A part of a list is to be set, and the functions set whole fields."
            raise Rejected(msg, code=f"{self.name}.slots.data", kind="data")

    def _create(
        self, functions: StreamFunctions[Any], record: Data, key: str
    ) -> Receipt:
        create, by_key = functions.create, functions.dedup == "by-key"
        if create is None:
            raise self._unsupported(functions)
        try:
            made = create(self._handle, _handed(functions, record), key)
        except Rejected as error:
            if error.kind != "conflict" or not by_key:
                raise
            if not self._is_there(functions, record):
                raise
            made = None
        if made in {"", None} and by_key:
            made = str(record[functions.key])
        if made in {"", None}:
            return Receipt("unknown", code=f"{self.name}.no-id")
        return Receipt("applied", Ref(str(made)))

    def _is_there(self, functions: StreamFunctions[Any], record: Data) -> bool:
        """Whether a record with that key holds every value that was to be written."""
        return any(
            all(
                name in found.data and _same(found.data[name], value)
                for name, value in record.items()
            )
            for found, _ in self._fetched(functions, [str(record[functions.key])])
        )

    def _update(
        self, functions: StreamFunctions[Any], ref: Ref, record: Data
    ) -> Receipt:
        key = str(ref.id)
        if str(record.get(functions.key, key)) != key:
            msg = f"The field {functions.key} identifies a record: it never changes."
            code = f"{self.name}.key.data"
            raise Rejected(msg, code=code, kind="data", field=functions.key)
        rest = {name: told for name, told in record.items() if name != functions.key}
        handed = _handed(functions, rest)
        if functions.replace is not None:
            row = self._whole(functions, key) | handed
            functions.replace(self._handle, key, row)
        elif functions.update is not None:
            functions.update(self._handle, key, handed)
        else:
            raise self._unsupported(functions)
        return Receipt("applied", ref)

    def _whole(self, functions: StreamFunctions[Any], key: str) -> Data:
        """The row as the author's function gives it, with all that it holds."""
        pairs = self._fetched(functions, [key])
        if not pairs:
            msg = f"There is no such record of {functions.name} any more."
            raise Rejected(msg, code=f"{self.name}.gone", kind="gone")
        return dict(pairs[0][1])

    def _delete(self, delete: Callable[[Any, str], object], ref: Ref) -> Receipt:
        try:
            delete(self._handle, str(ref.id))
        except Rejected as error:
            if error.kind != "gone":
                raise
        return Receipt("applied", ref)

    def _unsupported(self, functions: StreamFunctions[Any]) -> Rejected:
        msg = f"The stream {functions.name} knows no such write."
        return Rejected(msg, code=f"{self.name}.unsupported.data")


def _handed(functions: StreamFunctions[Any], record: Data) -> Data:
    """What a writing function gets."""
    if not functions.empty_is_none:
        return record
    return {name: "" if value is None else value for name, value in record.items()}


def _same(there: Any, sent: Any) -> bool:
    """True and 1 are equal to Python, and to no system."""
    return bool(there == sent) and isinstance(there, bool) == isinstance(sent, bool)
