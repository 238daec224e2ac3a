"""When what waits is tried again: on both databases, without any adapter."""

from __future__ import annotations

from moatbridge.ledger import parcels
from moatbridge.ledger.states import State
from moatbridge.ledger.tries import earliest, next_try


def found(ground):
    with ground.ledger.read() as tx:
        flow, run = ground.row.flow_id, ground.run_id
        return next_try(tx, flow), earliest(tx, flow, run), tx.now()


def lane(ground, **columns):
    sets = ", ".join(f"{name}=?" for name in columns)
    with ground.ledger.write() as tx:
        tx.run(f"UPDATE partition SET {sets} WHERE part='lane/0'", *columns.values())


def test_nothing_waits_where_nothing_is_staged(ground):
    assert found(ground)[:2] == (None, None)


def test_what_is_due_is_due_now_and_a_lane_that_rests_holds_it_back(ground):
    ground.stage(ground.item("u1"), ground.item("u2"))
    waits, at, now = found(ground)
    assert (waits.changes, waits.seconds, waits.blocked) == (2, 0.0, 0)
    assert at <= now
    lane(ground, not_before=now + 600, error="quota.wait")
    waits, at, now = found(ground)
    assert (waits.changes, waits.error) == (2, "quota.wait")
    assert 500 < waits.seconds <= 600
    assert at == waits.at


def test_the_earliest_of_several_counts(ground):
    ground.stage(ground.item("u1"), ground.item("u2"), size=1)
    now = found(ground)[2]
    with ground.ledger.write() as tx:
        tx.run("UPDATE parcel SET not_before=?", now + 3000)
        first = tx.value("SELECT min(parcel_id) FROM parcel")
        tx.run("UPDATE parcel SET not_before=? WHERE parcel_id=?", now + 60, first)
    waits, at, _ = found(ground)
    assert waits.changes == 2
    assert waits.at == at == now + 60


def test_a_blocked_lane_is_due_never(ground):
    ground.stage(ground.item("u1"))
    lane(ground, state="blocked", error="social.broke")
    waits, _, _ = found(ground)
    assert (waits.changes, waits.blocked, waits.at) == (1, 1, None)


def test_what_is_over_or_waits_for_a_person_does_not_count(ground):
    ground.stage(ground.item("u1"))
    parcel = ground.next()
    with ground.ledger.write() as tx:
        parcels.move(tx, parcel, State.HELD)
    assert found(ground)[:2] == (None, None)
