"""What waits for a person: held, parked and rejected items, and their decisions.

One function decides for every face (CLI now, console later). A version number on each
hold makes a second click harmless (guard 35).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, Literal

from moatbridge.config.guard_rules import BUILT_IN
from moatbridge.config.loosening import printable
from moatbridge.errors import ConfigurationError, Rejected
from moatbridge.ledger import counts, flows, inbox, marks, partitions, pending
from moatbridge.ledger.admission import again
from moatbridge.ledger.audit import record
from moatbridge.ledger.keys import key_hash
from moatbridge.ledger.states import MOVES, LinkState, State
from moatbridge.ledger.waiting import Waiting, expired, waiting

if TYPE_CHECKING:
    from moatbridge.ledger.database import Transaction

__all__ = [
    "ACTIONS",
    "Action",
    "Waiting",
    "decide",
    "expired",
    "starter_of",
    "waiting",
]

Action = Literal["approve", "refuse", "resend", "arrived", "give-up", "replay"]

ACTIONS: Final[dict[str, tuple[Action, ...]]] = {
    "held": ("approve", "refuse"),
    "parked": ("resend", "arrived", "give-up"),
    "rejected": ("replay",),
    "expired": ("replay",),
}


def decide(
    tx: Transaction,
    flow_id: int,
    item: str,
    action: Action,
    *,
    actor: str,
    reason: str = "",
    false_alarm: bool = False,
) -> None:
    """Carry out a person's decision on one waiting item.

    Args:
        tx: Open transaction.
        flow_id: The flow.
        item: `Waiting.item`.
        action: One of `ACTIONS` for its kind.
        actor: Who decides.
        reason: Why, up to 500 characters; control characters are left out.
        false_alarm: The rules that hold it were wrong: counted for each of them.

    Raises:
        ConfigurationError: ``review.item``: no such item, or not that action;
            ``review.told-once``: nobody would tell what is to be replayed.
        Rejected: ``review.decided``: somebody was faster.
    """
    kind = {"h": "held", "p": "parked", "r": "rejected"}.get(item[:1], "")
    if kind == "held" and action == "replay" and _expired(tx, flow_id, item):
        kind = "expired"
    if false_alarm and (kind, action) != ("held", "approve"):
        raise ConfigurationError(
            f"{item}: only a held item that is approved can be a false alarm.",
            code="review.item",
        )
    if action not in ACTIONS.get(kind, ()):
        allowed = ", ".join(ACTIONS.get(kind, ())) or "none"
        raise ConfigurationError(
            f"{item}: {action!r} is not possible here (possible: {allowed}).",
            code="review.item",
        )
    _DECIDE[kind](tx, flow_id, item, action, actor)
    partitions.rouse(tx, flow_id)
    more = {"false_alarm": _wrong(tx, flow_id, item)} if false_alarm else {}
    said = printable(reason)
    record(tx, "decision", item=item, action=action, actor=actor, reason=said, **more)


def _wrong(tx: Transaction, flow_id: int, item: str) -> list[str]:
    """Count that the rules which held an item were wrong about it; their names."""
    found = tx.value(
        "SELECT rule FROM hold WHERE flow_id=? AND hold_id=?", flow_id, _number(item)
    )
    named = set(str(found or "").split(", "))
    rules = sorted(named & BUILT_IN.keys())  # "late", "owner": why, but no rules
    counts.add_false_alarms(tx, flow_id, rules)
    return rules


def _decide_hold(
    tx: Transaction, flow_id: int, item: str, action: Action, actor: str
) -> None:
    row = tx.one(
        "SELECT h.hold_id, h.parcel_id, h.decided, h.decided_by, h.reason, h.expires "
        "FROM hold h WHERE h.flow_id=? AND h.hold_id=?",
        flow_id,
        _number(item),
    )
    if row is None:
        raise _unknown(item)
    hold_id, parcel_id, decided, by, why, expires = row
    over = expires is not None and expires <= tx.now()  # and nobody has tidied up yet
    if decided == "expire" or (over and not decided and action == "approve"):
        raise Rejected(
            f"{item} has expired, unsent; `replay` lets the next pass ask anew.",
            code="review.decided",
        )
    if decided:
        raise Rejected(f"{item} was decided by {by} already.", code="review.decided")
    if action == "approve" and why == "ambiguous":
        raise ConfigurationError(
            f"{item}: several target records match; make them distinct (or remove the "
            "wrong one) and plan again, or refuse.",
            code="review.ambiguous",
        )
    run_id = tx.insert(
        "INSERT INTO run(flow_id, kind, state, auto, actor, created) "
        "VALUES(?, 'review', ?, 1, ?, ?)",
        flow_id,
        "applying" if action == "approve" else "cancelled",
        actor,
        tx.now(),
    )
    if action == "approve":
        _release(tx, flow_id, parcel_id)
    else:
        tx.run("UPDATE intent SET payload=NULL WHERE parcel_id=?", parcel_id)
    tx.run(
        "UPDATE parcel SET state=?, run_id=? WHERE parcel_id=? AND state=?",
        State.PLANNED if action == "approve" else State.CANCELLED,
        run_id,
        parcel_id,
        State.HELD,
    )
    if action == "approve":
        pending.follow_approved(tx, flow_id, parcel_id)
    tx.run(
        "UPDATE hold SET decided=?, decided_by=?, version=version+1 WHERE hold_id=?",
        action,
        actor,
        hold_id,
    )


def _expired(tx: Transaction, flow_id: int, item: str) -> bool:
    found = tx.value(
        "SELECT decided FROM hold WHERE flow_id=? AND hold_id=?", flow_id, _number(item)
    )
    return bool(found == "expire")


def _ask_again(
    tx: Transaction, flow_id: int, item: str, action: Action, actor: str
) -> None:
    """Forget that nobody decided in time: the record is judged as if it were new.

    What was pushed is taken from the inbox, as long as it is kept there. Where nobody
    would ever tell or look again, the item stays.
    """
    del action, actor
    k, link_id, side_id = tx.one(
        "SELECT h.k, i.link_id, f.pair_id*2+f.side FROM hold h "
        "JOIN flow f ON f.flow_id=h.flow_id "
        "LEFT JOIN intent i ON i.parcel_id=h.parcel_id AND i.k=h.k "
        "WHERE h.flow_id=? AND h.hold_id=?",
        flow_id,
        _number(item),
    )
    mark = marks.lookup(tx, side_id, [k]).get(k)
    link_id = link_id if mark is None else mark.link_id
    place = inbox.pushed(tx, flow_id, k)
    told = place is not None and inbox.tell_again(tx, flow_id, place, k)
    if not told and not flows.comes_again(tx, flow_id, link_id):
        raise ConfigurationError(
            f"{item}: its source told this once and cannot be asked for it, and what "
            "was told is not kept any more. Have it changed or sent again there; the "
            "item stays.",
            code="review.told-once",
        )
    tx.run("DELETE FROM hold WHERE flow_id=? AND hold_id=?", flow_id, _number(item))
    if not told and link_id is not None:
        again(tx, flow_id, [link_id], "replay")


def _release(tx: Transaction, flow_id: int, parcel_id: int) -> None:
    """What is approved rests on the record as it is known now.

    A newer change of the record would have replaced the held one, so the mark can only
    have moved without touching its content.
    """
    here = (
        "FROM mark m, flow f WHERE f.flow_id=? AND m.side_id=f.pair_id*2+f.side "
        "AND m.k=intent.k"
    )
    tx.run(
        f"UPDATE intent SET prev_fp=(SELECT m.fp {here}), "
        f"link_id=coalesce((SELECT m.link_id {here}), link_id) WHERE parcel_id=?",
        flow_id,
        flow_id,
        parcel_id,
    )


def starter_of(tx: Transaction, flow_id: int, item: str) -> str | None:
    """Who started the run that a held item belongs to; None for other items."""
    if not item.startswith("h"):
        return None
    actor = tx.value(
        "SELECT r.actor FROM hold h JOIN parcel p ON p.parcel_id=h.parcel_id "
        "JOIN run r ON r.run_id=p.run_id WHERE h.flow_id=? AND h.hold_id=?",
        flow_id,
        _number(item),
    )
    return None if actor is None else str(actor)


def _decide_parked(
    tx: Transaction, flow_id: int, item: str, action: Action, actor: str
) -> None:
    del actor
    parcel_id, _, pos = item[1:].partition(".")
    row = tx.one(
        "SELECT p.state, i.link_id, i.k, f.pair_id*2+f.side, i.op, f.side "
        "FROM parcel p JOIN intent i ON i.parcel_id=p.parcel_id "
        "JOIN flow f ON f.flow_id=p.flow_id "
        "WHERE p.flow_id=? AND p.parcel_id=? AND i.pos=? AND i.state IS NULL",
        flow_id,
        _number("p" + parcel_id),
        _number("p" + pos),
    )
    if row is None:
        raise _unknown(item)
    state, link_id, k, side_id, op, side = row
    new = {
        "resend": State.READY,
        "arrived": State.DONE,
        "give-up": State.CANCELLED,
    }[action]
    if new not in MOVES[State(state)]:
        raise ConfigurationError(
            f"{item}: {action!r} is not possible here (possible: resend, give-up).",
            code="review.item",
        )
    tx.run(
        "UPDATE parcel SET not_before=0 WHERE flow_id=? AND state=?",
        flow_id,
        State.PLANNED,
    )
    if new is State.READY:
        moved = tx.insert(
            "INSERT INTO parcel(flow_id, run_id, lane, phase, part, upto, state, n, "
            "attempt, doubt) "
            "SELECT flow_id, run_id, lane, phase, part, upto, ?, 1, attempt, doubt "
            "FROM parcel WHERE parcel_id=?",
            State.READY,
            parcel_id,
        )
        for table in ("intent", "open", "before"):
            tx.run(
                f"UPDATE {table} SET parcel_id=? WHERE parcel_id=? AND pos=?",
                moved,
                parcel_id,
                pos,
            )
        _emptied(tx, parcel_id)
        return
    tx.run(
        "UPDATE intent SET state=?, payload=NULL WHERE parcel_id=? AND pos=?",
        new,
        parcel_id,
        pos,
    )
    tx.run("DELETE FROM open WHERE link_id=? AND slot=0", link_id)
    _emptied(tx, parcel_id)
    if new is State.CANCELLED:
        marks.forget(tx, side_id, [k])
    elif op == "create":
        # It is there, but we do not know its id: the next pass looks for it. With its
        # mark forgotten, nothing that was judged without that knowledge is admitted.
        marks.forget(tx, side_id, [k])
        other = "a" if side else "b"
        tx.run(
            f"UPDATE link SET state=? WHERE link_id=? AND {other}_key IS NULL",
            LinkState.LIVE,
            link_id,
        )


def _emptied(tx: Transaction, parcel_id: str) -> None:
    """A parcel of which everything was decided is over: the janitor may take it."""
    tx.run(
        "UPDATE parcel SET state=? WHERE parcel_id=? AND NOT EXISTS (SELECT 1 "
        "FROM intent i WHERE i.parcel_id=parcel.parcel_id AND i.state IS NULL)",
        State.CANCELLED,
        int(parcel_id),
    )


def _replay(
    tx: Transaction, flow_id: int, item: str, action: Action, actor: str
) -> None:
    """Read the record again and judge it afresh, as if it had just changed.

    What was pushed is taken from the inbox, as long as it is kept there. An event that
    the adapter could not read at all is not: only its sender can tell it again.
    """
    del action, actor
    row = tx.one(
        "SELECT r.k, r.ref, r.location, f.pair_id*2+f.side FROM reject r "
        "JOIN flow f ON f.flow_id=r.flow_id WHERE r.flow_id=? AND r.reject_id=?",
        flow_id,
        _number(item),
    )
    if row is None:
        raise _unknown(item)
    k, ref, place, side_id = row
    if k is None and ref:
        k = key_hash(json.loads(ref)[0])
    told = k is not None and inbox.tell_again(tx, flow_id, place, k)
    mark = marks.lookup(tx, side_id, [k]).get(k) if k else None
    if mark is not None:
        marks.forget(tx, side_id, [k])
        if told:
            flows.next_round(tx, [mark.link_id])
        else:
            again(tx, flow_id, [mark.link_id], "replay")
    tx.run("DELETE FROM reject WHERE flow_id=? AND reject_id=?", flow_id, _number(item))


_DECIDE: Final = {
    "held": _decide_hold,
    "parked": _decide_parked,
    "rejected": _replay,
    "expired": _ask_again,
}


def _number(item: str) -> int:
    try:
        return int(item[1:])
    except ValueError:
        raise _unknown(item) from None


def _unknown(item: str) -> ConfigurationError:
    return ConfigurationError(
        f"No waiting item {item!r}; `moatbridge review` lists them.", code="review.item"
    )
