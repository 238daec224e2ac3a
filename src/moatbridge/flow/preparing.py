"""From planned entities to frozen bytes (DESIGN 10.1): resolve, look, encode.

Runs before transaction B and touches nothing: references are resolved through the
ledger, the target's current records are fetched in one go (undo, compare-and-set, and
"is there anything to do at all"), removals are confirmed at the source once more.
"""

from __future__ import annotations

from binascii import b2a_base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from moatbridge.changes import Absent, OutOfScope, Record, Ref
from moatbridge.errors import TranslationError
from moatbridge.flow import conflicts, letting_go, references, rejudging
from moatbridge.flow.echo import base_of, echo_mark, said
from moatbridge.flow.folding import PLANNED
from moatbridge.flow.limits import counted_as
from moatbridge.flow.lost import back_again, named
from moatbridge.flow.readership import NOBODY, Readership, readerships
from moatbridge.flow.references import Resolution
from moatbridge.flow.retract.images import image_of, kept
from moatbridge.flow.sameness import same
from moatbridge.flow.sealing import seals
from moatbridge.flow.settings import CONTENT
from moatbridge.flow.standing import notes, recheck
from moatbridge.flow.thawing import Noted, Parts
from moatbridge.guard import lifetime
from moatbridge.ledger import frozen, holds, marks, texts
from moatbridge.ledger.admission import Candidate
from moatbridge.ledger.states import State

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moatbridge.changes import Op
    from moatbridge.flow.grounds import Grounds
    from moatbridge.flow.references import Missing
    from moatbridge.flow.route import Route
    from moatbridge.ledger import Ledger
    from moatbridge.ledger.marks import Link
    from moatbridge.ledger.parcels import Item
    from moatbridge.resilience.session import Session


_NOTHING: Final = Resolution(None, [])
_GONE = frozenset({"disable", "delete"})
_READ = frozenset({"create", "update"})


@dataclass(slots=True)
class Prepared:
    """A parcel, ready for admission.

    Args:
        candidates: All of its intents.
        waits: Position -> references that nothing is linked to yet.
        returned: Positions of removals whose source record is there again, and of
            creates whose source record is gone.
        refused: Position -> why, of decisions that no longer rest on what they did.
        unready: Positions of content that refers to what is not there yet.
        held: (position, reason, rules, payload, detail, seconds it waits) of what the
            guard holds, now that the target's record is known, and of what changed
            since a person agreed.
        planned: Position -> what a candidate was made of, where flows form a pair: the
            loop breaker may still hold it.
        rejected: (position, code) of what cannot be encoded.
        counted: (position, what it counts as against the day's windows).
        let_go: (position, what it counts as of what was noticed and let go).
    """

    candidates: list[Candidate] = field(default_factory=list)
    waits: dict[int, Missing] = field(default_factory=dict)
    returned: list[int] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)
    unready: list[int] = field(default_factory=list)
    held: list[tuple[int, str, str, str, str, float | None]] = field(
        default_factory=list
    )
    planned: dict[int, Planned] = field(default_factory=dict)
    rejected: list[tuple[int, str]] = field(default_factory=list)
    counted: list[tuple[int, list[tuple[str, str]]]] = field(default_factory=list)
    let_go: list[tuple[int, list[tuple[str, str]]]] = field(default_factory=list)

    @property
    def cancelled(self) -> list[tuple[int, State, str]]:
        """What is not sent at all: (position, state, why)."""
        why = dict.fromkeys(self.returned, "returned")
        why |= {pos: f"decision.{each}" for pos, each in self.refused.items()}
        return [(pos, State.CANCELLED, each) for pos, each in why.items()]


@dataclass(slots=True)
class Planned:
    """One intent on its way into a parcel's candidates."""

    item: Item
    payload: dict[str, Any]
    link: Link | None
    op: Literal["create", "update", "disable", "delete"]
    entity: dict[str, Any] | None = None
    resolved: Resolution = _NOTHING
    incomplete: bool = False
    readers: Readership = NOBODY
    target: Ref | None = None
    version: str | None = None
    before: Record | None = None
    there: dict[str, Any] | None = None
    conflict: tuple[str, ...] = ()
    elements: dict[str, Any] = field(default_factory=dict)


def prepare(
    route: Route,
    ledger: Ledger,
    items: Sequence[Item],
    *,
    source: Callable[[], Session],
    target: Session,
    grounds: Grounds,
    agreed: bool,
    gone: bool,
) -> Prepared:
    """Encode a planned parcel.

    Args:
        route: The flow.
        ledger: Its ledger.
        items: All of the parcel's intents.
        source: Gives a session to confirm removals with.
        target: To look at the records as they are now.
        grounds: Looks at what decisions rest on.
        agreed: A person approved these very items: they are not judged again.
        gone: The feed may have told of some of them that they are gone.

    Raises:
        NotApplied: Source or target could not be read; nothing happened.
    """
    no, items = recheck(route, ledger, items, grounds)
    planned = _load(route, ledger, items)
    returned = _returned(route, planned, source, gone=gone)
    returned += back_again(route, [(p.item, p.payload) for p in planned], target)
    _fetch_before(route, planned, target)
    _look_at_readers(route, planned, target)
    at = _agreed_at(route, ledger, items) if agreed else {}
    result, now = Prepared(returned=returned), ledger.now()
    result.refused = {pos: why for pos, why in no.items() if pos not in returned}
    for one in planned:
        if one.item.pos in returned or one.item.pos in result.refused:
            continue
        if one.incomplete:
            result.unready.append(one.item.pos)
            continue
        try:
            _settle_conflicts(route, one, agreed=agreed)
            hold = (
                rejudging.void(route, one, agreed_at=at.get(one.item.k, now), now=now)
                if agreed
                else rejudging.held(route, ledger, one, _decoded(route, one))
            )
            candidate = _candidate(route, one)
        except TranslationError as error:
            result.rejected.append((one.item.pos, error.code))
            continue
        if hold is not None:
            waits = lifetime(hold.reason, route.rules)
            shown = rejudging.sealed(route, one)
            said = (hold.reason, hold.rules, shown, hold.detail, waits)
            result.held.append((one.item.pos, *said))
            continue
        result.candidates.append(candidate)
        if route.back is not None:
            result.planned[one.item.pos] = one
        missing = one.resolved.missing
        if missing and route.config.on_unresolved == "wait":
            result.waits[one.item.pos] = missing
        if result.candidates[-1].frozen is not None:
            found = counted_as(route, one.op, one.payload)
            result.counted.append((one.item.pos, found))
            named_as = letting_go.counted_as(one.payload)
            result.let_go.append((one.item.pos, named_as))
    return result


def _agreed_at(
    route: Route, ledger: Ledger, items: Sequence[Item]
) -> dict[bytes, float]:
    with ledger.read() as tx:
        return holds.agreed_at(tx, route.row.flow_id, [item.k for item in items])


def _settle_conflicts(route: Route, one: Planned, *, agreed: bool) -> None:
    """Leave out what the other side changed, or let a person decide."""
    if not route.contested or one.op not in _READ or one.entity is None:
        return
    one.payload, one.entity, one.conflict, one.elements = conflicts.settle(
        route,
        one.payload,
        one.entity,
        resolved=one.resolved,
        there=_decoded(route, one),
        base=one.link.base if one.link else None,
        agreed=agreed,
    )


def _decoded(route: Route, one: Planned) -> dict[str, Any] | None:
    """The target's record as it is; decoded once, and only read from."""
    if one.before is not None and one.there is None:
        decode = route.target.bound.decode
        one.there = decode(one.before.data, one.before.incomplete)
    return one.there


def _load(route: Route, ledger: Ledger, items: Sequence[Item]) -> list[Planned]:
    payloads = [texts.loads(item.payload) for item in items]
    with ledger.read() as tx:
        links = marks.links(tx, [i.link_id for i in items if i.link_id])
        for item, payload in zip(items, payloads, strict=True):
            linked = links.get(item.link_id or 0)
            if item.op == "create" and named(linked, payload, 1 - route.row.side):
                payload["entity"] = route.carry.cut(payload["entity"])  # created since
        resolved = references.resolve(tx, route, [p["entity"] for p in payloads])
    other = 1 - route.row.side
    planned = []
    for item, payload, found in zip(items, payloads, resolved, strict=True):
        link = links.get(item.link_id) if item.link_id else None
        held = None if found.entity is None else route.express(found.entity)
        one = Planned(item, payload, link, cast("Any", item.op), held, found)
        one.incomplete = route.entity in CONTENT and found.incomplete
        if link is not None and (key := named(link, payload, other)):
            one.target = Ref.from_key(key, link.name(other))
            one.version = link.version(other)
        elif "adopt" in payload:
            key, name, one.version = payload["adopt"]
            one.target = Ref.from_key(key, name)
        one.op = _effective(one)
        planned.append(one)
    return planned


def _effective(one: Planned) -> Literal["create", "update", "disable", "delete"]:
    """What an intent amounts to now: its record may have been created meanwhile."""
    if one.op in {"disable", "delete"}:
        return one.op
    return "create" if one.target is None else "update"


def _returned(
    route: Route,
    planned: Sequence[Planned],
    source: Callable[[], Session],
    *,
    gone: bool,
) -> list[int]:
    """Removals are confirmed once more right before they are sent.

    So are creates from a source whose feed is read meanwhile: it may have told that the
    record is gone, which meant nothing while there was nothing to remove. A worker that
    cannot reach the source leaves creates to the next pass, which sees that.
    """
    told = gone and route.source.can("CanFollow") and route.source.near
    ops = {"disable", "delete", "create"} if told else _GONE
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


def _fetch_before(route: Route, planned: Sequence[Planned], target: Session) -> None:
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


def _look_at_readers(route: Route, planned: Sequence[Planned], target: Session) -> None:
    """Posts go to the readers they have now, and replies to no others than parents."""
    posts = [p for p in planned if p.entity is not None and p.op in _READ]
    if not seals(route) or not posts:
        return
    found = readerships(route, [p.resolved for p in posts], lambda: target)
    for one, readers in zip(posts, found, strict=True):
        one.readers = readers
        one.entity = readers.within(one.entity or {})


def _candidate(route: Route, one: Planned) -> Candidate:
    bound = route.target.bound
    before = one.before.data if one.before else None
    linked = named(one.link, one.payload, 1 - route.row.side) is not None
    adopted = one.target is not None and not linked
    target = (
        (one.target.key, one.target.name, one.version)
        if adopted and one.target is not None
        else None
    )
    if _nothing_to_do(route, one):
        mark = echo_mark(route, one.target, before) if adopted and one.target else None
        base = _agreed(route, one, same=True) if one.op == "update" else None
        return Candidate(one.item, None, target=target, mark=mark, base=base)
    record: dict[str, Any] | None = None
    owned: tuple[str, ...] = ()
    if one.entity is not None:
        if one.op == "create":
            record = bound.encode_new(one.entity)
        else:
            record = bound.encode(one.entity, before)
        owned = bound.owned_by(one.entity)
    base = _agreed(route, one)
    image = image_of(
        route,
        op=one.op,
        entity=one.entity,
        before=one.before,
        record=record,
        there=one.there,
    )
    op: Op = "update" if one.op == "disable" else one.op
    version = one.version if route.traits.conditional else None
    more = said(route, one.payload)
    held: dict[str, Any] = {
        "op": op,
        "ref": [one.target.key, one.target.name] if one.target else None,
        "record": record,
        "owned": owned,
        "before": before,
        "version": version,
        "base": b2a_base64(base, newline=False).decode() if base is not None else None,
        **more,
    }
    if image is not None:
        held |= kept(image)
    if route.writeback is not None:
        held |= notes(one.payload)
    if route.told_once:
        held[PLANNED] = one.payload
    text = frozen.dumps(held)
    written, changed = more.get("said", ()), more.get("changed", ())
    noted = Noted(base, tuple(written), tuple(changed), record and dict(record))
    parts = Parts(op, one.target, record, owned, before, version, noted)
    item = one.item  # its operation is what it amounts to: undoing rests on that
    if item.op != one.op:
        item = item._replace(op=one.op)
    image_text = image.to_text() if image is not None else None
    return Candidate(item, text, image_text, target, parts=parts)


def _agreed(route: Route, one: Planned, *, same: bool = False) -> bytes | None:
    """What both sides agree on once this is done; None: as before."""
    if one.entity is None or (one.op == "disable" and route.back is None):
        return None
    there = _decoded(route, one) if route.back is not None else None
    former = one.link.base if one.link else None
    entity, elements = one.payload["entity"], one.elements
    return base_of(route, entity, former, there, same=same, elements=elements)


def _nothing_to_do(route: Route, one: Planned) -> bool:
    """The target shows it already (adopted, repeated, or gone before a delete)."""
    if one.op == "delete":
        return one.target is None
    if one.target is None or one.before is None or one.entity is None:
        return one.op == "disable" and one.target is None
    there = _decoded(route, one) or {}
    says = route.said(one.entity)
    return same(says.cut(one.entity), says.cut(there))
