"""What a repair must not do by itself: undo a retract, or trust a target that hides records."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flow.retract_world import GroupWorld, RetractWorld
from flow.stillness import LOOSE, REQUEST
from moatbridge.errors import GuardStopped
from moatbridge.resilience import crash
from moatbridge.testing import MemoryAdapter

BACK = replace(REQUEST, retractable=True)


@pytest.fixture
def worlds(tmp_path, at_once):
    made = []

    def make(kind=RetractWorld, **settings):
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(kind(folder, **{"count": 5, "traits": BACK, **settings}))
        return made[-1]

    yield make
    crash.install(None)
    for world in made:
        world.bridge.close()


def look(world, flow="people", **options):
    return world.bridge.reconcile(flow, **options)


def taken_back(world):
    """One person changed, and that change taken back."""
    world.carry()
    world.put(1, family="Bad", mail="bad@x.example")
    world.retract(world.carry())
    assert world.there()["u0001"]["family"] == "L1"
    return world


def test_what_was_taken_back_is_no_divergence_and_is_not_repaired(worlds):
    world = taken_back(worlds())
    found = look(world, repair=True)
    assert (found.counts, found.behind, found.plan) == ({}, {"retracted": 1}, None)
    assert world.there()["u0001"]["family"] == "L1"
    world.go()  # a pass in between changes nothing about it
    assert look(world).behind == {"retracted": 1}


def test_a_removal_that_was_taken_back_is_not_repaired_into_a_removal(worlds):
    world = worlds()
    world.carry()
    world.remove(1)
    world.retract(world.carry())
    assert world.there()["u0001"]["active"] is True
    found = look(world, repair=True)
    assert (found.counts, found.behind, found.plan) == ({}, {"retracted": 1}, None)


def test_members_that_were_taken_out_again_are_not_repaired_in(worlds):
    world = worlds(kind=GroupWorld)
    world.carry()
    world.hr.put("groups", [{"cn": "all", "member": ["u0001"]}])
    world.carry("groups")
    world.hr.put("groups", [{"cn": "all", "member": ["u0001", "u0002"]}])
    world.retract(world.carry("groups"))
    found = look(world, "groups", repair=True)
    assert (found.counts, found.behind, found.plan) == ({}, {"retracted": 1}, None)


def test_of_a_record_taken_back_another_field_is_named_and_left_to_people(worlds):
    world = taken_back(worlds())
    world.edit_there("u0001", phone="spoilt")
    found = look(world, repair=True)
    assert found.fields == {"phoneNumbers[type=work].value": 1}
    assert (found.left, found.plan) == ({"retracted": 1}, None)


def test_a_repair_after_a_retract_asks_for_a_confirm(worlds):
    world = taken_back(worlds())
    world.edit_there("u0002", family="Spoilt")
    plan = look(world, repair=True).plan
    assert [each.rule for each in plan.verdict.deciding] == ["retracted"]
    with pytest.raises(GuardStopped):
        world.bridge.apply(plan)
    world.bridge.apply(plan, confirm=plan.verdict.count)
    assert world.there()["u0002"]["family"] == "L2"
    assert world.there()["u0001"]["family"] == "L1"


def test_a_record_taken_back_that_is_gone_there_is_only_made_again_by_a_person(worlds):
    """It would be made as the source says it, with what was taken back."""
    world = taken_back(worlds())
    world.gone_there("u0001")
    plan = look(world, repair=True).plan
    assert (plan.counts, plan.held) == ({}, 1)


def test_what_somebody_changed_after_it_was_taken_back_is_named_and_left(worlds):
    world = taken_back(worlds())
    world.edit_there("u0001", family="Spoilt", mail="spoilt@x.example")
    found = look(world, repair=True)
    assert set(found.fields) == {"name.familyName", "emails[type=work].value"}
    assert (found.left, found.plan) == ({"retracted": 1}, None)


def test_what_is_delivered_after_a_retract_is_compared_again(worlds):
    world = taken_back(worlds())
    world.put(1, family="Newer")
    world.carry()
    assert look(world).behind == {}
    world.edit_there("u0001", family="L1")  # as the retract had left it
    assert look(world).counts == {"changed": 1}


class Hiding(MemoryAdapter):
    """Nobody can ask it by id, and it says that a part of it is all."""

    shows: int | None = None

    def streams(self):
        without = {"CanFetch", "CanFollow", "CanFind"}
        return [replace(s, abilities=s.abilities - without) for s in super().streams()]

    def scan(self, stream, partition, after):
        for batch in super().scan(stream, partition, after):
            some = tuple(batch.changes)[: self.shows]
            yield replace(batch, changes=some)


@pytest.fixture
def hiding(worlds, monkeypatch):
    world = worlds(target=Hiding, count=40, guard={**LOOSE, "removals": None})
    world.carry()
    return world, lambda shows: monkeypatch.setattr(Hiding, "shows", shows)


def test_a_target_that_shows_less_than_half_stops_the_repair(hiding):
    world, show = hiding
    show(5)
    found = look(world, repair=True)
    assert found.doubtful
    assert found.plan.verdict.decision == "stop"
    assert [each.rule for each in found.plan.verdict.deciding] == ["sight"]
    with pytest.raises(GuardStopped):
        world.bridge.apply(found.plan, confirm=found.plan.verdict.count)
    assert len(world.social.all("people")) == 40
    show(None)
    assert not look(world).doubtful


def test_records_that_are_really_gone_are_made_again_once_that_is_accepted(hiding):
    world, _show = hiding
    for number in range(30):
        world.gone_there(f"u{number:04}")
    plan = look(world, repair=True).plan
    world.bridge.apply(plan, confirm=plan.verdict.count, accept=["sight"])
    assert len(world.social.all("people")) == 40
    assert look(world).counts == {}


def test_a_target_that_hides_more_than_the_usual_share_asks_for_a_confirm(hiding):
    world, show = hiding
    show(30)
    found = look(world, repair=True)
    assert not found.doubtful
    assert found.plan.verdict.decision == "confirm"
    with pytest.raises(GuardStopped):
        world.bridge.apply(found.plan)
    show(39)
    assert look(world, repair=True).plan.verdict.decision == "pass"
