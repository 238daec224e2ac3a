"""What a maintainer's review found: each was possible once."""

from __future__ import annotations

import pytest

from flow_world import World
from moatbridge.errors import NotApplied
from moatbridge.flow import run_slice
from moatbridge.run import LocalRunner

PAIR = {
    "out": {"from": "hr/people", "to": "social/people", "match": ["userName"]},
    "back": {
        "from": "social/people",
        "to": "hr/people",
        "owner": {"*": "hr/people", "phoneNumbers": "social/people"},
    },
}


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path, count=12)
    yield made
    made.bridge.close()


def test_adopting_an_equal_account_clears_nothing_in_the_system_of_record(tmp_path):
    world = World(
        tmp_path, count=3, flows={name: dict(flow) for name, flow in PAIR.items()}
    )
    for uid, row in world.here().items():
        world.social.put("people", [{**row, "phone": None, "ext": uid, "active": True}])
    world.apply("out")
    world.apply("back")
    world.bridge.run("back")
    assert [row["phone"] for row in world.here().values()] == ["1", "1", "1"]
    world.bridge.close()


def test_a_removed_record_that_comes_back_is_made_again(tmp_path):
    flow = {
        "from": "hr/people",
        "to": "social/people",
        "deletes": "remove",
        "i_know": "deletes are final",
    }
    world = World(tmp_path, count=12, flows={"people": flow})
    world.apply()
    world.remove(3)
    world.bridge.run("people")
    assert "u0003" not in world.there()
    world.put(3)
    world.bridge.run("people")
    assert "u0003" in world.there()
    assert world.social.doubled() == []
    world.bridge.close()


def test_a_leaver_enabled_by_hand_who_returns_and_leaves_again_is_noticed(world):
    world.apply()
    world.remove(3)
    world.bridge.run("people")
    world.edit_there("u0003", active=True)
    world.put(3)
    world.bridge.run("people")
    world.remove(3)
    world.bridge.run("people")
    assert world.there()["u0003"]["active"] is False


def test_a_flow_that_gets_another_target_begins_anew(tmp_path):
    world = World(tmp_path, count=5)
    world.apply()
    world.flows = {"people": {"from": "hr/people", "to": "hr2/people"}}
    config = world.config()
    config["systems"]["hr2"] = config["systems"]["social"]
    config["streams"]["hr2/people"] = {
        "translator": dict(config["streams"]["social/people"]["translator"])
    }
    del config["streams"]["hr2/people"]["translator"]["fields"]["enterprise.manager"]
    world.config = lambda: config
    world.reopen()
    assert world.bridge.plan("people").first_run
    world.bridge.close()


def test_what_waits_for_a_person_is_over_when_the_record_is_as_it_was(tmp_path):
    world = World(
        tmp_path, count=12, extra={"guard": {"field_change": 0, "updates": 50}}
    )
    world.apply()
    with world.bridge.ledger.write() as tx:
        tx.run("UPDATE partition SET not_before=0")
    world.put(3, family="Evil")
    run_slice(world.bridge, "people", "live", owner="test")
    assert [w.kind for w in world.bridge.review("people")] == ["held"]
    world.put(3)
    world.bridge.plan("people")
    assert world.bridge.review("people") == []
    world.bridge.close()


def test_a_live_create_of_somebody_who_is_gone_again_is_not_sent(world):
    world.apply()
    with world.bridge.ledger.write() as tx:
        tx.run("UPDATE partition SET not_before=0")
    world.put(50)
    run_slice(world.bridge, "people", "live", owner="test")
    world.remove(50)
    run_slice(world.bridge, "people", "lane/0", owner="test")
    assert "u0050" not in world.there()


def test_replays_of_vanished_records_remove_nobody_unjudged(world):
    world.apply()
    with world.bridge.ledger.write() as tx:
        tx.run(
            "INSERT INTO again(flow_id, link_id, reason) SELECT 1, link_id, 'replay' FROM link"
        )
    world.put(99)
    world.remove(*range(8))
    plan = world.bridge.plan("people")
    world.bridge.apply(plan, actor="second@example.org", confirm=plan.verdict.count)
    assert plan.verdict.decision == "approve"
    gone = [r for r in world.there().values() if r["active"] is False]
    assert len(gone) == plan.counts["disable"]


def test_a_pass_that_ends_without_being_complete_is_an_error(world):
    def cut(self, stream, partition, after):
        yield from list(type(self).whole(self, stream, partition, after))[:-1]

    from moatbridge.testing import MemoryAdapter

    MemoryAdapter.whole = MemoryAdapter.scan
    world.hr.set("people", page=2)
    try:
        MemoryAdapter.scan = cut
        with pytest.raises(NotApplied) as caught:
            world.bridge.plan("people")
    finally:
        MemoryAdapter.scan = MemoryAdapter.whole
        del MemoryAdapter.whole
    assert caught.value.code == "source.incomplete"


def test_serving_finishes_a_pass_and_stops(world):
    world.apply()
    world.put(3, family="Served")
    runner = LocalRunner(world.bridge)
    runner.start(["people"])
    try:
        for _ in range(400):
            if world.there()["u0003"]["family"] == "Served":
                break
            runner._stop.wait(0.02)
    finally:
        runner.stop()
    assert world.there()["u0003"]["family"] == "Served"


def test_joining_a_pass_that_a_person_looks_at_never_applies_it(world):
    from moatbridge.flow.control import request_pass

    route = world.bridge.route("people")
    request_pass(world.bridge.ledger, route, auto=False, actor="ada")
    run_id = request_pass(world.bridge.ledger, route, auto=True, actor="timer")
    with world.bridge.ledger.read() as tx:
        assert tx.value("SELECT auto FROM run WHERE run_id=?", run_id) == 0
