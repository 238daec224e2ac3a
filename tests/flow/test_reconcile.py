"""Reconcile: what somebody did at the target is found, named and repaired; nothing else is (delivery 54)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flow.reconcile_world import add_there, look, remove_there, repaired, settled
from flow.stillness import OBJECT, StillWorld
from flow_world import FIELDS
from moatbridge.changes import Batch
from moatbridge.errors import ConfigurationError, NotApplied
from moatbridge.resilience import crash
from moatbridge.testing import MemoryAdapter


def test_nothing_diverges_after_a_run(worlds):
    world = settled(worlds)
    found = look(world)
    assert found.counts == {}
    assert found.behind == {}
    assert (found.read, found.compared, found.unmanaged) == (30, 30, 0)
    assert found.searched
    assert found.looked


def test_a_field_that_somebody_changed_is_named_and_only_if_it_is_ours(worlds):
    world = settled(worlds)
    world.edit_there("u0003", family="Edited", manager="m-somebody")
    found = look(world)
    assert found.counts == {"changed": 1}
    assert found.fields == {"name.familyName": 1, "enterprise.manager": 1}
    world.edit_there("u0003", family="L3", manager=None)
    world.edit_there("u0004", active=False)  # nobody said who may log in
    assert look(world).counts == {}


def test_what_is_missing_extra_changed_and_doubled_is_told_apart(worlds):
    world = settled(worlds)
    remove_there(world, "u0001")
    world.edit_there("u0002", mail="evil@x.example")
    add_there(world, uid="u0003", ext="u0003", family="Second of three")
    add_there(world, uid="lefty", ext="left-over-of-ours")
    add_there(world, uid="local-admin")
    found = look(world)
    assert found.counts == {"missing": 1, "changed": 1, "duplicate": 1, "extra": 1}
    assert found.unmanaged == 1
    assert [(one.kind, one.who) for one in found.examples] == [
        ("missing", "u0001"),
        ("changed", "u0002"),
        ("duplicate", "u0003"),
        ("extra", "lefty"),
    ]
    assert found.fields == {"emails[type=work].value": 1}


def test_repair_is_a_plan_that_makes_the_target_as_it_should_be(worlds):
    world = settled(worlds)
    remove_there(world, "u0001")
    world.edit_there("u0002", mail="evil@x.example")
    add_there(world, uid="local-admin")
    found = look(world, repair=True)
    assert found.plan.counts == {"create": 1, "update": 1}
    assert found.plan.paths == {"emails[type=work].value": {"changes": 1, "blanks": 0}}
    assert world.there()["u0002"]["mail"] == "evil@x.example"
    world.bridge.apply(found.plan, confirm=found.plan.verdict.count)
    assert world.there()["u0002"]["mail"] == "u2@x.example"
    assert world.there()["u0001"]["family"] == "L1"
    assert "local-admin" in world.there()
    assert look(world).counts == {}
    assert world.social.doubled() == []
    world.go()
    assert look(world).counts == {}


def test_what_is_made_again_is_not_swallowed_however_often_it_is_removed(worlds):
    """Delivery 14: every repair has a key of its own."""
    world = settled(worlds)
    for _ in range(3):
        remove_there(world, "u0001")
        repaired(world)
        assert "u0001" in world.there()
    assert len(world.social.all("people")) == 30
    assert world.social.doubled() == []


def test_dry_by_default_nothing_is_staged_or_sent(worlds):
    world = settled(worlds)
    remove_there(world, "u0001")
    before = (world.states(), len(world.social.effects()))
    look(world)
    assert (world.states(), len(world.social.effects())) == before
    assert world.value("SELECT count(*) FROM audit_in WHERE kind='reconcile'") == 1


def test_what_the_source_says_since_is_no_divergence(worlds):
    world = settled(worlds)
    world.put(1, family="Newer here")
    world.put(77)
    world.remove(5)
    found = look(world)
    assert found.counts == {}
    assert found.behind == {"changed": 1, "new": 1, "gone": 1}


def test_what_is_planned_in_flight_or_held_is_no_divergence(worlds):
    world = settled(worlds)
    world.put(1, family="On its way")
    world.put(88)
    world.scan()
    found = look(world)
    assert found.counts == {}
    assert found.behind["waiting"] == 2


def test_an_account_somebody_enabled_again_is_found_and_disabled_again(worlds):
    world = settled(worlds)
    world.remove(3)
    world.go()
    assert look(world).counts == {}
    world.edit_there("u0003", active=True)
    found = look(world, repair=True)
    assert found.counts == {"changed": 1}
    assert found.fields == {"active": 1}
    world.bridge.apply(found.plan, confirm=found.plan.verdict.count)
    assert world.there()["u0003"]["active"] is False
    assert look(world).counts == {}


@pytest.mark.parametrize("how", [str.lower, lambda v: f"#{v}"])
def test_a_path_that_the_target_writes_in_its_own_way_is_reported_once(worlds, how):
    world = worlds(count=30)
    world.social.normalise = lambda record: {
        **record, "family": record["family"] and how(record["family"].lstrip("#"))
    }  # fmt: skip
    world.go()
    world.edit_there("u0005", mail="changed@x.example")
    found = look(world)
    assert [(n.path, n.records, n.compared) for n in found.normalised] == [
        ("name.familyName", 30, 30)
    ]
    assert found.normalised[0].spelling is (how is str.lower)
    assert found.counts == {"changed": 1}
    assert found.fields == {"emails[type=work].value": 1}


def test_in_a_path_whose_spelling_is_the_targets_a_real_change_is_found(worlds):
    world = worlds(count=30)
    world.social.set("people", lower=("family",))
    world.go()
    world.edit_there("u0005", family="somebody else")
    found = look(world)
    assert [n.path for n in found.normalised] == ["name.familyName"]
    assert found.counts == {"changed": 1}


class Partial(MemoryAdapter):
    """Its scan ends early, and says nothing."""

    broken = False

    def scan(self, stream, partition, after):
        for batch in super().scan(stream, partition, after):
            if Partial.broken:
                yield Batch(batch.changes[:3], batch.cursor, (), complete=False)
                return
            yield batch


@pytest.mark.parametrize("which", ["source", "target"])
def test_a_pass_that_is_not_complete_is_an_error_never_missing(worlds, which):
    Partial.broken = False
    world = settled(worlds(count=30, **{which: Partial}))
    Partial.broken = True
    with pytest.raises(NotApplied) as caught:
        look(world, repair=True)
    Partial.broken = False
    assert caught.value.code == "reconcile.incomplete"
    assert look(world).counts == {}


class WriteOnly(MemoryAdapter):
    def streams(self):
        return [
            replace(s, abilities=s.abilities - {"CanFetch", "CanScan", "CanFind"})
            for s in super().streams()
        ]


def test_a_target_that_cannot_be_read_back_is_refused_in_words(worlds):
    world = settled(worlds(count=3, target=WriteOnly))
    with pytest.raises(ConfigurationError) as caught:
        look(world)
    assert caught.value.code == "reconcile.target"


class FetchOnly(MemoryAdapter):
    def streams(self):
        return [
            replace(s, abilities=s.abilities - {"CanScan"}) for s in super().streams()
        ]


def test_a_target_that_cannot_be_scanned_is_looked_up_link_by_link(worlds):
    world = settled(worlds(count=30, target=FetchOnly))
    remove_there(world, "u0001")
    world.edit_there("u0002", mail="evil@x.example")
    add_there(world, uid="lefty", ext="left-over-of-ours")
    found = look(world)
    assert found.counts == {"missing": 1, "changed": 1}
    assert not found.searched
    repaired(world)
    assert look(world).counts == {}


class ScanOnly(MemoryAdapter):
    def streams(self):
        return [
            replace(s, abilities=s.abilities - {"CanFetch", "CanFollow", "CanSettle"})
            for s in super().streams()
        ]


def test_ends_that_can_only_be_scanned_are_compared_and_repaired_too(worlds):
    world = settled(worlds(count=30, source=ScanOnly, target=ScanOnly, traits=OBJECT))
    remove_there(world, "u0001")
    world.edit_there("u0002", mail="evil@x.example")
    found = look(world)
    assert found.counts == {"missing": 1, "changed": 1}
    repaired(world)
    assert world.same()
    assert look(world).counts == {}


class ToldOnce(MemoryAdapter):
    """Nobody can look at it again: an inbox, a folder of deltas."""

    def streams(self):
        return [
            replace(s, abilities=s.abilities - {"CanFetch", "CanScan", "CanSettle"})
            for s in super().streams()
        ]


def test_of_a_source_that_tells_everything_once_what_was_sent_is_compared(worlds):
    world = worlds(count=0, source=ToldOnce)
    plan = world.bridge.plan("people")
    world.bridge.apply(plan, confirm=plan.verdict.count)
    for number in range(5):
        world.put(number)
    world.live()
    assert len(world.there()) == 5
    assert look(world).counts == {}
    world.edit_there("u0002", mail="evil@x.example")
    remove_there(world, "u0003")
    found = look(world, repair=True)
    assert found.counts == {"missing": 1, "changed": 1}
    assert not found.looked
    assert found.plan is None
    assert found.left == {"told-once": 2}


def test_what_we_only_adopted_waits_for_a_person_when_it_is_removed_there(worlds):
    """Delivery 45: only what we created is created again."""
    world = worlds(count=0, flow={"match": ["userName"]})
    world.put(1)
    add_there(world, uid="u0001")
    world.go()
    remove_there(world, "u0001")
    found = look(world, repair=True)
    assert found.counts == {"missing": 1}
    assert found.plan.counts == {}
    assert world.waiting() == [("held", "approval")]
    [item] = world.bridge.review("people")
    world.bridge.decide("people", item.item, "approve")
    world.drain()
    assert world.there()["u0001"]["family"] == "L1"
    assert look(world).counts == {}


def test_a_record_that_came_back_before_the_repair_is_applied_is_not_doubled(worlds):
    world = settled(worlds)
    row = remove_there(world, "u0001")
    found = look(world, repair=True)
    with world.social.store.transaction():
        world.social.save(world.social.stream("people"), row.ref, row.data)
    world.bridge.apply(found.plan, confirm=found.plan.verdict.count)
    assert len(world.social.all("people")) == 30
    assert look(world).counts == {}


def test_a_record_that_was_made_anew_there_under_another_id_is_linked_again(worlds):
    world = settled(worlds)
    row = remove_there(world, "u0001")
    add_there(world, **row.data)
    found = look(world)
    assert found.counts == {"missing": 1, "extra": 1}
    repaired(world)
    assert len(world.social.all("people")) == 30
    assert look(world).counts == {}
    world.put(1, family="Still linked")
    world.go()
    assert world.there()["u0001"]["family"] == "Still linked"
    assert len(world.social.all("people")) == 30


def test_a_repair_is_judged_by_the_guard_as_any_plan(worlds):
    world = settled(worlds(count=30, guard={}))
    for number in range(25):
        world.edit_there(f"u{number:04}", mail=f"x{number}@x.example")
    found = look(world, repair=True)
    assert found.plan.verdict.decision == "confirm"  # four_eyes is off
    assert [f.rule for f in found.plan.verdict.deciding] == ["field_change"]


def test_a_newer_plan_takes_the_place_of_a_repair_and_nothing_is_left(worlds):
    world = settled(worlds)
    remove_there(world, "u0001")
    old = look(world, repair=True).plan
    world.put(2, family="Newer")
    new = world.bridge.plan("people")
    assert new.counts == {"update": 1}
    with pytest.raises(ConfigurationError):
        world.bridge.apply(old, confirm=old.verdict.count)
    world.bridge.apply(new, confirm=new.verdict.count)
    assert look(world).counts == {"missing": 1}


def test_an_emptied_target_is_only_missing_if_every_record_says_so(worlds):
    world = settled(worlds)
    for number in range(30):
        remove_there(world, f"u{number:04}")
    found = look(world)
    assert found.counts == {"missing": 30}
    assert len(found.examples) == 20


class Contractors(StillWorld):
    """Two sources fill one target stream."""

    def __init__(self, folder):
        ends = {"to": "social/people", "partitions": 1}
        flows = {
            name: {"from": f"hr/{name}", **ends} for name in ("people", "contractors")
        }
        super().__init__(folder, count=0, flows=flows)

    def config(self):
        found = super().config()
        found["streams"]["hr/contractors"] = {
            "translator": {"entity": "Person", "fields": FIELDS}
        }
        return found

    def open(self):
        self.hr.add(replace(self.hr.stream("people"), name="contractors"))
        return super().open()


def test_another_flows_records_in_one_stream_are_not_extra(tmp_path, at_once):
    world = Contractors(tmp_path)
    world.put(1)
    world.hr.put("contractors", [{**world.here()["u0001"], "uid": "c0001"}])
    for flow in world.flows:
        world.go(flow)
    assert set(world.there()) == {"u0001", "c0001"}
    for flow in world.flows:
        found = world.bridge.reconcile(flow)
        assert (found.counts, found.unmanaged) == ({}, 1)
    world.bridge.close()


def test_what_is_left_of_a_killed_repair_is_never_sent(worlds):
    world = settled(worlds)
    remove_there(world, "u0001")

    def die(point):
        if point == "reconcile.staged":
            raise KeyboardInterrupt

    crash.install(die)
    with pytest.raises(KeyboardInterrupt):
        look(world, repair=True)
    crash.install(None)
    world.later(60)
    world.drain()
    assert "u0001" not in world.there()
    repaired(world)
    assert len(world.social.all("people")) == 30
    assert look(world).counts == {}
    assert world.value("SELECT count(*) FROM run WHERE state='reconciling'") == 0
