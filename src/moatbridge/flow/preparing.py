"""From planned entities to frozen bytes (DESIGN 10.1): resolve, look, encode.

Runs before transaction B and touches nothing: references are resolved through the
ledger, the target's current records are fetched in one go (undo, compare-and-set, and
"is there anything to do at all"), removals are confirmed at the source once more.
"""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast

from moatbridge.changes import Absent, Intent, OutOfScope, Record, Ref
from moatbridge.errors import TranslationError
from moatbridge.flow import references
from moatbridge.flow.echo import echo_mark
from moatbridge.guard import Context, Outgoing, counted, deactivates, judge
from moatbridge.ledger import counts, frozen, marks
from moatbridge.ledger.admission import Candidate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moatbridge.flow.references import Missing
    from moatbridge.flow.route import Route
    from moatbridge.guard import Operation
    from moatbridge.ledger import Ledger
    from moatbridge.ledger.marks import Link
    from moatbridge.ledger.parcels import Item
    from moatbridge.resilience.session import Session


_GONE = frozenset({"disable", "delete"})


@dataclass(slots=True)
class Prepared:
    """A parcel, ready for admission.

    Args:
        candidates: All of its intents.
        waits: Position -> references that nothing is linked to yet.
        returned: Positions of removals whose source record is there again, and of
            creates whose source record is gone.
        held: (position, reason, rules) of what the guard holds, now that the target's
            record is known.
        rejected: (position, code) of what cannot be encoded.
        counted: (position, what it counts as against the day's windows).
    """

    candidates: list[Candidate] = field(default_factory=list)
    waits: dict[int, Missing] = field(default_factory=dict)
    returned: list[int] = field(default_factory=list)
    held: list[tuple[int, str, str]] = field(default_factory=list)
    rejected: list[tuple[int, str]] = field(default_factory=list)
    counted: list[tuple[int, list[tuple[str, str]]]] = field(default_factory=list)


@dataclass(slots=True)
class _Planned:
    item: Item
    payload: dict[str, Any]
    link: Link | None
    op: Literal["create", "update", "disable", "delete"]
    entity: dict[str, Any] | None = None
    missing: Missing = field(default_factory=list)
    target: Ref | None = None
    version: str | None = None
    before: Record | None = None


def prepare(
    route: Route,
    ledger: Ledger,
    items: Sequence[Item],
    *,
    source: Callable[[], Session],
    target: Session,
    agreed: bool,
) -> Prepared:
    """Encode a planned parcel.

    Args:
        route: The flow.
        ledger: Its ledger.
        items: All of the parcel's intents.
        source: Gives a session to confirm removals with.
        target: To look at the records as they are now.
        agreed: A person approved these very items: they are not judged again.

    Raises:
        NotApplied: Source or target could not be read; nothing happened.
    """
    planned = _load(route, ledger, items)
    returned = _returned(route, planned, source)
    _fetch_before(route, planned, target)
    result = Prepared(returned=returned)
    for one in planned:
        if one.item.pos in returned:
            continue
        try:
            hold = None if agreed else _held(route, ledger, one)
            candidate = _candidate(route, one)
        except TranslationError as error:
            result.rejected.append((one.item.pos, error.code))
            continue
        if hold is not None:
            result.held.append((one.item.pos, *hold))
            continue
        result.candidates.append(candidate)
        if one.missing and route.config.on_unresolved == "wait":
            result.waits[one.item.pos] = one.missing
        if result.candidates[-1].frozen is not None:
            result.counted.append((one.item.pos, _counted(one)))
    return result


def _held(route: Route, ledger: Ledger, one: _Planned) -> tuple[str, str] | None:
    """Judge an update once more: only now is it known what the record was before.

    A group that is sensitive by its present name stays so when the source renames it.
    """
    if one.before is None or one.entity is None or one.op != "update":
        return None
    before = route.target.bound.decode(one.before.data, one.before.incomplete)
    verdict = judge(
        Outgoing(
            route.judged,
            one.entity,
            "renew" if one.payload.get("renew") else "update",
            link_id=one.item.link_id,
            changed=tuple(one.payload.get("changed", ())) or None,
            before=before,
        ),
        route.rules,
        Context(now=time.time(), memory=counts.Window(ledger.db, route.row.flow_id)),
    )
    if verdict.decision not in {"hold", "drop"}:
        return None
    reason = verdict.reasons[0] if verdict.reasons else "guard-bug"
    return reason, ", ".join(verdict.rules)


def _counted(one: _Planned) -> list[tuple[str, str]]:
    payload = one.payload
    op: Operation = "renew" if payload.get("renew") else one.op
    changed = payload.get("changed", ())
    return list(
        counted(
            op,
            changed,
            payload.get("blank", ()),
            deactivates=deactivates(op, changed, payload.get("entity") or {}),
            privileged=payload.get("privileged", False),
        )
    )


def _load(route: Route, ledger: Ledger, items: Sequence[Item]) -> list[_Planned]:
    payloads = [json.loads(item.payload) for item in items]
    with ledger.read() as tx:
        links = marks.links(tx, [i.link_id for i in items if i.link_id])
        resolved = references.resolve(tx, route, [p["entity"] for p in payloads])
    other = 1 - route.row.side
    planned = []
    for item, payload, (entity, missing) in zip(items, payloads, resolved, strict=True):
        link = links.get(item.link_id) if item.link_id else None
        held = None if entity is None else route.express(entity)
        one = _Planned(item, payload, link, cast("Any", item.op), held, missing)
        if link is not None and (key := link.key(other)):
            one.target = Ref.from_key(key, link.name(other))
            one.version = link.version(other)
        elif "adopt" in payload:
            key, name, one.version = payload["adopt"]
            one.target = Ref.from_key(key, name)
        one.op = _effective(one)
        planned.append(one)
    return planned


def _effective(one: _Planned) -> Literal["create", "update", "disable", "delete"]:
    """What an intent amounts to now: its record may have been created meanwhile."""
    if one.op in {"disable", "delete"}:
        return one.op
    return "create" if one.target is None else "update"


def _returned(
    route: Route, planned: Sequence[_Planned], source: Callable[[], Session]
) -> list[int]:
    """Removals are confirmed once more right before they are sent.

    So are creates from a source that is followed: the feed may have told meanwhile that
    the record is gone, which meant nothing while there was nothing to remove.
    """
    ops = {"disable", "delete", "create"} if route.source.can("CanFollow") else _GONE
    asked = [p for p in planned if p.op in ops]
    if not asked or not route.source.can("CanFetch"):
        return []
    refs = [Ref.from_key(*p.item.source) for p in asked]
    found = source().fetch(route.source.name, refs)
    return [
        one.item.pos
        for one, record in zip(asked, found, strict=True)
        if isinstance(record, Record) != (one.op == "create")
    ]


def _fetch_before(route: Route, planned: Sequence[_Planned], target: Session) -> None:
    asked = [p for p in planned if p.target is not None]
    if not asked or not route.target.can("CanFetch"):
        return
    refs = [p.target for p in asked if p.target]
    for one, found in zip(asked, target.fetch(route.target.name, refs), strict=True):
        match found:
            case Record():
                one.before = found
                one.version = found.version
            case Absent() if one.op == "delete":
                one.target = None  # gone already: only the ledger has to know
            case Absent() | OutOfScope():
                pass  # the write itself tells, and a person or the guard decides


def _candidate(route: Route, one: _Planned) -> Candidate:
    bound = route.target.bound
    before = one.before.data if one.before else None
    linked = one.link is not None and one.link.key(1 - route.row.side) is not None
    adopted = one.target is not None and not linked
    target = (
        (one.target.key, one.target.name, one.version)
        if adopted and one.target is not None
        else None
    )
    if _nothing_to_do(route, one):
        mark = echo_mark(route, one.target, before) if adopted and one.target else None
        return Candidate(one.item, None, target=target, mark=mark)
    record: dict[str, Any] | None = None
    owned: tuple[str, ...] = ()
    if one.entity is not None:
        if one.op == "create":
            record = bound.encode_new(one.entity)
        else:
            record = bound.encode(one.entity, before)
        owned = bound.owned_by(one.entity)
    base = None
    if one.entity is not None and one.op != "disable":
        planned_entity = one.payload["entity"]
        base = base64.b64encode(route.carry.base(planned_entity)).decode()
    text = frozen.dumps(
        {
            "op": "update" if one.op == "disable" else one.op,
            "ref": [one.target.key, one.target.name] if one.target else None,
            "record": record,
            "owned": owned,
            "before": before,
            "version": one.version if route.traits.conditional else None,
            "base": base,
        }
    )
    image = frozen.dumps(before) if before is not None else None
    return Candidate(one.item, text, before=image, target=target)


def _nothing_to_do(route: Route, one: _Planned) -> bool:
    """The target shows it already (adopted, repeated, or gone before a delete)."""
    if one.op == "delete":
        return one.target is None
    if one.target is None or one.before is None or one.entity is None:
        return one.op == "disable" and one.target is None
    bound = route.target.bound
    there = bound.decode(one.before.data, one.before.incomplete)
    wanted = one.entity
    says = route.said(wanted)
    return bool(_canonical(says.cut(wanted)) == _canonical(says.cut(there)))


def _canonical(value: Any) -> Any:
    """Equal for equal meaning: lists without order, references by id alone."""
    if isinstance(value, dict):
        if "stream" in value and ("id" in value or "name" in value):
            return value.get("id") or value.get("name")
        return {k: _canonical(v) for k, v in value.items() if v not in (None, [])}
    if isinstance(value, list):
        return sorted((_canonical(entry) for entry in value), key=repr)
    return value


def thaw(item: Item, *, fence: int, attempt: int) -> tuple[Intent, bytes | None]:
    """The intent as it was frozen, and the path hashes to remember when it applied."""
    held = frozen.loads(item.payload)
    ref = held["ref"]
    intent = Intent(
        key=item.key,
        op=held["op"],
        ref=Ref.from_key(*ref) if ref else None,
        record=held["record"],
        owned=tuple(held["owned"]),
        before=held["before"],
        before_version=held["version"],
        fence=fence,
        attempt=attempt,
        progress=json.loads(item.receipt) if item.receipt else None,
    )
    return intent, base64.b64decode(held["base"]) if held["base"] else None
