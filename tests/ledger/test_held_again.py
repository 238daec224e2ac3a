"""What was approved is not undone by seeing the same record again, or a newer one."""

from __future__ import annotations

import json

import pytest

from moatbridge.ledger import parcels, review, waiting
from moatbridge.ledger.staging import Stager
from moatbridge.ledger.states import State

HELD = ("sensitive", "test", "")
A, B = b"a" * 16, b"b" * 16


def approve(ground):
    with ground.ledger.write() as tx:
        [one] = [w for w in waiting.waiting(tx, ground.row.flow_id) if w.kind == "held"]
        review.decide(tx, ground.row.flow_id, one.item, "approve", actor="p")


def states(ground):
    rows = ground.all("SELECT state, parcel_id FROM parcel ORDER BY parcel_id")
    return [State(state).name for state, _parcel in rows]


def test_approved_and_seen_again_before_it_left_is_not_asked_for_again(ground):
    ground.stage(ground.item("u1", fp=A, hold=HELD))
    approve(ground)
    ground.stage(ground.item("u1", fp=A, hold=HELD))
    assert states(ground) == ["PLANNED"]
    assert ground.admit(ground.next()).ready == [0]


def test_approved_but_overtaken_before_it_left_asks_about_the_newer_one(ground):
    ground.stage(ground.item("u1", fp=A, hold=HELD))
    approve(ground)
    ground.stage(ground.item("u1", fp=B, hold=HELD))
    assert states(ground) == ["CANCELLED", "HELD"]
    approve(ground)
    parcel = ground.next()
    assert [item.fp for item in ground.items(parcel)] == [B]
    assert ground.admit(parcel).ready == [0]


def test_approved_and_on_its_way_keeps_its_bytes_when_a_newer_one_is_held(ground):
    ground.stage(ground.item("u1", fp=A, hold=HELD))
    approve(ground)
    parcel = ground.next()
    assert ground.admit(parcel).ready == [0]
    ground.stage(ground.item("u1", fp=B, link_id=1, prev_fp=A, op="update", hold=HELD))
    assert states(ground) == ["IN_FLIGHT", "HELD"]
    [flying] = ground.items(parcel)
    assert flying.payload is not None, "a repeat would have nothing to send"


def tell(ground, upto, *items):
    with ground.ledger.write() as tx:
        Stager(
            tx, flow_id=ground.row.flow_id, run_id=ground.run_id,
            seed=ground.ledger.seed("people", "srv"), part="live", upto=upto, size=500,
        ).stage(items)  # fmt: skip


def moved_by_approval(ground):
    """A partial change is agreed to while an older one still waits: it goes behind it."""
    tell(ground, 1, ground.item("u1", fp=b"0" * 16))
    tell(ground, 2, partial(ground, A))
    approve(ground)


def moved_by_waiting(ground):
    """It cannot leave yet, so it travels on in a parcel of its own."""
    tell(ground, 2, partial(ground, A))
    approve(ground)
    parcel = ground.next()
    with ground.ledger.write() as tx:
        parcels.postpone(tx, parcel, [0], not_before=0.0)
        tx.run("UPDATE parcel SET state=13 WHERE parcel_id=?", parcel.parcel_id)


def partial(ground, fp):
    payload = json.dumps({"entity": {"userName": "x"}, "partial": True})
    return ground.item("u1", fp=fp, hold=HELD, payload=payload)


def planned(ground, fp):
    return ground.value(
        "SELECT count(*) FROM parcel p JOIN intent i ON i.parcel_id=p.parcel_id "
        "WHERE i.out_fp=? AND i.state IS NULL AND p.state=?",
        fp,
        State.PLANNED,
    )


@pytest.mark.parametrize("move", [moved_by_approval, moved_by_waiting])
def test_an_approval_follows_what_was_agreed_to_into_another_parcel(ground, move):
    """Found in review: it was sent beside what took its place, or was asked for again."""
    move(ground)
    tell(ground, 3, partial(ground, A))
    assert ground.all("SELECT hold_id, decided FROM hold") == [(1, "approve")]
    assert planned(ground, A) == 1
    tell(ground, 4, partial(ground, B))
    assert ground.all("SELECT hold_id, decided FROM hold") == [(2, None)]
    assert planned(ground, A) == 0
