"""Rows of what transaction B holds, on both databases (guard 34)."""

from __future__ import annotations

import json

import pytest

from moatbridge.ledger import flows, holds, waiting
from moatbridge.ledger.states import State

A, B = b"a" * 16, b"b" * 16
CONFLICT = ("conflict", "owner")
LONG = 3600.0


def held_late(ground, fp=A, *, says="there", once=False, read=1):
    """Stage a record, and hold it in transaction B; the rows of its holds."""
    payload = json.dumps({"entity": {"userName": "x"}, "adopt": ["t1", None, read]})
    ground.stage(ground.item("u1", fp=fp, payload=payload))
    shown = json.dumps({**json.loads(payload), "before": {"title": says}})
    flow_id, parcel = ground.row.flow_id, ground.next()
    with ground.ledger.write() as tx:
        holds.hold_planned(
            tx, flow_id, parcel, 0, *CONFLICT, shown, "title", LONG, once=once
        )
        tx.run("UPDATE parcel SET state=13 WHERE parcel_id=?", parcel.parcel_id)
    return rows(ground)


def rows(ground):
    return ground.all("SELECT hold_id, created, expires, decided FROM hold")


def over(ground):
    with ground.ledger.write() as tx:
        holds.expire_holds(tx, ground.row.flow_id, older=LONG, lasting=())
        tx.run("UPDATE hold SET expires=? WHERE decided IS NULL", tx.now() - 1)
        holds.expire_holds(tx, ground.row.flow_id, older=LONG, lasting=())


def listed(ground):
    with ground.ledger.read() as tx:
        return [each.item for each in waiting.waiting(tx, ground.row.flow_id)]


def test_the_same_content_keeps_its_row_whatever_was_read_of_the_other_record(ground):
    first = held_late(ground)
    assert held_late(ground, read=2) == first
    assert listed(ground) == [f"h{first[0][0]}"]
    states = ground.all(
        "SELECT p.state FROM parcel p JOIN intent i ON i.parcel_id=p.parcel_id "
        "ORDER BY p.parcel_id"
    )
    assert [State(s) for (s,) in states] == [State.SUPERSEDED, State.HELD]


@pytest.mark.parametrize("other", [{"fp": B}, {"says": "elsewhere"}])
@pytest.mark.parametrize("expired", [False, True])
def test_other_content_is_another_item(ground, other, expired):
    [first] = held_late(ground)
    if expired:
        over(ground)
    [second] = held_late(ground, **other)
    assert second[0] != first[0]
    assert second[3] is None
    assert listed(ground) == [f"h{second[0]}"]


def test_what_expired_stays_so_unless_it_was_told_once_and_is_told_again(ground):
    [first] = held_late(ground)
    over(ground)
    assert [row[::3] for row in held_late(ground)] == [(first[0], "expire")]
    assert listed(ground) == []
    [again] = held_late(ground, once=True)
    assert again[0] != first[0]
    assert listed(ground) == [f"h{again[0]}"]


def test_what_is_listed_no_longer_is_asked_anew(ground):
    [first] = held_late(ground)
    over(ground)
    with ground.ledger.write() as tx:
        tx.run("UPDATE hold SET expires=expires-?", waiting.LISTED)
    assert held_late(ground)[0][0] != first[0]


def test_only_what_is_scanned_or_linked_and_can_be_fetched_comes_again(ground):
    flow_id = ground.row.flow_id
    with ground.ledger.write() as tx:

        def comes():
            return [flows.comes_again(tx, flow_id, link) for link in (None, 7)]

        assert comes() == [False, False]
        flows.note_fetches(tx, flow_id, fetches=True)
        assert comes() == [False, True]
        flows.note_fetches(tx, flow_id, fetches=False)
        assert comes() == [False, False]
        ground.ledger.leases.add(tx, flow_id, "g1/all", "scan")
        assert comes() == [True, True]
