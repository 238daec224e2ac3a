"""Whatever is told, polled and delivered in whatever order: the last word arrives."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flow.stillness import REQUEST
from flow.test_told_once import ToldWorld
from moatbridge.resilience import crash

NUMBERS = itertools.count(1)
FIELDS = ("given", "family", "mail")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("whole"), st.sampled_from("ABC")),
        st.tuples(st.sampled_from(FIELDS), st.sampled_from("ABC")),
        st.tuples(st.sampled_from(("gone", "poll", "deliver", "edit")), st.none()),
        st.tuples(
            st.just("while"),
            st.sampled_from(("stage.in", "claim.done", "send.half", "answer.read")),
        ),
    ),
    max_size=12,
)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    made = ToldWorld(tmp_path_factory.mktemp("told"), traits=REQUEST)
    made.hr.set("people", page=2)
    yield made
    made.bridge.close()


class Teller:
    """Tells of one record, and knows what was said last."""

    def __init__(self, world):
        self.world = world
        self.number = next(NUMBERS)
        self.said = None
        self.last = {}

    def step(self, what, how):
        world, number = self.world, self.number
        if what == "poll":
            world.told()
        elif what == "deliver":
            world.drain()
            world.later(2)
        elif what == "edit":
            if world.one(number):
                world.edit_there(f"u{number:04}", phone=str(next(NUMBERS)))
        elif what == "gone":
            world.remove(number)
            self.said = None
        elif what == "whole":
            self.said = dict.fromkeys(FIELDS, how)
            world.put(number, **self.said)
        elif what in FIELDS and self.said is not None:
            self.said[what] = how
            world.put(number, **self.said, only=(what,))

    def play(self, steps):
        """A step after ``while`` happens at that point of the one after it."""
        waiting = iter(steps)
        for what, how in waiting:
            if what != "while":
                self.step(what, how)
                continue
            later = next(waiting, ("poll", None))
            self._during(how, later)
            self.step("poll" if how == "stage.in" else "deliver", None)
            crash.install(None)

    def _during(self, point, later):
        def hook(name):
            if name == point:
                crash.install(None)
                self.step(*later)
                self.step("deliver" if point == "stage.in" else "poll", None)

        crash.install(hook)


@settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)
@given(steps=STEPS)
def test_the_last_word_arrives(world, steps):
    teller = Teller(world)
    teller.play(steps)
    for _ in range(3):
        world.told()
        world.later(70)
        world.drain()
    assert world.at_rest()
    there = world.one(teller.number)
    if teller.said is None:
        assert there is None or there["active"] is False
    else:
        assert {f: there[f] for f in FIELDS} == teller.said
        assert there["active"] is not False
