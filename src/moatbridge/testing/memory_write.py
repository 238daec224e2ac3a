"""How a memory system carries out one intent: keys, versions, slots, refusals."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from moatbridge.changes import Receipt, Ref
from moatbridge.testing.memory_store import dump, load

if TYPE_CHECKING:
    from moatbridge.adapter import Field
    from moatbridge.changes import Data, Intent
    from moatbridge.testing.memory_system import MemoryStream, MemorySystem, Row

_SLOT: Final = re.compile(r"^(?P<field>\w+)\[(?P<sub>\w+)=(?P<value>[^\]]*)\]")

_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "text": (str,),
    "int": (int,),
    "bool": (bool,),
    "bytes": (bytes,),
    "object": (dict,),
    "reference": (str,),
}


def carry_out(system: MemorySystem, stream: MemoryStream, intent: Intent) -> Receipt:
    """Do what the intent says, once; one transaction."""
    with system.store.transaction():
        answered = _answered(system, stream, intent)
        if answered is not None:
            return answered
        receipt = _WRITERS[intent.op](system, stream, intent)
        if receipt.outcome == "applied" and receipt.ref is not None:
            if receipt.code != "memory.already":
                system.note(stream.name, intent, receipt.ref)
            _remember(system, stream, intent, receipt)
        return receipt


def _answered(
    system: MemorySystem, stream: MemoryStream, intent: Intent
) -> Receipt | None:
    if (stream.traits.dedup, stream.traits.key_scope) != ("keyed", "request"):
        return None
    text = system.store.one(
        "SELECT receipt FROM answered WHERE stream=? AND key=?",
        stream.name,
        intent.key,
    )
    if text is None:
        return None
    kept = load(text)
    return Receipt("applied", Ref.from_key(*kept["ref"]), kept["version"])


def _remember(
    system: MemorySystem, stream: MemoryStream, intent: Intent, receipt: Receipt
) -> None:
    ref = receipt.ref or Ref("")
    kept = {"ref": [ref.key, ref.name], "version": receipt.version}
    system.store.run(
        "INSERT OR REPLACE INTO answered VALUES (?,?,?)",
        stream.name,
        intent.key,
        dump(kept),
    )


def _create(system: MemorySystem, stream: MemoryStream, intent: Intent) -> Receipt:
    record = intent.record or {}
    wrong = _refusal(system, stream, record, whole=True)
    if wrong:
        return _rejected(wrong)
    existing = _existing(system, stream, intent, record)
    if existing is not None:
        if stream.traits.dedup == "keyed" and _holds(system, stream, existing, record):
            return _applied(existing, "memory.already")
        return _rejected("conflict")
    if _taken(system, stream, record):
        return _rejected("conflict")
    ref = intent.ref or system.ref_of(stream, record)
    return _stored(system, stream, system.save(stream, ref, record))


def _update(system: MemorySystem, stream: MemoryStream, intent: Intent) -> Receipt:
    row = _current(system, stream, intent)
    if isinstance(row, Receipt):
        return row
    wrong = _refusal(system, stream, intent.record or {}, whole=False)
    if wrong:
        return _rejected(wrong)
    record = merged(stream, row.data, intent)
    if record == row.data:
        return _applied(row, "memory.already")
    if _taken(system, stream, intent.record or {}, besides=row):
        return _rejected("conflict")
    name = str(record[stream.unique]) if stream.unique else row.ref.name
    ref = system.save(stream, Ref(row.ref.id, name), record)
    return _stored(system, stream, ref)


def _delete(system: MemorySystem, stream: MemoryStream, intent: Intent) -> Receipt:
    row = _current(system, stream, intent)
    if isinstance(row, Receipt):
        return row
    system.drop(stream, row.ref)
    return Receipt("applied", row.ref)


def _current(
    system: MemorySystem, stream: MemoryStream, intent: Intent
) -> Row | Receipt:
    row = system.get(stream.name, intent.ref) if intent.ref else None
    if row is None or row.hidden:
        return _rejected("gone")
    asked = intent.before_version
    if stream.traits.conditional and asked is not None and asked != row.version:
        return Receipt("not_applied", row.ref, row.version, code="memory.stale")
    return row


def _existing(
    system: MemorySystem, stream: MemoryStream, intent: Intent, record: Data
) -> Row | None:
    if intent.ref is not None or stream.key:
        return system.get(stream.name, intent.ref or system.ref_of(stream, record))
    keyed = (stream.traits.dedup, stream.traits.key_scope) == ("keyed", "object")
    if stream.unique and keyed:
        wanted = record.get(stream.unique)
        for row in system.all(stream.name):
            if row.data.get(stream.unique) == wanted:
                return row
    return None


def _taken(
    system: MemorySystem, stream: MemoryStream, record: Data, besides: Row | None = None
) -> bool:
    """Whether another record has the value of a field that is declared unique."""
    unique = [f.name for f in stream.fields if f.unique and record.get(f.name)]
    return bool(unique) and any(
        row.data.get(name) == record[name]
        for row in system.all(stream.name)
        if besides is None or row.ref.key != besides.ref.key
        for name in unique
    )


def _holds(system: MemorySystem, stream: MemoryStream, row: Row, record: Data) -> bool:
    del system, stream
    return all(row.data.get(name) == value for name, value in record.items())


def _refusal(
    system: MemorySystem, stream: MemoryStream, record: Data, *, whole: bool
) -> str | None:
    fields = {field.name: field for field in stream.fields}
    for name, value in record.items():
        field = fields.get(name)
        if field is None or not field.writable or not _fits(field, value):
            return "data"
    for field in stream.fields:
        empty = record.get(field.name) in (None, "", [])
        needed = field.required or field.name in stream.key
        if needed and empty and (whole or field.name in record):
            return "data"
    return system.refuse(record)


def _fits(field: Field, value: Any) -> bool:
    if value is None:
        return True
    kinds = _TYPES.get(field.type, (object,))
    if not field.multi:
        return isinstance(value, kinds)
    return isinstance(value, list) and all(isinstance(v, kinds) for v in value)


def merged(stream: MemoryStream, old: Data, intent: Intent) -> Data:
    """The record after an update: named fields replaced, slots only where owned."""
    record, patch = dict(old), intent.record or {}
    slots = [match for path in intent.owned if (match := _SLOT.match(path))]
    sliced = {match["field"] for match in slots}
    blank = stream.blank()
    for name, value in patch.items():
        if name not in sliced:
            record[name] = blank[name] if value is None else value
    for slot in slots:
        name, sub, value = slot["field"], slot["sub"], slot["value"]
        others = [e for e in record[name] or [] if e.get(sub) != value]
        mine = [e for e in patch.get(name) or [] if e.get(sub) == value]
        record[name] = others + mine
    return record


def _stored(system: MemorySystem, stream: MemoryStream, ref: Ref) -> Receipt:
    row = system.get(stream.name, ref)
    return _rejected("gone") if row is None else _applied(row)


def _applied(row: Row, code: str = "") -> Receipt:
    return Receipt("applied", row.ref, row.version, row.data, code=code)


def _rejected(reason: str) -> Receipt:
    return Receipt("rejected", code=f"memory.{reason}")


_WRITERS: Final = {"create": _create, "update": _update, "delete": _delete}
