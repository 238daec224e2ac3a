"""What an intent overwrites, kept so that it can be put back (delivery 53).

An image holds only what the intent changes, path by path: the value before, and a short
hash of the value that is written. So a field that somebody else edits does not stand in
the way of undoing another one, and what nobody changed is not kept. Of lists of
references (members of a group) only the difference is kept. A removal keeps the whole
entity, as far as the translator knows it: no more than what the flow carries is ever
kept or put back.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from moatbridge.errors import TranslationError
from moatbridge.flow.sameness import canonical
from moatbridge.ledger import frozen, undo
from moatbridge.ledger.keys import path_hash

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moatbridge.changes import Data, Receipt, Record
    from moatbridge.flow.route import Route
    from moatbridge.ledger import Transaction
    from moatbridge.ledger.parcels import Item, Parcel

KEPT: Final = "kept"
"""Key under which a frozen intent names the paths that its image holds."""

ACTIVE: Final = "active"

Lists = dict[str, tuple[list[Any], list[Any]]]
"""Path of a list of references -> entries that were added, and that were removed."""


@dataclass(frozen=True, slots=True)
class Image:
    """What one intent changed.

    Args:
        paths: Entity path -> value before, hash of the value written.
        lists: Differences of lists of references.
        native: Record field that is only ever written -> the same as in ``paths``.
        whole: The entity before; only of a removal.
        blind: Paths whose value before could not be read.
    """

    paths: dict[str, tuple[Any, str]] = field(default_factory=dict)
    lists: Lists = field(default_factory=dict)
    native: dict[str, tuple[Any, str]] = field(default_factory=dict)
    whole: dict[str, Any] | None = None
    blind: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Image({sorted(self.paths)}, {sorted(self.lists)})"

    def to_text(self) -> str:
        """As the ledger keeps it."""
        return frozen.dumps(
            [self.paths, self.lists, self.native, self.whole, self.blind]
        )

    @classmethod
    def from_text(cls, text: str) -> Image:
        """The inverse of `to_text`."""
        paths, lists, native, whole, blind = frozen.loads(text)
        return cls(
            {path: (was, sent) for path, (was, sent) in paths.items()},
            {path: (added, gone) for path, (added, gone) in lists.items()},
            {name: (was, sent) for name, (was, sent) in native.items()},
            whole,
            tuple(blind),
        )


def image_of(
    route: Route,
    *,
    op: str,
    entity: Mapping[str, Any] | None,
    before: Record | None,
    record: Data | None,
    there: dict[str, Any] | None = None,
) -> Image | None:
    """What an intent is about to change; None where nothing is kept.

    Args:
        route: The flow; one with ``keep_undo = 0`` keeps nothing.
        op: What the intent amounts to.
        entity: What is written.
        before: The target's record as it is.
        record: The encoded intent.
        there: ``before`` as an entity, if it was decoded already.
    """
    if before is None or route.keep_undo <= 0:
        return None
    try:
        if there is None:
            there = route.target.bound.decode(before.data, before.incomplete)
    except TranslationError:
        return None
    if op == "delete":
        whole = values_of(route, there)
        native = {
            name: (before.data.get(name), "")
            for name in _only_written(route)
            if before.data.get(name) is not None
        }
        return Image(native=native, whole=whole)
    return _changes(route, entity or {}, there, before, record or {})


def kept(image: Image | None) -> dict[str, Any]:
    """What a frozen intent says about its image: which paths to look at afterwards."""
    return {KEPT: list(image.paths)} if image is not None and image.paths else {}


def _changes(
    route: Route,
    entity: Mapping[str, Any],
    there: dict[str, Any],
    before: Record,
    record: Data,
) -> Image:
    old = values_of(route, there)
    lists = _reference_lists(route)
    image, blind = Image(), []
    for path, value in values_of(route, dict(entity)).items():
        was = old.get(path)
        if was is None and path not in old and before.incomplete:
            blind.append(path)
        elif (type(value) is type(was) and value == was) or mark(value) == mark(was):
            continue
        elif path in lists:
            image.lists[path] = _difference(was or [], value or [])
        else:
            image.paths[path] = (was, mark(value))
    for name in _only_written(route):
        if name in record and mark(record[name]) != mark(before.data.get(name)):
            image.native[name] = (before.data.get(name), mark(record[name]))
    return Image(image.paths, image.lists, image.native, None, tuple(blind))


def values_of(route: Route, entity: dict[str, Any]) -> dict[str, Any]:
    """Entity path -> value, of everything the flow carries."""
    every = route.initial if route.initial.paths else route.carry
    found = every.values(entity)
    if ACTIVE in entity and ACTIVE not in found:
        found[ACTIVE] = entity[ACTIVE]
    return found


def mark(value: Any) -> str:
    """Eight hex digits that stand for a value; the same for all that says nothing."""
    plain = None if value in (None, [], {}, "") else canonical(value)
    return path_hash(None if plain in ([], {}) else plain).hex()


def identity(entry: Any) -> str:
    """What makes an entry of a list of references itself."""
    value = entry.get("value", entry) if isinstance(entry, dict) else entry
    return json.dumps(canonical(value), sort_keys=True, default=str)


def _difference(was: list[Any], value: list[Any]) -> tuple[list[Any], list[Any]]:
    old = {identity(entry): entry for entry in was}
    new = {identity(entry): entry for entry in value}
    return (
        [entry for key, entry in new.items() if key not in old],
        [entry for key, entry in old.items() if key not in new],
    )


def _reference_lists(route: Route) -> set[str]:
    """Entity paths of lists of references: their entries come and go one by one."""
    return {
        path.partition("[]")[0]
        for path, _to, _by in route.target.bound.references
        if "[]" in path
    }


def _only_written(route: Route) -> list[str]:
    """Record fields that are computed for the target and never read back."""
    backs = route.target.bound.resolved.backs
    return [back.place.top for back in backs if back.reads]


# --- what the target made of it -------------------------------------------------------


def note_stored(
    tx: Transaction,
    route: Route,
    parcel: Parcel,
    items: Sequence[Item],
    receipts: Mapping[int, tuple[Receipt, int]],
) -> None:
    """Keep how the target shows what was written; part of transaction C.

    A target that writes mail in lower case does not look edited for ever.
    """
    rows = []
    for item in items:
        if item.pos not in receipts or f'"{KEPT}":' not in (item.payload or ""):
            continue
        receipt = receipts[item.pos][0]
        if receipt.outcome == "applied":
            kept = frozen.loads(item.payload)[KEPT]
            rows.append((_after(route, receipt, kept), parcel.parcel_id, item.pos))
    undo.note_after(tx, rows)


def _after(route: Route, receipt: Receipt, kept: Sequence[str]) -> str:
    marks: dict[str, str] = {}
    if receipt.stored is not None and kept:
        try:
            entity = route.target.bound.decode(receipt.stored)
        except (TranslationError, KeyError, TypeError, ValueError):
            entity = {}
        found = values_of(route, entity)
        marks = {path: mark(found.get(path)) for path in kept} if entity else {}
    return json.dumps({"v": receipt.version, "p": marks})
