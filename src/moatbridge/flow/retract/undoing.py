"""What brings one record back to what it was before a run, or why nothing can: pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from moatbridge.changes import Record
from moatbridge.entities.paths import Slot, parse
from moatbridge.errors import TranslationError
from moatbridge.flow.retract import reasons
from moatbridge.flow.retract.images import (
    ACTIVE,
    Image,
    identity,
    mark,
    values_of,
)
from moatbridge.flow.settings import CONTENT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moatbridge.flow.route import Route
    from moatbridge.ledger.marks import Link
    from moatbridge.ledger.undo import Done

_OFF: Final = mark(value=False)
UNSEEN: Final = "unseen"
"""Stands for a record at a target that cannot be asked."""


@dataclass(slots=True)
class Undo:
    """One intent that takes something back.

    Args:
        op: ``create``, ``update``, ``disable`` or ``delete``.
        entity: What is written; None for a removal.
        native: Record fields that the entity cannot express.
        same: The target shows it already: there is nothing to send.
    """

    op: str
    entity: dict[str, Any] | None = None
    native: dict[str, Any] = field(default_factory=dict)
    same: bool = False


@dataclass(frozen=True, slots=True)
class No:
    """Why a record is not taken back (`reasons`), and what would have been done."""

    op: str
    reason: str


def decide(
    route: Route,
    steps: Sequence[Done],
    current: Record | str | None,
    link: Link | None,
) -> Undo | No:
    """What takes back everything that a run did to one record.

    Args:
        route: The flow.
        steps: What the run did, newest first; at least one.
        current: The record as it is now: a `Record`, None (gone), or `UNSEEN`.
        link: Its link.
    """
    made = steps[-1].op == "create"
    if not route.traits.retractable:
        return No(_inverse(steps), reasons.NOT_RETRACTABLE)
    if route.entity == "Decision" or link is None:
        return No(_inverse(steps), reasons.CANNOT)
    try:
        if made:
            return _remove(route, current, link)
        if current is None:
            return _restore_gone(steps)
        return _restore(route, steps, current)
    except TranslationError:
        return No(_inverse(steps), reasons.CANNOT)


def _inverse(steps: Sequence[Done]) -> str:
    if steps[-1].op == "create":
        return "delete"
    return "create" if steps[0].op == "delete" else "update"


# --- it was not there before ----------------------------------------------------------


def _remove(route: Route, current: Record | str | None, link: Link) -> Undo | No:
    """Disable first; remove what cannot be disabled (guard 48)."""
    can_disable = ACTIVE in route.target.bound.paths and route.entity not in CONTENT
    op = "disable" if can_disable else "delete"
    other = 1 - route.row.side
    if current is None or link.key(other) is None:
        return No(op, reasons.GONE)
    if can_disable:
        off = {ACTIVE: False}
        same = isinstance(current, Record) and _decoded(route, current).get(ACTIVE)
        return Undo(op, off, same=same is False)
    known = link.version(other)
    now = current.version if isinstance(current, Record) else None
    if known is not None and now is not None and known != now:
        return No(op, reasons.CHANGED)  # whoever edited it would lose their work
    return Undo(op)


# --- it was there before --------------------------------------------------------------


def _restore_gone(steps: Sequence[Done]) -> Undo | No:
    """Made again from the image of its removal: as a new record."""
    if steps[0].op != "delete":
        return No("update", reasons.GONE)
    image = _image(steps[0])
    if image is None or image.whole is None:
        return No("create", reasons.NO_IMAGE)
    values = dict(image.whole)
    native = {name: was for name, (was, _sent) in image.native.items()}
    for step in steps[1:]:
        older = _image(step)
        if older is None or older.blind or step.op in {"create", "delete"}:
            return No("create", reasons.NO_IMAGE if older is None else reasons.CANNOT)
        values.update((path, was) for path, (was, _sent) in older.paths.items())
        native.update((name, was) for name, (was, _sent) in older.native.items())
        for path, (added, gone) in older.lists.items():
            values[path] = without(values.get(path) or [], added, gone)
    return Undo("create", entity_of(values), native)


def _restore(route: Route, steps: Sequence[Done], current: Record | str) -> Undo | No:
    if steps[0].op == "delete":
        return No("update", reasons.CHANGED)  # somebody made it again
    if not isinstance(current, Record):
        return _enable(steps)
    there = values_of(route, _decoded(route, current))
    back = _Back(there, current)
    for number, step in enumerate(steps):
        image = _image(step)
        if image is None and step.op == "disable":
            image = Image({ACTIVE: (True, _OFF)})
        if image is None:
            return No("update", reasons.NO_IMAGE)
        if image.blind or step.op in {"create", "delete"}:
            return No("update", reasons.NO_IMAGE if image.blind else reasons.CANNOT)
        if not back.take(image, json.loads(step.receipt or "{}"), newest=not number):
            return No("update", reasons.CHANGED)
    return back.undo()


def _enable(steps: Sequence[Done]) -> Undo | No:
    """Nobody can look; what disabling did is known all the same."""
    if all(step.op == "disable" for step in steps):
        return Undo("update", {ACTIVE: True})
    return No("update", reasons.NO_IMAGE)


class _Back:
    """What several images, newest first, restore of a record as it is now."""

    def __init__(self, there: dict[str, Any], current: Record) -> None:
        self._there = there
        self._current = current
        self._values: dict[str, Any] = {}
        self._native: dict[str, Any] = {}
        self._lists: dict[str, list[Any]] = {}

    def take(self, image: Image, after: Mapping[str, Any], *, newest: bool) -> bool:
        """Add an older image; False if somebody changed what it would restore."""
        version = self._current.version
        as_left = newest and version is not None and after.get("v") == version
        stored = after.get("p", {})
        for path, (was, sent) in image.paths.items():
            now = mark(self._values.get(path, self._there.get(path)))
            # As before already (somebody undid it by hand) is as good as undone.
            if not as_left and now not in {sent, stored.get(path), mark(was)}:
                return False
            # A platform that said nothing of ``active`` meant that it is.
            self._values[path] = True if path == ACTIVE and was is None else was
        for name, (was, sent) in image.native.items():
            now = mark(self._native.get(name, self._current.data.get(name)))
            if not as_left and now not in {sent, mark(was)}:
                return False
            self._native[name] = was
        for path, (added, gone) in image.lists.items():
            now_list = self._lists.get(path, self._there.get(path) or [])
            self._lists[path] = without(now_list, added, gone)
        return True

    def undo(self) -> Undo:
        values = {**self._values, **self._lists}
        same = all(mark(v) == mark(self._there.get(p)) for p, v in values.items())
        same = same and all(
            mark(v) == mark(self._current.data.get(n)) for n, v in self._native.items()
        )
        was_off = values.get(ACTIVE, True) is False
        op = "disable" if was_off else "update"
        return Undo(op, entity_of(values), self._native, same=same)


def _image(step: Done) -> Image | None:
    return None if step.image is None else Image.from_text(step.image)


def _decoded(route: Route, record: Record) -> dict[str, Any]:
    return route.target.bound.decode(record.data, record.incomplete)


def without(now: list[Any], added: list[Any], gone: list[Any]) -> list[Any]:
    """A list without what was added, and with what was removed; the rest stays."""
    out = {identity(entry) for entry in added}
    kept = [entry for entry in now if identity(entry) not in out]
    have = {identity(entry) for entry in kept}
    return kept + [entry for entry in gone if identity(entry) not in have]


def entity_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """An entity that says exactly this; None clears."""
    entity: dict[str, Any] = {}
    for path, value in values.items():
        node = entity
        segments = parse(path)
        for place, segment in enumerate(segments):
            last = place == len(segments) - 1
            if isinstance(segment.selector, Slot):
                slot = segment.selector
                entries = node.setdefault(segment.name, [])
                same = [e for e in entries if e.get(slot.name) == slot.value]
                if not same:
                    same = [{slot.name: slot.value}]
                    entries += same
                entry = same[0]
                if last:
                    entry.update(value or {})
                node = entry
            elif last:
                node[segment.name] = value
            else:
                inner = node.get(segment.name)
                if not isinstance(inner, dict):
                    inner = node[segment.name] = {}
                node = inner
    return entity
