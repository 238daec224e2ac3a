"""One entry of a translator's table, resolved: what it reads, computes and writes.

Pure closures; `moatbridge.translate.generate` strings them together. In ``decode`` and
``encode`` a value may be None but never `ABSENT`, except where ``lenient`` says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from moatbridge.entities import Converter
    from moatbridge.translate.sources import By, Pick, Source
    from moatbridge.translate.steps import Place, Spot, Step


class _Absent:
    __slots__ = ()

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final[Any] = _Absent()
"""Says nothing: neither a value nor null."""


class Broken:
    """Stands for a value that could not even be reached (its parent is no object)."""


BROKEN: Final = Broken()


@dataclass(frozen=True, slots=True)
class Reference:
    """A place of entities that refers to other records.

    Args:
        path: Entity path; ``members[].value`` inside a list.
        to: Address of the stream pointed to.
        by: What it points with.
        steps: To the reference itself, or to its list.
        item: Steps within one entry of that list; None if it is not in a list.
    """

    path: str
    to: str
    by: By
    steps: tuple[Step, ...]
    item: tuple[Step, ...] | None = None


@dataclass(frozen=True, slots=True)
class Write:
    """How a leaf goes back.

    Args:
        place: Where.
        encode: ``(value, before) -> raw``; None means cleared.
        simple: One function of a value that is not None, if that is all there is.
        copies: The value is written as it is.
        needs_before: ``before`` must be the record's current value.
    """

    place: Place
    encode: Callable[[Any, Any], Any]
    simple: Callable[[Any], Any] | None = None
    copies: bool = False
    needs_before: bool = False


@dataclass(frozen=True, slots=True)
class Leaf:
    """One entity path and its source.

    Args:
        spot: Where in the entity.
        source: As declared.
        reads: The record places whose values ``decode`` gets, in order.
        decode: Values -> a checked value, or None; raises `ValueError`.
        simple: One function of a single value that is not None, if that is all.
        copies: The value stands in the entity as it is; text is checked together.
        pick: With ``copies``: which value of the list is copied.
        lenient: ``decode`` also takes ABSENT, and may return it.
        converters: In use, for the report.
        references: Places that refer to other records.
        write: The way back, if there is one.
        inner: Of ``each``: the leaves of one entry.
        notes: Sentences for the report.
    """

    spot: Spot
    source: Source
    reads: tuple[Place, ...]
    decode: Callable[..., Any]
    simple: Callable[[Any], Any] | None = None
    copies: bool = False
    pick: Pick | None = None
    lenient: bool = False
    converters: tuple[Converter, ...] = ()
    references: tuple[Reference, ...] = ()
    write: Write | None = None
    inner: tuple[Leaf, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Back:
    """One entry of ``back``.

    Args:
        place: Which record field.
        source: As declared.
        reads: The entity places whose values ``compute`` gets; none: create only.
        compute: Values -> raw value, or None for "cleared".
    """

    place: Place
    source: Source
    reads: tuple[Spot, ...]
    compute: Callable[..., Any]
