"""Lists that both sides of a pair may change: ``owner = { emails = "merge" }``."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from flow.lists_world import HERE, OWNER, GroupWorld, ListWorld, Model
from flow.retract_world import BACK, RetractWorld
from flow.test_stateful import Killed
from moatbridge.changes import Record
from moatbridge.errors import ConfigurationError
from moatbridge.resilience import crash
from moatbridge.testing import MemoryAdapter

WORK, HOME = ("work", "ada@x.example"), ("home", "ada@y.example")
POINTS = (
    "stage.done",
    "admit.in",
    "inflight.done",
    "send.half",
    "answer.read",
    "settle.in",
)


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
    crash.install(None)
    for world in made:
        world.bridge.close()


def agreed(world, *keys):
    """Both sides hold these addresses."""
    for key in keys:
        world.edit("a", key, "-")
    world.passing(2)
    assert world.lists() == (dict.fromkeys(keys, "-"),) * 2
    return world


def quiet(world):
    before = world.effects()
    world.passing(2)
    assert world.effects() == before
    assert world.items() == []


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
    agreed(world, WORK, HOME, ("other", "o@x.example"))
    world.bridge.close()
    world.flows["back"]["owner"] = OWNER
    world.bridge = world.open()
    world.edit("a", WORK, None)
    world.passing(2)
    world.edit("b", HOME, None)
    world.passing(2)
    left = {("other", "o@x.example"): "-"}
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


# --- against the plain model, with kills ---------------------------------------------------


def killed(world, flow, point):
    """A pass that dies once, and what is done after that until it rests."""

    def dying(name):
        if name == point:
            crash.install(None)
            raise Killed

    crash.install(dying)
    try:
        world.go(flow)
    except Killed:
        world.crash()
    finally:
        crash.install(None)
    for _ in range(2):
        world.go(flow)
        world.later(120)
        world.drain(flow=flow)


@pytest.mark.parametrize("flow", ["out", "back"])
@pytest.mark.parametrize("point", ["inflight.done", "answer.read", "settle.in"])
def test_a_kill_anywhere_in_a_pass_loses_no_element_of_either_side(pairs, flow, point):
    world = agreed(pairs(), WORK, HOME)
    world.edit("a", ("other", "a@x.example"), "here")
    world.edit("b", ("other", "b@x.example"), "there")
    world.edit("a", WORK, None)
    world.edit("b", HOME, None)
    killed(world, flow, point)
    world.passing(2)
    both = {("other", "a@x.example"): "here", ("other", "b@x.example"): "there"}
    assert world.lists() == (both, both)
    quiet(world)


KEYS = st.tuples(st.sampled_from(["work", "home"]), st.sampled_from(["x", "y"]))
EDIT = st.tuples(st.sampled_from("ab"), KEYS, st.sampled_from(["one", "two", None]))
STEP = st.one_of(
    EDIT,
    EDIT,
    EDIT,
    st.sampled_from(["out", "back"]),
    st.tuples(st.sampled_from(["out", "back"]), st.sampled_from(POINTS)),
)


@given(st.lists(STEP, min_size=4, max_size=16))
@settings(
    max_examples=8,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow],
)
def test_both_lists_are_what_the_plain_three_way_model_says(steps):
    folder = Path(tempfile.mkdtemp(prefix="moatbridge-lists-"))
    world, model = ListWorld(folder, count=1), Model()
    try:
        world.begin()
        for step in [*steps, "out", "back", "out", "back"]:
            world.forget_turns()
            if step in {"out", "back"}:
                world.go(step)
                model.carry(step)
            elif len(step) == 2:
                killed(world, *step)
                model.carry(step[0])
            else:
                world.edit(*step)
                model.edit(*step)
            assert world.lists() == (model.a, model.b), step
        assert model.a == model.b
        quiet(world)
        assert world.social.doubled() == world.hr.doubled() == []
    finally:
        world.bridge.close()
        shutil.rmtree(folder)


SIDES, FLOWS = st.sampled_from("ab"), st.sampled_from(["out", "back"])
SLICES = st.one_of(
    st.tuples(st.just("add"), SIDES),
    st.tuples(st.just("add"), SIDES),
    st.tuples(st.just("remove"), SIDES, st.integers(0, 5)),
    st.tuples(st.sampled_from(["scan", "drain", "go"]), FLOWS),
    st.tuples(st.just("kill"), FLOWS, st.sampled_from(POINTS)),
)


@given(st.lists(SLICES, min_size=6, max_size=24))
@settings(
    max_examples=8,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow],
)
def test_whatever_is_planned_meanwhile_both_hold_all_that_was_added_and_not_removed(
    steps,
):
    """Also if lists were read long before they were delivered."""
    folder = Path(tempfile.mkdtemp(prefix="moatbridge-lists-"))
    world, alive = ListWorld(folder, count=1), set()
    acts = {"scan": world.scan, "go": world.go, "drain": lambda f: world.drain(flow=f)}
    try:
        world.begin()
        for number, (what, who, *more) in enumerate(steps):
            world.forget_turns()
            if what == "add":
                alive.add(key := ("work", f"k{number}"))
                world.edit(who, key, "-")
            elif what == "kill":
                killed(world, who, *more)
            elif what in acts:
                acts[what](who)
            elif shown := sorted(world.lists()[who == "b"]):
                key = shown[more[0] % len(shown)]
                world.edit(who, key, None)
                alive.discard(key)
        for _ in range(3):
            world.later(120)
            world.passing()
        assert world.lists() == (dict.fromkeys(alive, "-"),) * 2
        quiet(world)
    finally:
        world.bridge.close()
        shutil.rmtree(folder)


# --- where nothing can be merged -----------------------------------------------------------


@pytest.mark.parametrize(
    ("owner", "settings", "says"),
    [
        ({"displayName": "merge"}, {}, "the flow carries no list of that name"),
        ({"name.familyName": "merge"}, {}, "it is no list"),
        ({"phoneNumbers": "merge"}, {}, "maps single entries of it"),
        ({"emials": "merge"}, {}, "the flow carries no list of that name"),
        ({"*": "merge"}, {}, "it is no list"),
    ],
)
def test_what_cannot_be_merged_is_refused_with_the_reason(pairs, owner, settings, says):
    world = pairs(owner={"*": "hr/people", **owner}, begin=False, **settings)
    with pytest.raises(ConfigurationError) as caught:
        world.bridge.route("out")
    assert caught.value.code == "flow.owner"
    assert says in caught.value.message
