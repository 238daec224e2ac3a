"""Lists that both sides of a pair may change: ``owner = { emails = "merge" }``."""

from __future__ import annotations

import pytest

from flow.lists_world import HERE, OWNER, GroupWorld, ListWorld, agreed, quiet
from flow.retract_world import BACK, RetractWorld
from moatbridge.changes import Record
from moatbridge.errors import ConfigurationError
from moatbridge.testing import MemoryAdapter

WORK, HOME = ("work", "ada@x.example"), ("home", "ada@y.example")


@pytest.fixture
def pairs(tmp_path, at_once):
    made = []

    def make(owner=None, begin=True, kind=ListWorld, **settings):
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(kind(folder, owner=owner, **{"count": 1, **settings}))
        if begin:
            made[-1].begin()
        return made[-1]

    yield make
    for world in made:
        world.bridge.close()


@pytest.mark.parametrize("first", ["out", "back"])
def test_additions_of_both_sides_are_kept(pairs, first):
    world = agreed(pairs(), WORK)
    world.edit("a", ("other", "a@x.example"), "here")
    world.edit("b", HOME, "there")
    world.go(first)
    world.passing(2)
    both = {WORK: "-", HOME: "there", ("other", "a@x.example"): "here"}
    assert world.lists() == (both, both)
    quiet(world)


@pytest.mark.parametrize("side", ["a", "b"])
@pytest.mark.parametrize("first", ["out", "back"])
def test_a_removal_wins_over_an_unchanged_element_only(pairs, side, first):
    world = agreed(pairs(), WORK, HOME)
    other = "b" if side == "a" else "a"
    world.edit(side, WORK, None)
    world.edit(side, HOME, None)
    world.edit(other, HOME, "Desk")
    world.go(first)
    world.passing(2)
    assert world.lists() == ({HOME: "Desk"}, {HOME: "Desk"})
    quiet(world)


def test_an_element_that_both_sides_changed_is_as_side_a_says(pairs):
    world = agreed(pairs(), WORK)
    world.edit("a", WORK, "Ours")
    world.edit("b", WORK, "Theirs")
    world.go("back")
    world.passing(2)
    assert world.lists() == ({WORK: "Ours"}, {WORK: "Ours"})
    quiet(world)


def test_an_edit_beside_it_carries_no_old_list_back(pairs):
    world = agreed(pairs(), WORK)
    world.edit("b", HOME, "new")
    world.edit_here("u0000", family="Hopper")
    world.go("out")
    assert world.lists()[1] == {WORK: "-", HOME: "new"}
    world.passing(2)
    assert world.lists()[0] == {WORK: "-", HOME: "new"}
    quiet(world)


def test_an_address_that_the_platform_spells_its_own_way_goes_to_and_fro_no_more(pairs):
    world = pairs(begin=False)
    world.social.normalise = lambda record: {
        **record,
        "mails": [
            {**e, "value": e["value"].lower()} for e in record.get("mails") or ()
        ],
    }
    world.begin()
    world.edit("a", ("work", "Ada@X.example"), "-")
    world.passing(2)
    quiet(world)
    world.edit("b", HOME, "-")
    world.passing(2)
    assert world.lists()[0] == {("work", "Ada@X.example"): "-", HOME: "-"}
    quiet(world)
    world.edit("b", ("work", "ada@x.example"), None)
    world.passing(2)
    assert world.lists() == ({HOME: "-"}, {HOME: "-"})
    quiet(world)


def test_what_only_one_side_can_hold_stays_there(pairs):
    """A directory holds plain addresses; the type is a constant of its translator."""
    only_work = {
        "each": "mails",
        "fields": {**HERE["fields"], "type": {"const": "work"}},
    }
    world = pairs(here=only_work)
    world.edit("a", WORK, "-")
    world.passing(2)
    world.edit("b", HOME, "mine")
    world.passing(2)
    assert world.lists() == ({WORK: "-"}, {WORK: "-", HOME: "mine"})
    quiet(world)
    world.edit("a", ("work", "second@x.example"), "-")
    world.edit("b", WORK, None)
    world.passing(2)
    left = {("work", "second@x.example"): "-"}
    assert world.lists() == (left, {**left, HOME: "mine"})
    quiet(world)


@pytest.mark.parametrize("goes", ["work", "home"])
def test_one_of_two_that_the_platform_shows_alike_is_removed_by_itself(pairs, goes):
    """One address for work and for home, where the platform knows no types."""
    world = pairs(there={"each": "mails", "fields": {"value": "value"}})
    work, home = ("work", "x@x.example"), ("home", "x@x.example")
    world.edit("a", work, "-")
    world.edit("a", home, "-")
    world.passing(2)
    assert world.lists() == ({work: "-", home: "-"}, {work: None})
    quiet(world)
    left = home if goes == "work" else work
    world.edit("a", (goes, "x@x.example"), None)
    world.passing(2)
    assert world.lists() == ({left: "-"}, {work: None})
    quiet(world)
    world.edit("b", work, None)
    world.passing(2)
    assert world.lists() == ({}, {})
    quiet(world)


def test_a_member_of_an_element_that_one_side_cannot_express_survives_its_changes(
    pairs,
):
    world = agreed(pairs(), WORK)
    (entry,) = world.there()["u0000"]["mails"]
    world.edit_there("u0000", mails=[{**entry, "primary": True}])
    world.passing(2)
    world.edit("a", WORK, "Desk")
    world.passing(2)
    assert world.there()["u0000"]["mails"] == [
        {**entry, "primary": True, "display": "Desk"}
    ]
    quiet(world)


def test_a_pair_that_had_an_owner_so_far_knows_who_removed_what(pairs):
    world = pairs(owner={**OWNER, "emails": "hr/people"})
    stays = ("other", "o@x.example")
    agreed(world, WORK, HOME, stays, ("other", "p@x.example"))
    world.bridge.close()
    world.flows["back"]["owner"] = OWNER
    world.bridge = world.open()
    world.edit("a", WORK, None)
    world.edit("a", ("other", "p@x.example"), None)
    world.edit("a", stays, "Desk")
    world.passing(2)
    assert world.lists() == ({HOME: "-", stays: "Desk"},) * 2
    world.edit("b", HOME, None)
    world.passing(2)
    left = {stays: "Desk"}
    assert world.lists() == (left, left)
    quiet(world)


class Partly(MemoryAdapter):
    """Shows lists in part only while it is told to."""

    unread = False

    def fetch(self, stream, refs):
        found = super().fetch(stream, refs)
        lacks = ("mails",) if Partly.unread else ()
        return [
            f._replace(incomplete=lacks) if isinstance(f, Record) else f for f in found
        ]


def test_nothing_is_merged_into_a_list_that_was_read_in_part_only(pairs, monkeypatch):
    world = agreed(pairs(target=Partly), WORK)
    monkeypatch.setattr(Partly, "unread", True)
    world.edit("b", HOME, "there")
    world.edit_here("u0000", family="Hopper")
    world.go("out")
    assert world.there()["u0000"]["family"] == "Hopper", "the rest goes on"
    world.edit("a", ("other", "a@x.example"), "here")
    world.go("out")
    assert world.lists()[1] == {WORK: "-", HOME: "there"}
    (item,) = world.bridge.review("out")
    assert (item.kind, item.reason) == ("rejected", "translate.incomplete")
    monkeypatch.setattr(Partly, "unread", False)
    world.passing(2)
    both = {WORK: "-", HOME: "there", ("other", "a@x.example"): "here"}
    assert world.lists() == (both, both)
    quiet(world)


class Retracting(ListWorld, RetractWorld):
    """A platform that lets runs be taken back."""

    def open(self):
        found = super().open()
        self.social.set("people", traits=BACK)
        return found


def test_what_a_run_did_to_a_list_can_be_taken_back_and_neither_flow_redoes_it(pairs):
    world = agreed(pairs(kind=Retracting), WORK, HOME)
    new = ("other", "a@x.example")
    world.edit("a", new, "-")
    world.edit("a", HOME, None)
    run = world.carry("out")
    world.passing(2)
    assert world.retract(run).undone == {"update": 1}
    world.passing(2)
    assert world.lists() == ({WORK: "-", new: "-"}, {WORK: "-", HOME: "-"})


# --- members: references that each side spells with ids of its own -------------------------


@pytest.fixture
def groups(tmp_path, at_once):
    world = GroupWorld(tmp_path, count=4)
    world.hr.put("groups", [{"cn": "crew", "member": ["u0000", "u0001"]}])
    world.passing(2)
    assert world.members("b") == ["u0000", "u0001"]
    assert world.ids("a") != world.ids("b")
    yield world
    world.bridge.close()


@pytest.mark.parametrize("first", ["out", "back"])
def test_members_of_a_group_merge_by_whom_they_refer_to(groups, first):
    groups.join("a", "u0000", "u0001", "u0002")
    groups.join("b", "u0001", "u0003")
    groups.go(first)
    groups.passing(2)
    assert groups.members("a") == groups.members("b") == ["u0001", "u0002", "u0003"]
    quiet(groups)


def test_members_whom_the_other_side_does_not_know_stay_and_follow_later(groups):
    """Nothing is linked to them yet: they are neither removed nor forgotten."""
    groups.social.put("people", [{"uid": "guest", "given": "G", "family": "G"}])
    groups.join("b", "guest", "u0000", "u0001")
    groups.hr.put("people", [{"uid": "u0009", "given": "N", "family": "N"}])
    groups.join("a", "u0009", "u0001")
    for flow in ("back", "out"):
        groups.go(flow)
    assert groups.members("a") == ["u0001", "u0009"]
    assert groups.members("b") == ["guest", "u0001"]
    groups.passing(2)
    assert groups.members("a") == ["u0001", "u0009"]
    assert groups.members("b") == ["guest", "u0001", "u0009"]
    quiet(groups)


# --- where nothing can be merged -----------------------------------------------------------

UNTYPED = {"each": "mails", "fields": {"value": "value", "display": "display"}}


@pytest.mark.parametrize(
    ("owner", "settings", "says"),
    [
        ({"displayName": "merge"}, {}, "the flow carries no list of that name"),
        ({"name.familyName": "merge"}, {}, "it is no list"),
        ({"phoneNumbers": "merge"}, {}, "maps single entries of it"),
        ({"emials": "merge"}, {}, "the flow carries no list of that name"),
        ({"*": "merge"}, {}, "it is no list"),
        ({}, {"there": UNTYPED}, "says its display and not its type"),
    ],
)
def test_what_cannot_be_merged_is_refused_with_the_reason(pairs, owner, settings, says):
    owner = {"*": "hr/people", **(owner or {"emails": "merge"})}
    world = pairs(owner=owner, begin=False, **settings)
    with pytest.raises(ConfigurationError) as caught:
        world.bridge.route("out")
    assert caught.value.code == "flow.owner"
    assert says in caught.value.message
