"""Undoings on their way: decided once more right before they are sent, then settled."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from moatbridge.changes import Record, Ref
from moatbridge.errors import TranslationError
from moatbridge.flow.agreement import PairCarry
from moatbridge.flow.folding import PLANNED
from moatbridge.flow.retract import reasons
from moatbridge.flow.retract.images import image_of, kept
from moatbridge.flow.retract.planning import Looked
from moatbridge.flow.retract.undoing import No, Undo, decide
from moatbridge.ledger import admission, frozen, parcels, undo
from moatbridge.ledger.admission import Candidate
from moatbridge.ledger.states import State
from moatbridge.resilience.crash import crash_point

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moatbridge.flow.route import Route
    from moatbridge.ledger import Lease, Ledger, Transaction
    from moatbridge.ledger.marks import Link
    from moatbridge.ledger.parcels import Item, Parcel
    from moatbridge.ledger.settlement import Policy, Result
    from moatbridge.ledger.undo import Done
    from moatbridge.resilience.session import Session

OF = "of"
"""Key under which an undoing names the intents it takes back."""


@dataclass(slots=True)
class Prepared:
    """A parcel of undoings, ready for admission.

    Args:
        candidates: What is sent, or is as it should be already.
        failed: (position, reason) of what cannot be taken back now.
    """

    candidates: list[Candidate] = field(default_factory=list)
    failed: list[tuple[int, str]] = field(default_factory=list)


def prepare(
    route: Route, ledger: Ledger, items: Sequence[Item], *, target: Session
) -> Prepared:
    """Look at the records once more, and encode what takes the run back.

    One fetch for the whole parcel. Images that are no longer kept, and records that
    somebody changed since the plan, fail now.

    Raises:
        NotApplied: The target could not be read; nothing happened.
    """
    of = {item.pos: _of(item) for item in items}
    with ledger.read() as tx:
        known = undo.at(tx, [place for places in of.values() for place in places])
    chains: dict[int, list[Done]] = {
        pos: [known[place] for place in places if place in known]
        for pos, places in of.items()
    }
    found = Looked.at(route, ledger, [c for c in chains.values() if c], lambda: target)
    result = Prepared()
    for item in items:
        chain = chains[item.pos]
        if len(chain) < len(of[item.pos]):
            result.failed.append((item.pos, reasons.CANNOT))  # undone already
            continue
        link = found.links.get(chain[0].link_id)
        now = found.now(link)
        answer = decide(route, chain, now, link)
        try:
            if isinstance(answer, Undo) and link is not None:
                result.candidates.append(_candidate(route, item, answer, now, link))
                continue
        except TranslationError:
            answer = No(item.op, reasons.CANNOT)
        reason = answer.reason if isinstance(answer, No) else reasons.CANNOT
        result.failed.append((item.pos, reason))
    return result


def _candidate(
    route: Route, item: Item, answer: Undo, now: Record | str | None, link: Link
) -> Candidate:
    other, side = 1 - route.row.side, route.row.side
    there = now if isinstance(now, Record) else None
    item = item._replace(op=answer.op)
    version = link.version(side)
    if answer.same:
        return Candidate(item, None, version=version)
    record, owned = _encoded(route, answer, there)
    image = image_of(
        route, op=answer.op, entity=answer.entity, before=there, record=record
    )
    key = link.key(other)
    ref = None
    if answer.op != "create" and key is not None:
        ref = Ref.from_key(key, link.name(other))
    text = frozen.dumps(
        {
            "op": "update" if answer.op == "disable" else answer.op,
            "ref": [ref.key, ref.name] if ref else None,
            "record": record,
            "owned": owned,
            "before": there.data if there else None,
            "version": there.version if there and route.traits.conditional else None,
            **_agreed(route, answer, link),
            OF: [list(place) for place in _of(item)],
            **kept(image),
            **({PLANNED: {}} if route.told_once else {}),
        }
    )
    before = image.to_text() if image else None
    return Candidate(item, text, before=before, version=version)


def _agreed(route: Route, answer: Undo, link: Link) -> dict[str, Any]:
    """What both sides of a pair agree on once this is done; see `agreement`."""
    if not isinstance(route.carry, PairCarry) or answer.entity is None:
        return {"base": None}
    base = route.carry.base(answer.entity, link.base)
    said = list(route.carry.whole.values(answer.entity))
    return {"base": base64.b64encode(base).decode(), "said": said}


def _encoded(
    route: Route, answer: Undo, there: Record | None
) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    """What is written, and which paths of the record that owns."""
    bound = route.target.bound
    if answer.entity is None:
        return None, ()
    entity = route.express(answer.entity)
    owned = bound.owned_by(entity)
    if answer.op == "create":
        record = bound.encode_new(entity)
        record.update(answer.native)
    else:
        record = bound.encode(entity, there.data if there else None)
        # What is only ever written is computed from the entity: here it is put back.
        record.update(answer.native)
    return record, (*owned, *(name for name in answer.native if name not in owned))


def _of(item: Item) -> list[undo.Position]:
    """Where the intents lie that this one takes back."""
    held = json.loads(item.payload or "{}")
    return [(parcel, pos) for parcel, pos in held.get(OF, ())]


# --- part of transactions B and C -----------------------------------------------------


def admit(
    route: Route,
    ledger: Ledger,
    lease: Lease,
    parcel: Parcel,
    items: Sequence[Item],
    *,
    target: Session,
    check: Callable[[Transaction], None],
) -> bool:
    """Transaction B of a parcel of undoings; True if something flies.

    Args:
        route: The flow.
        ledger: Its ledger.
        lease: Lease of the lane.
        parcel: A planned parcel.
        items: Its intents.
        target: An open session.
        check: Raises if sending is switched off.
    """
    ready = prepare(route, ledger, items, target=target)
    with ledger.step(lease) as tx:
        check(tx)
        crash_point("admit.in")
        if not parcels.still_planned(tx, parcel.parcel_id, len(items)):
            return False
        became = admission.admit(
            tx,
            flow_id=route.row.flow_id,
            pair_id=route.row.pair_id,
            side=route.row.side,
            named=route.source_named,
            conditional=route.traits.conditional,
            parcel=parcel,
            fence=lease.fence,
            retry_for=route.guarantee.retry_for,
            candidates=ready.candidates,
        )
        _note(tx, route, parcel, items, ready, became)
    crash_point("inflight.done")
    return bool(became.ready)


def _note(
    tx: Transaction,
    route: Route,
    parcel: Parcel,
    items: Sequence[Item],
    ready: Prepared,
    became: admission.Admitted,
) -> None:
    """What failed, and what needed nothing, is known at admission already."""
    by_pos = {item.pos: item for item in items}
    parcels.settle_one(
        tx, parcel, [(pos, State.REJECTED, why) for pos, why in ready.failed]
    )
    lost = [pos for pos, _why in ready.failed]
    lost += [pos for pos, _state, _why in became.dropped]
    undo.not_taken_back(tx, [p for pos in lost for p in _of(by_pos[pos])])
    _taken_back(tx, route, [by_pos[pos] for pos in became.noop])


def outcomes(results: Sequence[Result]) -> list[Result]:
    """What changed between look and write is not taken back, nor read again."""
    return [
        result._replace(state=State.REJECTED, code=reasons.CHANGED)
        if result.state is State.CANCELLED
        else result
        for result in results
    ]


def policy_of(policy: Policy) -> Policy:
    """Nothing is removed later, and nothing asks for the source's record."""
    return replace(policy, undo_window=None, undoing=True)


def settled(tx: Transaction, route: Route, results: Sequence[Result]) -> None:
    """Mark the originals; part of transaction C."""
    done = [r.item for r in results if r.state is State.DONE]
    _taken_back(tx, route, done)
    failed = [r.item for r in results if r.state is State.REJECTED]
    undo.not_taken_back(tx, [place for item in failed for place in _of(item)])


def _taken_back(tx: Transaction, route: Route, items: Sequence[Item]) -> None:
    undo.taken_back(
        tx,
        route.row.flow_id,
        [item.link_id for item in items if item.link_id is not None],
        [place for item in items for place in _of(item)],
        pair=route.back is not None,
    )


__all__ = ["OF", "Prepared", "admit", "outcomes", "policy_of", "prepare", "settled"]
