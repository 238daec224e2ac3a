"""What the target should show of a source record: the road of an update, unsent."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from moatbridge.errors import MoatbridgeError, TranslationError
from moatbridge.flow import references
from moatbridge.flow.reconcile.comparing import getter, says_something
from moatbridge.flow.rendering import rendered
from moatbridge.guard import Context, Outgoing, judge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moatbridge.changes import Data
    from moatbridge.flow.route import Route
    from moatbridge.guard import Memory
    from moatbridge.ledger import Ledger


class Source(NamedTuple):
    """One source record.

    Args:
        key: Its key.
        name: Its mutable name.
        data: What it holds.
        incomplete: Fields that were read only in part.
        link_id: Its link, if it has one.
    """

    key: str
    name: str | None
    data: Data
    incomplete: tuple[str, ...] = ()
    link_id: int | None = None


_ALWAYS: Final = frozenset({"Post", "Reaction"})


class Expected(NamedTuple):
    """An entity that the target should show, and the source's whole entity."""

    entity: dict[str, Any]
    whole: dict[str, Any]


class Expecting:
    """Makes entities as the target should show them.

    Args:
        route: The flow.
        ledger: Resolves references.
        memory: The guard's counts.
    """

    def __init__(self, route: Route, ledger: Ledger, memory: Memory) -> None:
        self._route = route
        self._ledger = ledger
        self._context = Context(
            now=time.time(), memory=memory, salt=ledger.ledger_id.encode()
        )
        self._masks = (
            route.entity in _ALWAYS
            or route.judged.deny_fields is not None
            or not route.judged.fits
            or bool(route.judged.path_labels)
        )
        self._references = [
            getter(path) for path, _to, _by in route.source.bound.references
        ]

    def of(
        self, sources: Sequence[Source], *, exactly: bool = False
    ) -> list[Expected | None]:
        """Per record what the target should show; None if it cannot be translated.

        Args:
            sources: The records.
            exactly: Ask the guard also where it is not known to take anything out.
        """
        wholes = [self._rendered(one) for one in sources]
        found = [None if w is None else Expected(w, w) for w in wholes]
        slow = [
            number
            for number, whole in enumerate(wholes)
            if whole is not None and (exactly or self._masks or self._refers(whole))
        ]
        if not slow:
            return found
        made = self._carried([(wholes[n] or {}, sources[n]) for n in slow], exactly)
        for number, entity in zip(slow, made, strict=True):
            whole = wholes[number] or {}
            found[number] = None if entity is None else Expected(entity, whole)
        return found

    def _carried(
        self, sources: Sequence[tuple[dict[str, Any], Source]], exactly: bool
    ) -> list[dict[str, Any] | None]:
        """Guarded, with its references resolved, as the target can hold it."""
        cut = [self._judged(whole, one, exactly=exactly) for whole, one in sources]
        with self._ledger.read() as tx:
            resolved = references.resolve(tx, self._route, cut)
        return [
            None if each.entity is None else self._route.express(each.entity)
            for each in resolved
        ]

    def stored(self, entity: dict[str, Any]) -> dict[str, Any]:
        """The entity as the target's own translator would read it back."""
        bound = self._route.target.bound
        try:
            return bound.decode(bound.encode_new(entity))
        except (MoatbridgeError, ValueError, TypeError, KeyError):
            return entity  # it needs the record as it is now: nothing is lost

    def _refers(self, whole: dict[str, Any]) -> bool:
        return any(says_something(get(whole)) for get in self._references)

    def _rendered(self, one: Source) -> dict[str, Any] | None:
        try:
            return rendered(self._route, one.key, one.data, one.incomplete)
        except TranslationError:
            return None

    def _judged(
        self, whole: dict[str, Any], one: Source, *, exactly: bool
    ) -> dict[str, Any] | None:
        """What the guard lets leave: a masked field is not one that differs."""
        entity = self._route.carry.cut(whole)
        if not (self._masks or exactly):
            return entity
        outgoing = Outgoing(self._route.judged, entity, "update", link_id=one.link_id)
        verdict = judge(outgoing, self._route.rules, self._context)
        return None if verdict.decision == "drop" else verdict.entity
