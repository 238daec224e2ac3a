"""Intents to rows to write, and what became of them to receipts. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moatbridge.changes import Receipt, Ref
from moatbridge_sql._database import RowWrite, Written
from moatbridge_sql._encode import encode, encoder
from moatbridge_sql._keys import canonical, raw_key, ref_id
from moatbridge_sql._values import ValueFault

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import tzinfo

    from moatbridge.changes import Data, Intent, Outcome
    from moatbridge_sql._catalog import BoundStream
    from moatbridge_sql._faults import Fault

GONE: Final = Receipt("rejected", code="sql.gone")
_MISSED: Final[dict[str, tuple[Outcome, str]]] = {
    "stale": ("not_applied", "sql.stale"),
    "gone": ("rejected", "sql.gone"),
    "unknown": ("unknown", "sql.commit-lost"),
}


class RowMaker:
    """Turns a stream's intents into rows; its encoders are made once.

    Args:
        bound: The stream.
        zone: Zone of date-times without one.
    """

    def __init__(self, bound: BoundStream, zone: tzinfo | None) -> None:
        self._bound = bound
        self._known = {column.name for column in bound.table.columns}
        self._encoders = {n: column_encode(bound, n, zone) for n in bound.writable}

    def row(self, intent: Intent) -> RowWrite | Receipt:
        """The row that an intent writes, or its receipt if that is settled already."""
        bound = self._bound
        try:
            if intent.op == "delete":
                return _delete(intent, bound)
            values = self._values(intent.record or {})
            if intent.op == "create":
                return _create(intent, bound, values)
            return _update(intent, bound, values)
        except ValueFault as fault:
            code = f"sql.value.{fault.reason}"
            return Receipt("rejected", ref=intent.ref, code=code)

    def _values(self, record: Data) -> dict[str, Any]:
        found = {}
        for name, value in record.items():
            encode_one = self._encoders.get(name)
            if encode_one is not None:
                found[name] = None if value is None else encode_one(value)
            elif name not in self._known:
                raise ValueFault("unknown-field", name)
        return found


def column_encode(
    bound: BoundStream, name: str, zone: tzinfo | None
) -> Callable[[Any], Any]:
    """What encodes one value of a column that is not None, ``types`` included."""
    first = encoder(bound.seen(name), zone)
    rule = bound.rules.get(name)
    if rule is None or rule.encode is None:
        return first
    last = rule.encode
    return lambda value: last(first(value))


def _create(
    intent: Intent, bound: BoundStream, values: dict[str, Any]
) -> RowWrite | Receipt:
    match = bound.natural
    if not match:
        if not values:
            raise ValueFault("empty")
        return RowWrite("insert", {}, values)
    missing = [name for name in match if values.get(name) is None]
    if missing:
        return Receipt("rejected", ref=intent.ref, code="sql.value.key-missing")
    found = {name: values[name] for name in match}
    others = {name: value for name, value in values.items() if name not in match}
    if bound.external_id is None:
        return RowWrite("create", found, others)
    return RowWrite("upsert", found, others, intent.before_version)


def _update(
    intent: Intent, bound: BoundStream, values: dict[str, Any]
) -> RowWrite | Receipt:
    match = _match(intent.ref, bound)
    if match is None:
        return GONE
    for name, value in match.items():
        column = bound.table.column(name)
        if name in values:
            new = values.pop(name)
            if new is None or canonical(column, new) != canonical(column, value):
                return Receipt("rejected", ref=intent.ref, code="sql.key.data")
    return RowWrite("update", match, values, intent.before_version)


def _delete(intent: Intent, bound: BoundStream) -> RowWrite | Receipt:
    removal = bound.config.removal
    if removal == "refuse":
        return Receipt("rejected", ref=intent.ref, code="sql.remove.rights")
    match = _match(intent.ref, bound)
    if match is None:
        return Receipt("applied", ref=intent.ref)
    if removal == "delete":
        return RowWrite("delete", match, {}, intent.before_version)
    deleted = bound.selection.deleted
    assert deleted is not None  # noqa: S101 - the configuration was checked
    column = bound.table.column(deleted.column)
    value = encode(column, deleted.value)
    return RowWrite("update", match, {deleted.column: value}, intent.before_version)


def _match(ref: Ref | None, bound: BoundStream) -> dict[str, Any] | None:
    key = None if ref is None else raw_key(bound.key_columns, ref)
    return None if key is None else dict(zip(bound.selection.key, key, strict=True))


def receipt_of(
    intent: Intent, row: RowWrite, written: Written, bound: BoundStream
) -> Receipt:
    """The receipt for a row that was sent."""
    ref = _ref(intent, row, written, bound)
    match written.outcome:
        case "applied":
            return Receipt("applied", ref, _version(written, bound))
        case "gone" if intent.op == "delete":
            return Receipt("applied", ref)
        case "conflict":  # whose row it is, we do not know: no ref to link to
            return Receipt("rejected", intent.ref, code="sql.conflict")
        case "rejected":
            return Receipt("rejected", ref, code=_code(written.fault))
        case missed:
            outcome, code = _MISSED[missed]
            return Receipt(outcome, ref, code=code)


def _code(fault: Fault | None) -> str:
    """Constraint or column stand behind the code's first words: names, no values."""
    if fault is None:
        return "sql.unmapped.data"
    kind = "conflict" if fault.kind == "constraint" else "data"
    return f"{fault.code}.{kind}"


def _ref(
    intent: Intent, row: RowWrite, written: Written, bound: BoundStream
) -> Ref | None:
    if intent.ref is not None:
        return intent.ref
    key = written.key
    if key is None and row.match.keys() == set(bound.selection.key):
        key = tuple(row.match[name] for name in bound.selection.key)
    try:
        return None if key is None else Ref(ref_id(bound.key_columns, key))
    except ValueFault:
        return None


def _version(written: Written, bound: BoundStream) -> str | None:
    name = bound.selection.version
    if name is None or written.version is None:
        return None
    return canonical(bound.table.column(name), written.version)
