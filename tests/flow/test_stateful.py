"""Anything in any order: at rest the target shows the source, and nothing happened twice."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from flow.stillness import LOOKUP, OBJECT, REQUEST, StillWorld
from moatbridge.errors import NotApplied
from moatbridge.resilience import crash
from moatbridge.resilience.retry import Retry
from moatbridge.testing import FlakyAdapter, MemoryAdapter

NUMBERS = st.integers(1, 5)
POINTS = st.sampled_from(
    [
        "read.done", "stage.in", "bits.before_cursor", "stage.done", "fetch.confirm", "delete.staged", "verdict.before",
        "plan.done", "claim.done", "admit.in", "inflight.done", "send.half", "answer.read", "settle.in",
    ]
)  # fmt: skip


class Killed(BaseException):
    """What a SIGKILL is to one thread: nothing after it runs, nothing is released."""


class Faults:
    """The faults of the coming calls; none is left when the list is empty."""

    def __init__(self):
        self.coming = []

    def next(self, method, possible):
        fault = self.coming.pop(0) if method == "write" and self.coming else None
        return fault if fault in possible else None

    def slow(self):
        raise AssertionError("not used")


class Everything(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.faults = Faults()
        self.folder = Path(tempfile.mkdtemp(prefix="moatbridge-flow-"))

    @initialize(
        traits=st.sampled_from([REQUEST, OBJECT, LOOKUP]),
        parcel=st.sampled_from([1, 2, 500]),
        lanes=st.integers(1, 2),
    )
    def open(self, traits, parcel, lanes):
        target = FlakyAdapter.of(MemoryAdapter, self.faults)
        flow = {"match": ["externalId"], "lanes": lanes, "partitions": 2}
        self.world = StillWorld(
            self.folder, count=3, traits=traits, parcel=parcel, flow=flow, target=target
        )
        self.world.hr.set("people", page=2)
        self.number = 0

    def teardown(self):
        crash.install(None)
        try:
            if hasattr(self, "world"):
                self.come_to_rest()
        finally:
            if hasattr(self, "world"):
                self.world.bridge.close()
            shutil.rmtree(self.folder)

    # --- what happens at the source and at the target ----------------------------------

    @rule(number=NUMBERS)
    def produce_or_change(self, number):
        self.number += 1
        self.world.put(number, family=f"F{self.number}")

    @rule(number=NUMBERS)
    def flap(self, number):
        """A to B to A."""
        self.world.put(number, family="B")
        self.world.put(number, family="A")

    @rule(number=NUMBERS)
    def delete(self, number):
        self.world.remove(number)

    @rule(number=NUMBERS)
    def touch_at_the_target(self, number):
        """Somebody saves the target record without a change: its version moves on."""
        uid = f"u{number:04}"
        if uid in self.world.there():
            self.world.edit_there(uid)

    # --- what the bridge does --------------------------------------------------------------

    @rule()
    def go(self):
        self.world.go()

    @rule()
    def only_scan(self):
        self.world.scan()

    @rule()
    def only_deliver(self):
        self.world.drain("lane", "control")

    @rule()
    def follow(self):
        self.world.live()

    @rule()
    def only_plan(self):
        # A pause that an earlier fault asked for may still last, in the time of the clock.
        with contextlib.suppress(NotApplied):
            self.world.bridge.plan("people")

    # --- what goes wrong -------------------------------------------------------------------

    @rule(
        fault=st.sampled_from(
            ["lost_request", "lost_answer", "not_applied", "untyped", "short"]
        ),
        more=st.booleans(),
    )
    def break_the_next_call(self, fault, more):
        self.faults.coming += [fault] * (4 if more else 1)

    @rule(
        number=NUMBERS,
        fault=st.sampled_from(["lost_request", "lost_answer", "not_applied"]),
        wait=st.booleans(),
    )
    def change_in_doubt(self, number, fault, wait):
        """The outcome of one version is unknown when the next one comes."""
        self.produce_or_change(number)
        self.faults.coming = [fault] * 3
        self.world.go()
        self.produce_or_change(number)
        if wait:
            self.world.later(6)
        self.faults.coming.clear()
        self.world.go()

    @rule(point=POINTS, nth=st.integers(1, 3), live=st.booleans())
    def die_at(self, point, nth, live):
        passed = []

        def hook(name):
            if name == point:
                passed.append(name)
                if len(passed) == nth:
                    raise Killed

        crash.install(hook)
        with contextlib.suppress(Killed):
            (self.world.live if live else self.world.go)()
        crash.install(None)
        self.world.crash()

    @rule(seconds=st.sampled_from([6, 70, 700]))
    def time_passes(self, seconds):
        self.world.later(seconds)

    @rule()
    def lose_the_lease(self):
        """Another worker claims a lane and dies without a word."""
        row = self.world.bridge.route("people").row
        self.world.bridge.ledger.leases.claim(row.flow_id, "lane/0", "stranger")
        self.world.later(31)

    # --- what always holds ---------------------------------------------------------------------

    @invariant()
    def nothing_took_effect_twice(self):
        if hasattr(self, "world"):
            assert self.world.social.doubled() == []
            ids = [row.data["ext"] for row in self.world.social.all("people")]
            assert len(ids) == len(set(ids))

    def come_to_rest(self):
        self.faults.coming.clear()
        for _ in range(4):
            self.world.later(4000)
            self.world.reopen()
            self.world.go()
            self.world.live()
        assert self.world.waiting() == []
        assert self.world.same(), (
            self.world.here(),
            self.world.there(),
            self.world.states(),
        )
        assert self.world.value("SELECT count(*) FROM open") == 0
        assert self.world.value("SELECT count(*) FROM parcel WHERE state<10") == 0
        effects = len(self.world.social.effects())
        self.world.go()
        assert len(self.world.social.effects()) == effects
        self.nothing_took_effect_twice()


TestEverything = Everything.TestCase
TestEverything.settings = settings(
    max_examples=60, stateful_step_count=20, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)  # fmt: skip


def setup_module():
    Retry.__init__.__kwdefaults__["first_wait"] = 0.001


def teardown_module():
    Retry.__init__.__kwdefaults__["first_wait"] = 0.5
