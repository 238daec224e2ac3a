"""Plans: replaced, refused when stale or old, applied as they were judged (delivery 51)."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from flow.stillness import REQUEST
from moatbridge.errors import ConfigurationError, GuardStopped, NotApplied
from moatbridge.ledger import killswitch
from moatbridge.testing import MemoryAdapter


def test_a_new_plan_cancels_the_older_one(worlds):
    world = worlds()
    old = world.bridge.plan("people")
    world.put(1, family="Changed meanwhile")
    new = world.bridge.plan("people")
    assert old.digest != new.digest
    assert world.states() == {"CANCELLED": 5, "PLANNED": 5}
    with pytest.raises(ConfigurationError) as error:
        world.bridge.apply(old, confirm=old.verdict.count)
    assert error.value.code == "plan.replaced"
    assert world.social.effects() == []
    assert world.bridge.apply(new, confirm=new.verdict.count).state == "done"
    assert world.same()


def test_a_digest_that_never_was_is_refused(worlds):
    world = worlds()
    plan = world.bridge.plan("people")
    with pytest.raises(ConfigurationError) as error:
        world.bridge.apply("0" * 16, flow="people", confirm=plan.verdict.count)
    assert error.value.code == "plan.replaced"
    assert (
        world.bridge.apply(plan.digest, flow="people", confirm=plan.verdict.count).state
        == "done"
    )


def test_the_same_source_gives_the_same_plan_whatever_interrupted_it(worlds):
    one, other = worlds(), worlds()
    other.bridge.plan("people")
    first, second = one.bridge.plan("people"), other.bridge.plan("people")
    assert (first.counts, first.seen, first.verdict.decision) == (
        second.counts,
        second.seen,
        second.verdict.decision,
    )


def test_a_plan_older_than_24_hours_is_refused(worlds, monkeypatch):
    world = worlds()
    plan = world.bridge.plan("people")
    monkeypatch.setattr(
        "moatbridge.ledger.Ledger.now", lambda _ledger: time.time() + 25 * 3600
    )
    with pytest.raises(GuardStopped) as error:
        world.bridge.apply(plan, confirm=plan.verdict.count)
    assert error.value.code == "guard.plan-expired"
    assert world.social.effects() == []


def test_a_plan_sends_nothing_and_touches_no_mark_or_link(worlds):
    world = worlds()
    world.bridge.plan("people")
    for table in ("mark", "link", "open", "before"):
        assert world.value(f"SELECT count(*) FROM {table}") == 0
    assert world.social.effects() == []


def test_a_record_that_moved_since_the_plan_is_sent_as_it_is_now(worlds):
    world = worlds()
    world.go()
    world.put(1, family="Planned")
    plan = world.bridge.plan("people")
    world.put(1, family="Since")
    world.live()
    world.bridge.apply(plan, confirm=plan.verdict.count)
    world.drain()
    assert world.there()["u0001"]["family"] == "Since"


def test_the_kill_switch_stops_within_one_call_and_everything_stays(worlds):
    """Delivery 28."""
    calls = []
    world = None

    class Pulling(MemoryAdapter):
        def write(self, stream, intents):
            calls.append(len(intents))
            with world.bridge.ledger.write() as tx:
                killswitch.switch_on(tx, "flow:people", "test", "tester")
            world.bridge._kill._look()
            return super().write(stream, intents)

    world = worlds(
        target=Pulling, traits=replace(REQUEST, max_batch=2), count=9, parcel=6
    )
    world.go()
    assert calls == [2]
    assert world.states() == {"DONE": 2, "READY": 4, "PLANNED": 3}
    world.later(10)
    world.drain()
    assert calls == [2]
    with world.bridge.ledger.write() as tx:
        killswitch.switch_off(tx, "flow:people", "test", "tester")
    world.bridge._kill._look()
    world.kinds["there"] = MemoryAdapter
    world.reopen()
    world.later(100)
    world.drain()
    assert world.states() == {"DONE": 9}
    assert world.same()
    assert world.social.doubled() == []


def test_a_killed_flow_plans_but_delivers_nothing(worlds):
    world = worlds()
    plan = world.bridge.plan("people")
    world.bridge.switch_off("all", "test")
    world.bridge._kill._look()
    with pytest.raises(NotApplied) as caught:
        world.bridge.apply(plan, confirm=plan.verdict.count)
    assert caught.value.code == "guard.kill-switch"
    assert world.social.effects() == []
    assert world.states() == {"PLANNED": 5}
    world.bridge.switch_on("all", "test")
    world.bridge._kill._look()
    world.later(2)
    world.drain()
    assert world.states() == {"DONE": 5}
