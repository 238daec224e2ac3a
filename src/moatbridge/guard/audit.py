"""The shape of an audit event (guard 49); storing and signing is the ledger's work.

An event says what happened in counts, field names, rule names and link ids. There is
no place in it for a value, a name or a key: people appear as link ids.
"""

from __future__ import annotations

import base64
import re
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from moatbridge.config.loosening import printable
from moatbridge.entities import canonical_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

EventKind: TypeAlias = Literal[
    "start", "stop", "config", "secret", "plan", "verdict", "approval", "hold", "kill",
    "parcel", "retract", "reconcile", "erase", "export", "login", "reveal", "probe",
    "loosened", "janitor",
]  # fmt: skip

_RECORD: Final = struct.Struct(">QB16s")
_OPS: Final = ("create", "update", "renew", "delete", "disable", "left_scope")
_NAME: Final = re.compile(r"[\w.:/\[\]=@\-$;\" ]{1,200}")
_EXACT: Final = 2**53


class AuditRecord(NamedTuple):
    """One record of a parcel: who (by link id), what, and the state that was sent."""

    link_id: int
    op: str
    out_fp: bytes


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One event; one for a whole parcel, not one for each of its records.

    Args:
        kind: What kind of event.
        at: Ledger time in whole milliseconds since the epoch.
        scope: The tenant.
        principal: Who caused it, as the login says; empty for the machine.
        flow: Flow name.
        target: System name.
        run: Number of the run.
        plan: Digest of the plan.
        label: Highest label of what was sent.
        counts: What was counted, by name.
        fields: Entity paths that were sent or masked: names only.
        rules: Rules that had a say.
        reason: A person's words (kill switch, loosening); at most 500 characters.
        records: `pack_records` of the records concerned.
    """

    kind: EventKind
    at: int
    scope: str = ""
    principal: str = ""
    flow: str = ""
    target: str = ""
    run: int | None = None
    plan: str = ""
    label: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    fields: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    reason: str = ""
    records: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON without empty members."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        plain |= {
            "counts": dict(self.counts),
            "fields": sorted(self.fields),
            "rules": sorted(self.rules),
            "reason": printable(self.reason),
        }
        return {name: value for name, value in plain.items() if value not in _EMPTY}

    def body(self) -> bytes:
        """The canonical text that is hashed and signed (RFC 8785).

        Keys are ASCII and numbers are whole and below 2^53, for which sorted JSON
        without spaces is already canonical.

        Raises:
            ValueError: A count is not such a number, or a name has characters that
                no field, rule or count has.
        """
        numbers = (self.at, self.run or 0, *self.counts.values())
        for number in numbers:
            if type(number) is not int or not -_EXACT < number < _EXACT:
                raise ValueError("audit events hold whole numbers below 2^53 only")
        for name in (*self.counts, *self.fields, *self.rules):
            if not (name.isascii() and _NAME.fullmatch(name)):
                raise ValueError("audit events hold names of fields and rules only")
        return canonical_json(self.to_dict()).encode()


_EMPTY: Final[tuple[Any, ...]] = ("", None, {}, [])


def pack_records(records: Iterable[AuditRecord]) -> str:
    """Base64 of 25 bytes a record: link id 8, operation 1, out fingerprint 16.

    Raises:
        ValueError: An unknown operation, or a fingerprint of another length.
    """
    packed = bytearray()
    for link_id, op, out_fp in records:
        if len(out_fp) != 16:  # noqa: PLR2004 - delivery 16
            raise ValueError("an out fingerprint has 16 bytes")
        packed += _RECORD.pack(link_id, _OPS.index(op), out_fp)
    return base64.b64encode(bytes(packed)).decode()


def unpack_records(text: str) -> list[AuditRecord]:
    """The opposite of `pack_records`.

    Raises:
        ValueError: The text was not made by it.
    """
    packed = base64.b64decode(text, validate=True)
    if len(packed) % _RECORD.size:
        raise ValueError("a list of audit records was cut short")
    found = []
    for link_id, op, out_fp in _RECORD.iter_unpack(packed):
        if op >= len(_OPS):
            raise ValueError("an audit record has an unknown operation")
        found.append(AuditRecord(link_id, _OPS[op], out_fp))
    return found
