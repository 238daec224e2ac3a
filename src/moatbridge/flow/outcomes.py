"""What receipts mean for the ledger: states, links, and the mark against echoes."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from moatbridge.changes import Receipt, Record
from moatbridge.errors import MoatbridgeError
from moatbridge.flow import loops, standing
from moatbridge.flow.echo import agreed
from moatbridge.flow.folding import stage_stale
from moatbridge.flow.recording import record
from moatbridge.flow.retract import delivering as undoing
from moatbridge.flow.retract.images import note_stored
from moatbridge.flow.thawing import thaw
from moatbridge.ledger import settlement, undo_late
from moatbridge.ledger.keys import key_hash, made_storable, storable
from moatbridge.ledger.settlement import Result
from moatbridge.ledger.states import State
from moatbridge.ledger.undo import UNDO

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moatbridge.changes import Data, Ref
    from moatbridge.flow.route import Route
    from moatbridge.flow.thawing import Thawed
    from moatbridge.ledger import Transaction
    from moatbridge.ledger.parcels import Item, Parcel
    from moatbridge.ledger.settlement import Policy
    from moatbridge.resilience.session import Session

_STATES = {
    "applied": State.DONE,
    "not_applied": State.RETRY,
    "unknown": State.UNKNOWN,
    "rejected": State.REJECTED,
}
_PROGRESS_LIMIT = 1024
_CODE_LIMIT = 200
_UNUSABLE = "ref-unusable"
"""Code of an applied write whose record has an id that the ledger cannot keep."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A parcel in flight whose calls are over, and what that means.

    Args:
        parcel: The parcel.
        items: Its open intents.
        receipts: Position -> (receipt, number of the call).
        results: One per intent, as transaction C writes it.
    """

    parcel: Parcel
    items: Sequence[Item]
    receipts: dict[int, tuple[Receipt, int]]
    results: list[Result]

    @property
    def arrived(self) -> bool:
        """Whether all of it was applied."""
        return all(result.state is State.DONE for result in self.results)


def answered(
    route: Route,
    parcel: Parcel,
    items: Sequence[Item],
    receipts: Mapping[int, tuple[Receipt, int]],
    started: set[int],
    target: Session,
    thawed: Mapping[int, Thawed] | None = None,
) -> Answered:
    """What the receipts of a parcel mean; nothing is written.

    Args:
        route: The flow.
        parcel: The parcel in flight.
        items: Its open intents.
        receipts: Position -> (receipt, number of the call).
        started: Positions whose call began; all others never left.
        target: To look at what was stored, where the receipt does not say.
        thawed: Position -> the intent, of those that were thawed already.
    """
    clean = cleaned(receipts)
    results = results_of(route, items, clean, started, target, thawed or {})
    if parcel.part == UNDO:
        results = undoing.outcomes(results)
    return Answered(parcel, items, clean, results)


def settle_answered(
    tx: Transaction, route: Route, done: Answered, policy: Policy
) -> bool:
    """What transaction C writes.

    Args:
        tx: The slice's step transaction.
        route: The flow.
        done: The parcel.
        policy: The flow's policy.

    Returns:
        Whether decisions were answered, so that other flows have work now.
    """
    row, parcel, results = route.row, done.parcel, done.results
    takes_back = parcel.part == UNDO
    clashes = settlement.settle(
        tx,
        flow_id=row.flow_id,
        pair_id=row.pair_id,
        side=row.side,
        parcel=parcel,
        results=results,
        policy=undoing.policy_of(policy) if takes_back else policy,
    )
    if any(r.state in {State.RETRY, State.READY} for r in results):
        undo_late.call_off(tx, row.flow_id, parcel.run_id)
    note_stored(tx, route, parcel, done.items, done.receipts)
    if takes_back:
        undoing.settled(tx, route, results)
    if route.told_once:
        stage_stale(tx, route, parcel, results)
    decided = standing.answered(tx, route, results)
    loops.note(tx, route, results)
    record(tx, route, parcel, results, done.receipts, clashes=clashes)
    return decided


def cleaned(
    receipts: Mapping[int, tuple[Receipt, int]],
) -> dict[int, tuple[Receipt, int]]:
    """The receipts of a parcel, with texts that a database can hold.

    What was done was done: a text that cannot be kept must not make the ledger forget
    it. An id cannot be mended, since nothing would be found by it: such a write is
    never sent again by itself (`results_of` holds it), and it counts as an incident.
    """
    return {pos: (_clean(receipt), call) for pos, (receipt, call) in receipts.items()}


def _clean(receipt: Receipt) -> Receipt:
    ref, version = receipt.ref, receipt.version
    said = [receipt.code, receipt.incident, version, receipt.field]
    if ref is not None:
        said += [ref.name, ref.key]
    if storable("".join([text for text in said if text])):
        return receipt
    clean = replace(
        receipt,
        code=made_storable(receipt.code),
        version=version and made_storable(version),
        incident=receipt.incident and made_storable(receipt.incident),
        field=receipt.field and made_storable(receipt.field),
    )
    if ref is None or storable(ref.key):
        named = ref and ref._replace(name=ref.name and made_storable(ref.name))
        return replace(clean, ref=named)
    clean = replace(clean, ref=None, incident=clean.incident or _UNUSABLE)
    applied = receipt.outcome == "applied"
    return replace(clean, code=_UNUSABLE, stored=None) if applied else clean


def results_of(
    route: Route,
    items: Sequence[Item],
    receipts: Mapping[int, tuple[Receipt, int]],
    started: set[int],
    target: Session,
    thawed: Mapping[int, Thawed],
) -> list[Result]:
    """One result per intent of the parcel.

    Args:
        route: The flow.
        items: The parcel's open intents.
        receipts: Position -> (receipt, number of the call).
        started: Positions whose call began; all others never left.
        target: To look at what was stored, where the receipt does not say.
        thawed: Position -> the intent, of those that were thawed already.
    """
    stored = _stored(route, items, receipts, target)
    return [
        _result(
            route,
            item,
            thawed.get(item.pos) or thaw(item, fence=0, attempt=0),
            *receipts[item.pos],
            stored.get(item.pos),
        )
        if item.pos in started
        else Result(item, State.READY)
        for item in items
    ]


def _result(
    route: Route,
    item: Item,
    thawed: Thawed,
    receipt: Receipt,
    call: int,
    stored: Data | None,
) -> Result:
    state = _STATES[receipt.outcome]
    intent, noted = thawed
    if state is State.RETRY and receipt.reason == "stale":
        state = State.CANCELLED
    if state is State.REJECTED and receipt.reason == "gone" and intent.op == "delete":
        state = State.DONE
    if len(receipt.code) > _CODE_LIMIT:  # some of it may be the target's own words
        receipt = replace(receipt, code=receipt.code[:_CODE_LIMIT])
    if state is State.DONE and receipt.code == _UNUSABLE:
        return Result(item, State.HELD, _UNUSABLE, call=call)
    progress = json.dumps(receipt.progress) if receipt.progress is not None else None
    if progress is not None and len(progress) > _PROGRESS_LIMIT:
        progress = None
    if state is not State.DONE:
        return Result(
            item,
            state,
            receipt.code,
            call=call,
            retry_after=receipt.retry_after,
            progress=progress,
            field=receipt.field and receipt.field[:_CODE_LIMIT],
        )
    ref = receipt.ref or intent.ref
    if item.op == "delete":
        gone = key_hash(ref.key) if ref else None
        return Result(item, state, receipt.code, gone=gone, call=call)
    base, mark = agreed(route, ref, stored, noted) if ref else (noted.base, None)
    return Result(
        item,
        state,
        receipt.code,
        target=(ref.key, ref.name, receipt.version) if ref else None,
        mark=mark,
        base=base,
        call=call,
        paths=noted.changed,
    )


def _stored(
    route: Route,
    items: Sequence[Item],
    receipts: Mapping[int, tuple[Receipt, int]],
    target: Session,
) -> dict[int, Data]:
    """Records as the target now stores them; fetched once where receipts are silent."""
    if route.back is None:
        return {}
    found: dict[int, Data] = {}
    silent: list[tuple[int, Ref]] = []
    for item in items:
        receipt = receipts.get(item.pos, (Receipt("unknown"), 0))[0]
        if receipt.outcome != "applied" or item.op == "delete":
            continue
        if receipt.stored is not None:
            found[item.pos] = receipt.stored
        elif ref := receipt.ref or thaw(item, fence=0, attempt=0)[0].ref:
            silent.append((item.pos, ref))
    if silent and route.target.can("CanFetch"):
        try:
            answers: Sequence[Any] = target.fetch(
                route.target.name, [ref for _pos, ref in silent]
            )
        except MoatbridgeError:
            return found  # the echo costs one comparison more; nothing is lost
        found.update(
            (pos, record.data)
            for (pos, _ref), record in zip(silent, answers, strict=True)
            if isinstance(record, Record)
        )
    return found
