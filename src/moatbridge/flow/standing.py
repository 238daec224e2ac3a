"""A decision before it is sent, and after it was answered (design 0007).

Who decided is looked up again before delivery if that was more than ten minutes ago:
rights may have been taken away while the decision waited. What the post shows is always
looked at again (`moatbridge.flow.grounds`). What the system of record answers settles
the reply in the very transaction that settles the intent.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from moatbridge.config.answers import answers_of
from moatbridge.flow.answering import answer
from moatbridge.flow.grounds import Asked
from moatbridge.flow.identities import Known, account_of, look_up
from moatbridge.ledger import audit, flows, holds, replies
from moatbridge.ledger.states import State
from moatbridge.resilience.crash import crash_point

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from moatbridge.config import FlowConfig
    from moatbridge.flow.grounds import Grounds, Shown
    from moatbridge.flow.route import Route
    from moatbridge.flow.writeback import Writeback
    from moatbridge.ledger import Ledger, Transaction
    from moatbridge.ledger.parcels import Item
    from moatbridge.ledger.replies import Reply
    from moatbridge.ledger.settlement import Result

DECIDED: Final = "decision"
"""Why a record is read again after a decision about it: sent only if it changed."""

FRESH: Final = 600.0
"""Seconds for which a look-up of a person holds."""

CHANGED: Final = "changed"

_KINDS: Final = ("conflict", "rights", "gone")
_LOOK: Final = frozenset({f"refused.{CHANGED}", "refused.conflict"})
_NOTES: Final = ("read_at", "published", "who")


def recheck(
    route: Route, ledger: Ledger, items: Sequence[Item], grounds: Grounds
) -> tuple[dict[int, str], Sequence[Item]]:
    """Look once more, right before they are sent, at what decisions rest on.

    Args:
        route: The flow; nothing is asked if it does not decide.
        ledger: Its ledger.
        items: Planned, or admitted and certainly not applied so far.
        grounds: Looks at people, posts and records.

    Returns:
        Position -> why, of those that are not sent; and the items, planned ones with
        the version of the record that the post shows now.

    Raises:
        NotApplied: A system cannot be asked now; nothing is sent without it.
    """
    if route.writeback is None or not items:
        return {}, items
    with ledger.read() as tx:
        taken = replies.known(tx, route.row.flow_id, [item.k for item in items])
    why = _no_longer(route.writeback, items, taken, grounds, ledger.now())
    there = [item for item in items if item.k in taken]
    asked = [Asked(taken[i.k].post, _notes(i)["published"]) for i in there]
    shown = {i.pos: s for i, s in zip(there, grounds.shown(asked), strict=True)}
    for item in items:
        if item.pos not in shown or shown[item.pos].changed:
            why.setdefault(item.pos, CHANGED)
    return why, [_renewed(item, shown.get(item.pos)) for item in items]


def notes(payload: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept beside a decision's frozen bytes, for `recheck`."""
    return {name: payload[name] for name in _NOTES if name in payload}


def _no_longer(
    writeback: Writeback,
    items: Sequence[Item],
    taken: Mapping[bytes, Reply],
    grounds: Grounds,
    now: float,
) -> dict[int, str]:
    """Decisions whose person may no longer decide."""
    old = [item for item in items if _notes(item)["read_at"] + FRESH < now]
    accounts = {item.pos: _account(writeback, taken.get(item.k)) for item in old}
    wanted = [account for account in accounts.values() if account]
    people = look_up(writeback, wanted, grounds.directory) if wanted else {}
    found: dict[int, str] = {}
    for item in old:
        who = people.get(accounts[item.pos] or "", "unmapped")
        if not isinstance(who, Known):
            found[item.pos] = who
        elif [who.key, who.identity] != _notes(item)["who"]:
            found[item.pos] = "unmapped"
    return found


def _renewed(item: Item, shown: Shown | None) -> Item:
    payload = json.loads(item.payload)
    entity = payload.get("entity")
    if entity is None or shown is None or "version" not in entity:
        return item
    entity["version"] = shown.version
    return item._replace(payload=json.dumps(payload, ensure_ascii=False))


def refuse(
    tx: Transaction, route: Route, items: Sequence[Item], why: dict[int, str]
) -> None:
    """Turn decisions down before they were sent; part of transaction B."""
    if route.writeback is None or not why:
        return
    rows = [
        (item.k, item.source[0], why[item.pos]) for item in items if item.pos in why
    ]
    _turned_down(tx, route.row.flow_id, route.config, rows)
    known = replies.known(tx, route.row.flow_id, [k for k, _key, _why in rows])
    look_again(tx, route, known.values())


def look_again(tx: Transaction, route: Route, taken: Iterable[Reply]) -> None:
    """Whoever was told to look again finds the post as it should be."""
    if route.writeback is None:
        return
    posts = sorted({reply.post for reply in taken if reply.outcome in _LOOK})
    flow_id = route.writeback.posts.flow_id
    flows.ask_again(tx, [(flow_id, link_id) for link_id in posts], DECIDED)


def withdrawn(
    tx: Transaction, route: Route, items: Sequence[Item], positions: Sequence[int]
) -> None:
    """The reply was deleted before its decision was sent; part of transaction B."""
    if route.writeback is None:
        return
    for item in items:
        if item.pos in positions:
            replies.turn(tx, route.row.flow_id, item.k, "withdrawn")


def answered(tx: Transaction, route: Route, results: Sequence[Result]) -> bool:
    """What the system of record said; part of transaction C.

    Returns:
        Whether another flow has work now: the post to edit, or an answer to give.
    """
    writeback = route.writeback
    if writeback is None:
        return False
    done = [r.item for r in results if r.state is State.DONE]
    refused = [r for r in results if r.state is State.REJECTED]
    taken = replies.known(tx, route.row.flow_id, [item.k for item in done])
    posts = sorted({reply.post for reply in taken.values()})
    flow_id = writeback.posts.flow_id
    flows.ask_again(tx, [(flow_id, link_id) for link_id in posts], DECIDED)
    for result in (r for r in results if r.state in {State.DONE, State.REJECTED}):
        audit.record(
            tx,
            "decided",
            flow=route.name,
            link=result.item.link_id,
            post=taken[result.item.k].post if result.item.k in taken else None,
            outcome=result.state.name,
            rule=result.code,
        )
    rows = [(r.item.k, r.item.source[0], _kind(r.code)) for r in refused]
    _turned_down(tx, route.row.flow_id, route.config, rows)
    known = replies.known(tx, route.row.flow_id, [r.item.k for r in refused])
    look_again(tx, route, known.values())
    crash_point("decision.answered")
    return bool(posts or rows)


def wake_answers(tx: Transaction, ledger: Ledger, route: Route) -> None:
    """Answers do not wait for the next poll."""
    if route.writeback is None:
        return
    flow_id = flows.id_of(tx, ledger.scope, route.writeback.answers)
    if flow_id is not None:
        ledger.leases.wake(tx, flow_id, "live")


def not_approved(
    tx: Transaction,
    ledger: Ledger,
    flow: str,
    settings: FlowConfig,
    parcels: Sequence[int],
) -> None:
    """Held decisions that a person refused, or nobody approved: askers are told.

    Part of the transaction that ends the waiting; needs no system. Does nothing for
    flows that do not decide.

    Args:
        tx: Open transaction.
        ledger: The ledger.
        flow: Name of the flow that decides.
        settings: Its settings.
        parcels: Parcels that were held.
    """
    flow_id = flows.id_of(tx, ledger.scope, flow)
    if settings.decide is None or flow_id is None or not parcels:
        return
    rows = [(k, key, "not-approved") for k, key in holds.records_of(tx, parcels)]
    _turned_down(tx, flow_id, settings, rows)
    answers = flows.id_of(tx, ledger.scope, answers_of(flow))
    if answers is not None:
        ledger.leases.wake(tx, answers, "live")


def _turned_down(
    tx: Transaction,
    flow_id: int,
    settings: FlowConfig,
    rows: Sequence[tuple[bytes, str, str]],
) -> None:
    """Rows of (reply's key hash, its key, why)."""
    assert settings.decide is not None  # noqa: S101 - the callers looked
    taken = replies.known(tx, flow_id, [k for k, _key, _why in rows])
    for k, key, why in rows:
        replies.turn(tx, flow_id, k, f"refused.{why}")
        if k in taken and taken[k].asker != "{}":
            post = answer(
                settings.decide,
                k=k,
                key=key,
                replies_of=settings.source,
                asker=taken[k].asker,
                why=why,
            )
            replies.give(tx, flow_id, [post])


def _kind(code: str) -> str:
    """``conflict``, ``rights`` or ``data``: what people are told."""
    for kind in _KINDS:
        if kind in code.split("."):
            return "conflict" if kind == "gone" else kind
    return "data"


def _account(writeback: Writeback, reply: Reply | None) -> str | None:
    return account_of(writeback, json.loads(reply.asker)) if reply else None


def _notes(item: Item) -> dict[str, Any]:
    found = notes(json.loads(item.payload))
    return {"read_at": 0.0, "published": None, "who": None, **found}
