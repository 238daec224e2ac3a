"""What an answer decoder is told: which fields, which spellings, which limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

_MIB = 1024 * 1024


@dataclass(frozen=True)
class DecodeSettings:
    """How items are decoded; the same for every answer of one operation.

    Args:
        fields: Field paths to decode (dots, relative to the item); ``("*",)`` for all.
            A path that names a nested record means all of it.
        key: Field paths that make up the key: an item without one of them is rejected.
        modified: Field path of the time of the last change, if there is one.
        nulls: Field path -> lexical values that mean "no value".
        true: Field path -> further spellings of true.
        false: Field path -> further spellings of false.
        timezone: IANA zone of a ``dateTime`` without one; None keeps it naive.
        tolerance: ``report`` counts deviations from the schema, ``strict`` rejects the
            item.
        max_record: Bytes of XML of one item. Here and in ``max_buffered`` every tag and
            attribute counts as 32 bytes at least, for that is what it costs in memory.
        max_response: Bytes of one answer, after inflating.
        max_buffered: Bytes of an answer that must be held: everything that is no item,
            and whole answers with references, attachments or signatures.
        max_records: Items in one answer.
    """

    fields: tuple[str, ...] = ("*",)
    key: tuple[str, ...] = ()
    modified: str | None = None
    nulls: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    true: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    false: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    timezone: str | None = None
    tolerance: Literal["report", "strict"] = "report"
    max_record: int = 4 * _MIB
    max_response: int = 1024 * _MIB
    max_buffered: int = 32 * _MIB
    max_records: int = 5_000_000
