"""Admission is a compare-and-set on what was observed; one slot a link (delivery 17, 25, 38)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.ground import Ground
from moatbridge.errors import LeaseLost
from moatbridge.ledger import marks, parcels, review, settlement
from moatbridge.ledger.keys import key_hash
from moatbridge.ledger.settlement import Policy, Result
from moatbridge.ledger.states import State

A, B, C = b"a" * 16, b"b" * 16, b"c" * 16


def settle(ground, parcel, state=State.DONE, *, policy=None, lease=None, **more):
    parcel = parcel._replace(state=State.IN_FLIGHT)
    results = [Result(item, state, **more) for item in ground.items(parcel)]
    with ground.ledger.step(lease or ground.lease) as tx:
        settlement.settle(
            tx, flow_id=ground.row.flow_id, pair_id=ground.row.pair_id, side=ground.row.side,
            parcel=parcel, results=results, policy=policy or Policy(),
        )  # fmt: skip


def mark(ground, key="u1"):
    with ground.ledger.read() as tx:
        return marks.lookup(tx, ground.row.source_side, [key_hash(key)]).get(
            key_hash(key)
        )


def deliver(ground, *items):
    ground.stage(*items)
    parcel = ground.next()
    ground.admit(parcel)
    settle(ground, parcel, target=None)


def states(ground):
    return [
        State(s).name
        for (s,) in ground.all(
            "SELECT coalesce(i.state, p.state) FROM intent i JOIN parcel p USING(parcel_id) ORDER BY parcel_id, pos"
        )
    ]


def test_staging_touches_no_mark_link_or_open_row(ground):
    ground.stage(ground.item("u1"))
    assert [
        ground.value(f"SELECT count(*) FROM {t}") for t in ("mark", "link", "open")
    ] == [0, 0, 0]


def test_admission_writes_link_mark_and_slot_and_puts_in_flight(ground):
    ground.stage(ground.item("u1", fp=A), ground.item("u2", fp=B))
    parcel = ground.next()
    admitted = ground.admit(parcel)
    assert admitted.ready == [0, 1]
    assert mark(ground).fp == A
    assert ground.all("SELECT link_id, slot FROM open") == [(1, 0), (2, 0)]
    assert states(ground) == ["IN_FLIGHT"] * 2
    assert ground.value("SELECT fence FROM parcel") == ground.lease.fence


def test_nothing_to_send_writes_the_mark_and_is_done(ground):
    ground.stage(ground.item("u1", fp=A))
    assert ground.admit(ground.next(), send=False).noop == [0]
    assert mark(ground).fp == A
    assert (states(ground), ground.value("SELECT count(*) FROM open")) == (["DONE"], 0)


def test_a_newer_observation_wins_and_the_older_is_asked_for_again(ground):
    deliver(ground, ground.item("u1", fp=A))
    ground.stage(ground.item("u1", fp=B, link_id=1, prev_fp=A, op="update"))
    older = ground.next()
    with ground.ledger.write() as tx:
        marks.put(tx, ground.row.source_side, [(key_hash("u1"), C, C, 1)])
    admitted = ground.admit(older)
    assert admitted.again == [1]
    assert mark(ground).fp == C
    assert ground.all("SELECT link_id, reason FROM again") == [(1, "newer")]


def test_the_same_content_delivered_meanwhile_is_only_cancelled(ground):
    deliver(ground, ground.item("u1", fp=A))
    ground.stage(ground.item("u1", fp=B, link_id=1, prev_fp=A, op="update"))
    with ground.ledger.write() as tx:
        marks.put(tx, ground.row.source_side, [(key_hash("u1"), B, B, 1)])
    assert ground.admit(ground.next()).again == []
    assert states(ground) == ["DONE", "CANCELLED"]


def test_a_record_that_appeared_twice_keeps_the_earlier(ground):
    ground.stage(ground.item("u1", fp=A), ground.item("u1", fp=B))
    admitted = ground.admit(ground.next())
    assert admitted.dropped == [(1, State.REJECTED, "duplicate-key")]
    assert mark(ground).fp == A


def test_a_create_planned_by_two_passes_happens_once(ground):
    ground.stage(ground.item("u1", fp=A))
    ground.stage(ground.item("u1", fp=A))
    first = ground.next()
    ground.admit(first)
    settle(ground, first)
    ground.admit(ground.next())
    assert states(ground) == ["DONE", "CANCELLED"]
    assert ground.value("SELECT count(*) FROM link") == 1


@pytest.mark.parametrize("state", [State.UNKNOWN, State.PARKED, State.READY])
def test_a_newer_one_waits_while_the_older_may_touch_the_target(ground, state):
    ground.stage(ground.item("u1", fp=A))
    parcel = ground.next()
    ground.admit(parcel)
    settle(
        ground,
        parcel,
        State.UNKNOWN if state is State.PARKED else state,
        policy=Policy(unknown=State.PARKED) if state is State.PARKED else None,
    )
    ground.stage(ground.item("u1", fp=B, link_id=1, prev_fp=A, op="update"))
    newer = next(p for p in planned(ground))
    assert ground.admit(newer).waiting == [0]
    assert states(ground)[-1] == "PLANNED"
    assert ground.value("SELECT count(*) FROM open") == 1
    assert mark(ground).fp == A


def planned(ground):
    rows = ground.all("SELECT parcel_id FROM parcel WHERE state=0")
    with ground.ledger.read() as tx:
        for (parcel_id,) in rows:
            yield parcels._parcel(
                tx.one(
                    f"SELECT {parcels._PARCEL} FROM parcel WHERE parcel_id=?", parcel_id
                )
            )


def test_a_newer_one_replaces_one_that_was_certainly_not_applied(ground):
    ground.stage(ground.item("u1", fp=A))
    parcel = ground.next()
    ground.admit(parcel)
    settle(ground, parcel, State.RETRY)
    ground.stage(ground.item("u1", fp=B, link_id=1, prev_fp=A))
    assert ground.admit(next(planned(ground))).ready == [0]
    assert sorted(states(ground)) == ["IN_FLIGHT", "SUPERSEDED"]


def test_a_link_rests_after_doubt_unless_writes_are_conditional(ground):
    for key, conditional in (("u1", False), ("u2", True)):
        ground.stage(ground.item(key, fp=A))
        parcel = ground.next()
        ground.admit(parcel)
        settle(
            ground,
            parcel,
            State.UNKNOWN,
            policy=Policy(unknown=State.READY, quiet=60.0),
        )
        with ground.ledger.write() as tx:  # resolved meanwhile: only the rest is left
            tx.run("DELETE FROM open")
            tx.run("UPDATE parcel SET state=10")
        link = ground.value("SELECT max(link_id) FROM link")
        ground.stage(ground.item(key, fp=B, link_id=link, prev_fp=A))
        admitted = ground.admit(next(planned(ground)), conditional=conditional)
        assert bool(admitted.ready) is conditional
        with ground.ledger.write() as tx:
            tx.run("UPDATE parcel SET state=13 WHERE state<10")


def test_a_lost_lease_admits_nothing(ground):
    ground.stage(ground.item("u1"))
    parcel = ground.next()
    ground.expire()
    ground.claim(owner="thief")
    with pytest.raises(LeaseLost):
        ground.admit(parcel)
    assert (states(ground), mark(ground)) == (["PLANNED"], None)


def test_a_lost_lease_settles_nothing(ground):
    ground.stage(ground.item("u1"))
    parcel = ground.next()
    ground.admit(parcel)
    ground.expire()
    ground.claim(owner="thief")
    with pytest.raises(LeaseLost):
        settle(ground, parcel)
    assert states(ground) == ["IN_FLIGHT"]
    assert ground.value("SELECT count(*) FROM open") == 1


def test_what_leaves_a_parcel_keeps_key_and_order(ground):
    ground.stage(*(ground.item(f"u{n}") for n in range(6)))
    parcel = ground.next()
    keys = [item.key for item in ground.items(parcel)]
    ground.admit(parcel)
    flying = parcel._replace(state=State.IN_FLIGHT)
    kinds = [
        State.DONE,
        State.UNKNOWN,
        State.RETRY,
        State.UNKNOWN,
        State.READY,
        State.REJECTED,
    ]
    results = [
        Result(i, s, "x.data", call=i.pos // 2)
        for i, s in zip(ground.items(parcel), kinds, strict=True)
    ]
    with ground.ledger.step(ground.lease) as tx:
        settlement.settle(
            tx,
            flow_id=1,
            pair_id=1,
            side=0,
            parcel=flying,
            results=results,
            policy=Policy(),
        )
    rows = ground.all(
        "SELECT i.key, coalesce(i.state, p.state), i.parcel_id, i.pos FROM intent i JOIN parcel p USING(parcel_id)"
    )
    found = {key: (State(state), parcel_id, pos) for key, state, parcel_id, pos in rows}
    assert [found[k][0] for k in keys] == kinds
    assert [found[k][2] for k in keys] == list(range(6))
    assert found[keys[1]][1] != found[keys[3]][1], (
        "unknown ones stay apart, call by call"
    )
    assert ground.value("SELECT count(*) FROM open") == 4


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    st.lists(st.sampled_from(["change", "live", "read", "stage", "admit"]), max_size=25)
)
def test_whatever_overtakes_whatever_the_newest_observation_is_admitted(
    tmp_path_factory, steps
):
    """Delivery 38b alone: a planned intent whose mark moved is never admitted."""
    ground = Ground(tmp_path_factory.mktemp("race"), durability="normal")
    deliver(ground, ground.item("u1", fp=bytes(16)))
    version, read, admitted = 0, [], [0]

    def admit_all():
        for parcel in planned(ground):
            with ground.ledger.read() as tx:
                item = parcels.items(tx, parcel.parcel_id)[0]
            if ground.admit(parcel).ready:
                admitted.append(int.from_bytes(item.fp, "big"))
                assert item.prev_fp == admitted[-2].to_bytes(16, "big")
                settle(ground, parcel)

    def stage(value, seen):
        ground.stage(
            ground.item(
                "u1", fp=value.to_bytes(16, "big"), link_id=1, prev_fp=seen, op="update"
            )
        )

    for step in steps:
        now = mark(ground).fp
        if step == "change":
            version += 1
        elif step == "read":
            read.append(version)
        elif (
            step == "stage"
            and read
            and (value := read.pop(0)).to_bytes(16, "big") != now
        ):
            stage(value, now)
        elif step == "live" and version.to_bytes(16, "big") != now:
            stage(version, now)
        elif step == "admit":
            admit_all()
    admit_all()
    assert mark(ground).fp == admitted[-1].to_bytes(16, "big")
    ground.close()


def test_what_waited_for_a_person_is_superseded_when_a_newer_state_goes(ground):
    """Found by the stateful test: the held item stayed, though the record had arrived."""
    deliver(ground, ground.item("u1", fp=A))
    ground.stage(
        ground.item(
            "u1", fp=B, link_id=1, prev_fp=A, op="update", hold=("limit", "updates", "")
        )
    )
    ground.stage(ground.item("u2", fp=B, hold=("limit", "creates", "")))
    ground.stage(ground.item("u1", fp=C, link_id=1, prev_fp=A, op="update"))
    ground.admit(next(planned(ground)))
    assert states(ground) == ["DONE", "SUPERSEDED", "HELD", "IN_FLIGHT"]
    assert ground.value("SELECT count(*) FROM hold") == 1


def test_an_approved_item_does_not_supersede_itself(ground):
    ground.stage(ground.item("u1", fp=A, hold=("limit", "creates", "")))
    with ground.ledger.write() as tx:
        review.decide(tx, ground.row.flow_id, "h1", "approve", actor="ada")
    assert ground.admit(ground.next()).ready == [0]
    assert states(ground) == ["IN_FLIGHT"]


def test_many_records_of_a_side_of_which_nothing_is_known_are_not_looked_up(ground):
    ks = [key_hash(f"u{number}") for number in range(200)]
    side = ground.row.source_side
    with ground.ledger.write() as tx:
        assert marks.lookup(tx, side, ks) == {}
        marks.put(tx, side, [(ks[150], b"f" * 16, b"o" * 16, 7)])
        assert marks.lookup(tx, side, ks) == {ks[150]: (b"f" * 16, b"o" * 16, 7)}
        assert marks.lookup(tx, side ^ 1, ks) == {}
