"""Settlement (transaction C): what the receipts say becomes durable.

Applied intents finish with their parcel; everything else leaves it, with its key, for
a parcel of its own. An outcome that is unknown stays unknown until the target's own
memory (its keys, or a look-up) resolves it: nothing is guessed (delivery 22-25).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from moatbridge.ledger import flows, inbox, marks, parcels
from moatbridge.ledger.admission import again
from moatbridge.ledger.admitting import state_after
from moatbridge.ledger.keys import name_hash
from moatbridge.ledger.states import LinkState, State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moatbridge.ledger.database import Transaction
    from moatbridge.ledger.parcels import Item, Parcel

FIRST_RETRY: Final = 60.0
LONGEST_RETRY: Final = 3600.0

CLASH: Final = "ref-clash"
"""Code of a receipt that names a record which is linked to another one."""


class Result(NamedTuple):
    """The outcome of one intent, ready to be written.

    Args:
        item: The intent.
        state: DONE, RETRY, REJECTED, UNKNOWN, READY (never started), HELD, PARKED or
            CANCELLED (stale).
        code: Receipt code.
        target: Key, name and version of the target record, where known.
        mark: (key hash, fp, out_fp) of the target side, to recognise the echo.
        base: Path hashes of the entity that was applied.
        gone: Key hash of the target record that was deleted.
        call: Number of the call within the parcel; unknown ones split call by call.
        retry_after: Seconds the target asked us to wait.
        progress: JSON text for the next attempt.
        paths: Entity paths that had changed; for pairs.
        field: Name of the field for which the target refused it, if one is to blame.
    """

    item: Item
    state: State
    code: str = ""
    target: tuple[str, str | None, str | None] | None = None
    mark: tuple[bytes, bytes | None, bytes | None] | None = None
    base: bytes | None = None
    gone: bytes | None = None
    call: int = 0
    retry_after: float | None = None
    progress: str | None = None
    paths: tuple[str, ...] = ()
    field: str | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """How a flow treats what did not simply succeed.

    Args:
        unknown: State of an unknown outcome: UNKNOWN, or PARKED, or READY (resend).
        unknown_wait: Seconds before an unknown outcome is resolved.
        quiet: Seconds a link rests after an attempt of unknown outcome.
        keep_payload: Keep the content of delivered intents.
        named: Target records are referred to by name.
        undo_window: Seconds between disabling and removing; None: never removed.
        undoing: A run is taken back: what is refused is that run's report, and no
            dead letter of the source's record.
    """

    unknown: State = State.UNKNOWN
    unknown_wait: float = 5.0
    quiet: float = 0.0
    keep_payload: bool = False
    named: bool = False
    undo_window: float | None = None
    undoing: bool = False


def settle(
    tx: Transaction,
    *,
    flow_id: int,
    pair_id: int,
    side: int,
    parcel: Parcel,
    results: Sequence[Result],
    policy: Policy,
) -> int:
    """Write the outcome of every intent of an IN_FLIGHT parcel.

    Args:
        tx: The slice's step transaction.
        flow_id: The flow.
        pair_id: Its pair.
        side: Source side, 0 or 1.
        parcel: The parcel, in state IN_FLIGHT.
        results: One per intent that was still open.
        policy: The flow's policy.

    Returns:
        How many receipts named a record that belongs to somebody else.
    """
    by_state: dict[State, list[Result]] = {}
    for result in _without_clashes(tx, pair_id * 2 + (1 - side), results):
        by_state.setdefault(result.state, []).append(result)
    clashes = sum(r.code == CLASH for r in by_state.get(State.HELD, ()))
    done = by_state.pop(State.DONE, [])
    _applied(tx, pair_id, side, done, policy)
    refused = by_state.pop(State.REJECTED, [])
    _rejected(tx, flow_id, side, parcel, refused, undoing=policy.undoing)
    _stale(tx, flow_id, pair_id * 2 + side, parcel, by_state.pop(State.CANCELLED, []))
    parcels.close_open(tx, parcel.parcel_id, [r.item.pos for r in done])
    for state, group in by_state.items():
        _leave(tx, flow_id, parcel, state, group, policy)
    parcels.move(tx, parcel, State.DONE)
    if not policy.keep_payload:
        tx.run(
            "UPDATE intent SET payload=NULL WHERE parcel_id=? AND state IS NULL",
            parcel.parcel_id,
        )
    return clashes


def found_in_flight(tx: Transaction, parcel: Parcel, policy: Policy) -> Parcel:
    """Whoever sent it died or was overtaken: what became of it is unknown.

    That is an attempt of unknown outcome like any other: its links rest from now on,
    since the last of its calls may have left a moment ago (delivery 25).

    Args:
        tx: The slice's step transaction.
        parcel: The parcel, in state IN_FLIGHT.
        policy: The flow's policy.

    Returns:
        The parcel as it is now.
    """
    parcels.move(tx, parcel, State.UNKNOWN)
    if policy.quiet:
        tx.run(
            "UPDATE link SET quiet_until=? WHERE link_id IN "
            "(SELECT link_id FROM intent WHERE parcel_id=? AND state IS NULL)",
            tx.now() + policy.quiet,
            parcel.parcel_id,
        )
    return parcel._replace(state=State.UNKNOWN, doubt=1)


def _without_clashes(
    tx: Transaction, target_side: int, results: Sequence[Result]
) -> list[Result]:
    """A receipt that names a record linked to somebody else is held, never relinked."""
    ks = [r.mark[0] for r in results if r.mark]
    taken = {k: m.link_id for k, m in marks.lookup(tx, target_side, ks).items()}
    checked = []
    for r in results:
        owner = r.item.link_id
        clash = r.mark is not None and taken.setdefault(r.mark[0], owner or 0) != owner
        checked.append(Result(r.item, State.HELD, CLASH, call=r.call) if clash else r)
    return checked


def _applied(
    tx: Transaction, pair_id: int, side: int, done: Sequence[Result], policy: Policy
) -> None:
    other = "b" if side == 0 else "a"
    tx.many(
        f"UPDATE link SET {other}_key=coalesce(?, {other}_key), "
        f"{other}_name=coalesce(?, {other}_name), {other}_ver=?, state=?, "
        "base=coalesce(?, base) WHERE link_id=?",
        [
            (
                *(r.target or (None, None, None)),
                state_after(r.item),
                r.base,
                r.item.link_id,
            )
            for r in done
        ],
    )
    target_side = pair_id * 2 + (1 - side)
    marks.put(
        tx,
        target_side,
        [(*r.mark, r.item.link_id) for r in done if r.mark and r.item.link_id],
    )
    deleted = [r for r in done if r.item.op == "delete"]
    tx.many(
        f"UPDATE link SET {other}_key=NULL, {other}_name=NULL, base=NULL, "
        "round=round+1 WHERE link_id=?",
        [(r.item.link_id,) for r in deleted],
    )
    tx.many(
        "DELETE FROM mark WHERE side_id=? AND k=?",
        [(target_side, r.gone) for r in deleted if r.gone],
    )
    if policy.undo_window is not None:
        tx.many(
            "UPDATE link SET remove_at=? WHERE link_id=?",
            [
                (tx.now() + policy.undo_window, r.item.link_id)
                for r in done
                if r.item.op == "disable"
            ],
        )
    if policy.named:
        marks.alias_put(
            tx,
            target_side,
            [
                (name_hash(r.target[1]), r.item.link_id, None)
                for r in done
                if r.target and r.target[1] and r.item.link_id
            ],
        )
    linked = [r.item for r in done if r.item.op in {"create", "update"}]
    flows.wake_waiting(tx, pair_id, linked)


def _rejected(
    tx: Transaction,
    flow_id: int,
    side: int,
    parcel: Parcel,
    refused: Sequence[Result],
    *,
    undoing: bool,
) -> None:
    """Refused for good: comes back only when it changes, or when someone replays it."""
    parcels.close_open(tx, parcel.parcel_id, [r.item.pos for r in refused])
    parcels.settle_one(
        tx, parcel, [(r.item.pos, State.REJECTED, r.code) for r in refused]
    )
    if undoing:
        return
    reject(
        tx,
        flow_id,
        [(r.item.k, r.item.ref, "target", r.code, r.field) for r in refused],
    )
    other = "b" if side == 0 else "a"
    gone = [r for r in refused if r.code.endswith(".gone") and r.item.op != "delete"]
    tx.many(
        f"UPDATE link SET {other}_key=NULL, {other}_ver=NULL, round=round+1, state=? "
        "WHERE link_id=? AND origin=1",
        [(LinkState.PENDING, r.item.link_id) for r in gone],
    )
    again(tx, flow_id, [r.item.link_id for r in gone if r.item.link_id], "gone")


def _stale(
    tx: Transaction,
    flow_id: int,
    source_side: int,
    parcel: Parcel,
    stale: Sequence[Result],
) -> None:
    """A failed compare-and-set is read and judged again, never resent as it is."""
    parcels.close_open(tx, parcel.parcel_id, [r.item.pos for r in stale])
    parcels.settle_one(
        tx, parcel, [(r.item.pos, State.CANCELLED, r.code) for r in stale]
    )
    marks.forget(tx, source_side, [r.item.k for r in stale])
    again(tx, flow_id, [r.item.link_id for r in stale if r.item.link_id], "stale")


def _leave(
    tx: Transaction,
    flow_id: int,
    parcel: Parcel,
    state: State,
    group: Sequence[Result],
    policy: Policy,
) -> None:
    """Retries, unknowns, held and never-started intents leave the parcel."""
    now = tx.now()
    calls: dict[int, list[Result]] = {}
    for result in group:
        calls.setdefault(result.call if state is State.UNKNOWN else 0, []).append(
            result
        )
    for results in calls.values():
        target, wait = _next(parcel, state, results, policy, now)
        new = parcels.split(
            tx,
            parcel,
            [r.item.pos for r in results],
            target,
            not_before=now + wait if wait else 0.0,
        )
        tx.many(
            "UPDATE intent SET error=?, receipt=coalesce(?, receipt) "
            "WHERE parcel_id=? AND pos=?",
            [(r.code, r.progress, new, r.item.pos) for r in results],
        )
        if state is State.UNKNOWN and policy.quiet:
            tx.many(
                "UPDATE link SET quiet_until=? WHERE link_id=?",
                [(now + policy.quiet, r.item.link_id) for r in results],
            )
    del flow_id


def _next(
    parcel: Parcel,
    state: State,
    results: Sequence[Result],
    policy: Policy,
    now: float,
) -> tuple[State, float]:
    overdue = parcel.deadline is not None and now >= parcel.deadline
    asked = max((r.retry_after or 0.0 for r in results), default=0.0)
    backoff = min(LONGEST_RETRY, FIRST_RETRY * 2 ** max(0, parcel.attempt - 1))
    if state is State.RETRY:
        # Not applied this time; an earlier attempt may still have been.
        again = State.UNKNOWN if parcel.doubt else State.RETRY
        return (State.PARKED, 0.0) if overdue else (again, asked or backoff)
    if state is State.UNKNOWN:
        target = State.PARKED if overdue else policy.unknown
        return target, 0.0 if target is State.PARKED else max(
            asked, policy.unknown_wait
        )
    return state, 0.0


def reject(
    tx: Transaction,
    flow_id: int,
    rows: Sequence[tuple[bytes | None, str | None, str, str, str | None]],
) -> None:
    """Record dead letters: rows of (key hash, ref, location, reason, field).

    What the target refused says where it lies, if it was pushed and is still kept.
    """
    now = tx.now()
    tx.many(
        "INSERT INTO reject(flow_id, k, ref, location, reason, field, created, last) "
        "VALUES(?,?,?,?,?,?,?,?) ON CONFLICT(flow_id, k) DO UPDATE SET "
        "location=excluded.location, reason=excluded.reason, field=excluded.field, "
        "times=reject.times+1, last=excluded.last",
        [
            (flow_id, k, ref, _located(tx, flow_id, k, where), why, name, now, now)
            for k, ref, where, why, name in rows
        ],
    )


def refused(tx: Transaction, flow_id: int, ks: Sequence[bytes]) -> set[bytes]:
    """Records, by key hash, whose newest change the target refused."""
    found: set[bytes] = set()
    for part in marks.chunks(ks, 500):
        holes = ",".join("?" * len(part))
        rows = tx.all(
            f"SELECT k FROM reject WHERE flow_id=? AND k IN ({holes}) "
            "AND (location='target' OR location LIKE ?)",
            flow_id,
            *part,
            f"{inbox.PLACE}%",
        )
        found.update(k for (k,) in rows)
    return found


def _located(tx: Transaction, flow_id: int, k: bytes | None, where: str) -> str:
    return (where == "target" and inbox.pushed(tx, flow_id, k)) or where


def forget_unseen_rejects(tx: Transaction, flow_id: int, generation: int) -> None:
    """What a whole pass did not meet again is gone from the source, or mended."""
    tx.run(
        "DELETE FROM reject WHERE flow_id=? AND location<>'target' AND last<("
        "SELECT started FROM scan WHERE flow_id=? AND generation=?)",
        flow_id,
        flow_id,
        generation,
    )


def clear_rejects(tx: Transaction, flow_id: int, ks: Sequence[bytes]) -> None:
    """These records are fine again."""
    if ks and tx.one("SELECT 1 FROM reject WHERE flow_id=? LIMIT 1", flow_id):
        tx.many(
            "DELETE FROM reject WHERE flow_id=? AND k=?", [(flow_id, k) for k in ks]
        )
