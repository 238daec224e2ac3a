"""What was approved is not undone by seeing the same record again, or a newer one."""

from __future__ import annotations

from moatbridge.ledger import review, waiting
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
