"""Lists that both sides of a pair change, against the plain model and with kills."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from flow.lists_world import ListWorld, Model, agreed, quiet
from flow.test_stateful import Killed
from moatbridge.resilience import crash

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
def pair(tmp_path, at_once):
    world = ListWorld(tmp_path, count=1)
    world.begin()
    yield world
    crash.install(None)
    world.bridge.close()


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
def test_a_kill_anywhere_in_a_pass_loses_no_element_of_either_side(pair, flow, point):
    world = agreed(pair, WORK, HOME)
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
