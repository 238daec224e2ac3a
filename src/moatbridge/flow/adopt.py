"""First-run matching: does the target have this record already (delivery 52).

A filtered answer is only ever a hint: every hit is compared again here. Exactly one hit
is linked, none is created, several (or one that belongs to somebody) go to a person.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from moatbridge.adapter import Query
from moatbridge.errors import ConfigurationError, TranslationError
from moatbridge.flow.carry import carrying
from moatbridge.ledger import marks
from moatbridge.ledger.keys import key_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moatbridge.changes import Record
    from moatbridge.flow.route import Route
    from moatbridge.ledger import Ledger
    from moatbridge.resilience.session import Session

_CALL = 200


@dataclass(frozen=True, slots=True)
class Match:
    """What was found for one new record."""

    record: Record | None = None
    ambiguous: bool = False
    detail: str = ""


def adopt(
    route: Route,
    ledger: Ledger,
    target: Callable[[], Session],
    entities: Sequence[dict[str, Any]],
) -> list[Match]:
    """Look every new entity up at the target by the flow's ``match`` paths, in order.

    Raises:
        ConfigurationError: ``flow.match``: the target cannot be searched.
    """
    found: list[Match | None] = [None] * len(entities)
    for path in route.config.match:
        open_ = [i for i, match in enumerate(found) if match is None]
        values = [_text(carrying((path,)).values(entities[i]).get(path)) for i in open_]
        wanted = [(i, value) for i, value in zip(open_, values, strict=True) if value]
        for start in range(0, len(wanted), _CALL):
            _look(route, target(), path, wanted[start : start + _CALL], entities, found)
    return _without_taken(route, ledger, [match or Match() for match in found])


def _look(
    route: Route,
    target: Session,
    path: str,
    wanted: Sequence[tuple[int, str]],
    entities: Sequence[dict[str, Any]],
    found: list[Match | None],
) -> None:
    if not route.target.can("CanFind"):
        raise ConfigurationError(
            f"Flow {route.name!r} matches existing records by {path!r}, but "
            f"{route.target.address} cannot be searched. Remove `match`.",
            code="flow.match",
            stream=route.target.address,
        )
    field = target_field(route, path)
    answers = target.find(
        route.target.name, [Query(field, value) for _number, value in wanted]
    )
    for (number, value), records in zip(wanted, answers, strict=True):
        exact = [r for r in records if _same(route, r, path, value)]
        if len(exact) == 1 and _claimed(route, exact[0], entities[number]):
            found[number] = Match(ambiguous=True, detail="has another externalId")
        elif len(exact) == 1:
            found[number] = Match(exact[0])
        elif exact:
            found[number] = Match(ambiguous=True, detail=f"{len(exact)} by {path}")


def target_field(route: Route, path: str) -> str:
    """The target's record field that an entity path is written to."""
    for line in route.target.bound.report().leaves:
        if line.entity == path and line.direction == "both":
            return line.record
    return path


def _same(route: Route, record: Record, path: str, value: str) -> bool:
    try:
        entity = route.target.bound.decode(record.data, record.incomplete)
    except TranslationError:
        return False
    held = _text(carrying((path,)).values(entity).get(path))
    if held is None:
        return False
    # Only ASCII letters compare without case: look-alikes are not the same account.
    return held == value or (
        held.isascii() and value.isascii() and held.lower() == value.lower()
    )


def _claimed(route: Route, record: Record, entity: dict[str, Any]) -> bool:
    """Whether the account says that it belongs to another source."""
    there = route.target.bound.decode(record.data, record.incomplete)
    theirs = there.get("externalId")
    return bool(theirs) and theirs != entity.get("externalId")


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _without_taken(route: Route, ledger: Ledger, found: Sequence[Match]) -> list[Match]:
    """A hit that is linked already is ambiguous, and so is one for two records."""
    ks = [key_hash(m.record.ref.key) for m in found if m.record]
    with ledger.read() as tx:
        taken = set(marks.lookup(tx, route.row.target_side, ks)) if ks else set()
    checked: list[Match] = []
    used: set[bytes] = set()
    for match in found:
        k = key_hash(match.record.ref.key) if match.record else b""
        if match.record and (k in taken or k in used):
            checked.append(Match(ambiguous=True, detail="linked already"))
        else:
            used.add(k)
            checked.append(match)
    return checked
