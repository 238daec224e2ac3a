"""Taking a run back: what each kind of change becomes, and what that costs."""

from __future__ import annotations

import pytest

from flow.retract_world import (
    FINAL,
    CountingAdapter,
    groups,
    link_states,
    members,
    worlds_in,
)


@pytest.fixture
def worlds(tmp_path, at_once):
    with worlds_in(tmp_path) as make:
        yield make


def test_people_that_a_run_made_are_disabled(worlds):
    world = worlds()
    run = world.carry()
    report = world.retract(run)
    assert report.state == "done"
    assert report.undone == {"disable": 5}
    assert report.not_undone == 0
    assert {row["active"] for row in world.there().values()} == {False}
    assert world.states() == {"RETRACTED": 5, "DONE": 5}
    assert world.social.doubled() == []


def test_updates_show_again_what_was_there_before(worlds):
    world = worlds()
    world.carry()
    before = world.shows()
    world.put(1, family="Changed", mail="new@x.example")
    world.put(2, phone=None)
    run = world.carry()
    assert world.shows() != before
    report = world.retract(run)
    assert report.undone == {"update": 2}
    assert world.shows() == before


def test_disabled_people_are_enabled_again(worlds):
    world = worlds()
    world.carry()
    world.remove(1, 2)
    run = world.carry()
    assert world.there()["u0001"]["active"] is False
    report = world.retract(run)
    assert report.undone == {"update": 2}
    assert world.there()["u0001"]["active"] is not False
    # Their source records are still gone: nobody disables them again unasked.
    assert link_states(world) == {"LIVE": 3, "DISABLED": 2}
    world.go()
    assert world.there()["u0002"]["active"] is not False


def test_removed_people_are_made_again_as_new_records(worlds):
    world = worlds(flow=FINAL)
    world.carry()
    before = {u: {**r, "active": None} for u, r in world.shows().items()}
    old = {row.data["uid"]: row.ref for row in world.social.all("people")}
    world.remove(3)
    run = world.carry()
    assert "u0003" not in world.there()
    report = world.retract(run)
    assert report.undone == {"create": 1}
    assert {u: {**r, "active": None} for u, r in world.shows().items()} == before
    new = {row.data["uid"]: row.ref for row in world.social.all("people")}
    assert new["u0003"].key != old["u0003"].key
    world.go()
    assert "u0003" in world.there()  # its source record is still gone


def test_what_cannot_be_disabled_is_removed(worlds):
    world = groups(worlds)
    run = world.carry("groups")
    assert len(world.social.all("groups")) == 2
    report = world.retract(run)
    assert report.undone == {"delete": 2}
    assert world.social.all("groups") == []
    world.go("groups")
    assert world.social.all("groups") == []


def test_an_encrypted_ledger_takes_back_as_well(worlds, tmp_path, monkeypatch):
    monkeypatch.setenv("LEDGER_KEY", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
    world = worlds()
    world.bridge.close()
    world.folder = tmp_path / "sealed"
    world.folder.mkdir()
    world.extra["ledger"]["key_file"] = "env:LEDGER_KEY"
    world.bridge = world.open()
    world.carry()
    before = world.shows()
    world.put(1, family="Changed")
    report = world.retract(world.carry())
    assert report.undone == {"update": 1}
    assert world.shows() == before


def test_an_enabled_person_is_not_removed_when_the_undo_window_ends(worlds):
    world = worlds(flow={"deletes": "disable_then_remove", "undo_window": "2d"})
    world.carry()
    world.remove(1, 2)
    run = world.carry()
    world.retract(run, refs=["u0001"])
    world.later(3 * 86400)
    world.carry()
    assert world.there()["u0001"]["active"] is True
    assert "u0002" not in world.there()


# --- groups -----------------------------------------------------------------------------


def test_memberships_go_back_one_by_one(worlds):
    world = groups(worlds)
    world.carry("groups")
    world.hr.put("groups", [{"cn": "all", "member": ["u0002", "u0003"]}])
    run = world.carry("groups")
    assert members(world, "all") == ["u0002", "u0003"]
    row = next(r for r in world.social.all("groups") if r.data["cn"] == "all")
    fourth = next(r for r in world.social.all("people") if r.data["uid"] == "u0004")
    with world.social.store.transaction():
        world.social.save(
            world.social.stream("groups"), row.ref,
            {**row.data, "member": [*row.data["member"], fourth.ref.key]},
        )  # fmt: skip
    report = world.retract(run)
    assert report.undone == {"update": 1}
    assert members(world, "all") == ["u0001", "u0002", "u0004"]


# --- what it costs ----------------------------------------------------------------------


def test_images_cost_no_request_of_their_own(worlds):
    counts = []
    for keep in ("7d", 0):
        world = worlds(count=30, target=CountingAdapter)
        world.extra["ledger"]["keep_undo"] = keep
        world.reopen()
        world.carry()
        for number in range(30):
            world.put(number, family="Changed")
        CountingAdapter.fetches.clear()
        world.carry()
        counts.append(list(CountingAdapter.fetches))
        assert bool(world.value("SELECT count(*) FROM before")) == bool(keep)
    assert counts[0] == counts[1]
    assert sum(counts[0]) == 30
    assert len(counts[0]) <= 8  # one a lane, never one a record


def test_a_first_load_keeps_no_images(worlds):
    world = worlds()
    world.carry()
    assert world.value("SELECT count(*) FROM before") == 0


def test_an_image_holds_only_what_was_changed(worlds):
    world = worlds()
    world.carry()
    world.put(1, family="Changed")
    world.carry()
    image = world.value("SELECT image FROM before")
    assert "L1" in image
    assert "u1@x.example" not in image
