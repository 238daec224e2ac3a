"""Unknown outcomes are resolved by the target's own memory, never guessed (delivery 24-25)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flow.stillness import LOOKUP, NONE, OBJECT, REQUEST
from moatbridge.errors import ConfigurationError, NotApplied
from moatbridge.resilience import crash
from moatbridge.testing import FlakyAdapter, MemoryAdapter, Schedule


def flaky(**plan):
    schedule = Schedule(plan)
    return FlakyAdapter.of(MemoryAdapter, schedule)


@pytest.mark.parametrize("fault", ["lost_answer", "lost_request", "untyped", "short"])
def test_a_keyed_target_gets_the_same_call_again_with_one_effect(worlds, fault):
    world = worlds(target=flaky(write=[fault]), traits=REQUEST)
    world.go()
    assert world.states() == {"UNKNOWN": 5}
    world.later(10)
    world.drain()
    assert world.states() == {"DONE": 5}
    assert world.same()
    assert len(world.social.effects()) == 5


def test_two_unknown_calls_stay_apart_and_are_repeated_as_they_were(worlds):
    """Delivery 22: a repeated call has the same intents in the same order."""
    calls = []

    class Recording(MemoryAdapter):
        def write(self, stream, intents):
            calls.append([i.key for i in intents])
            return super().write(stream, intents)

    small = replace(REQUEST, max_batch=2)
    target = FlakyAdapter.of(Recording, Schedule({"write": ["lost_answer"] * 3}))
    world = worlds(target=target, traits=small, count=6)
    world.go()
    assert world.states() == {"UNKNOWN": 6}
    world.later(10)
    world.drain()
    assert world.states() == {"DONE": 6}
    assert len(calls) == 6
    assert calls[:3] == calls[3:]


def test_a_forgotten_request_key_is_never_used_again(worlds):

    world = worlds(
        target=flaky(write=["lost_answer"]), traits=replace(REQUEST, key_ttl=7200.0)
    )
    world.go()
    world.later(7190)  # the key is remembered for 10 s more, a request may live 60
    world.drain()
    assert world.states() == {"PARKED": 5}
    assert len(world.social.effects()) == 5


def test_lookup_waits_until_no_request_can_linger(worlds):
    world = worlds(
        target=flaky(write=["lost_answer"]),
        traits=LOOKUP,
        flow={"match": ["externalId"]},
    )
    world.go()
    assert world.states() == {"UNKNOWN": 5}
    world.later(30)
    world.drain()
    assert world.states() == {"UNKNOWN": 5}
    world.later(40)
    world.drain()
    assert world.states() == {"DONE": 5}
    assert world.same()
    assert len(world.social.effects()) == 5


def test_lookup_that_finds_nothing_sends_again(worlds):
    world = worlds(
        target=flaky(write=["lost_request"]),
        traits=LOOKUP,
        flow={"match": ["externalId"]},
    )
    world.go()
    world.later(61)
    world.drain()
    world.later(61)
    world.drain()
    assert world.states() == {"DONE": 5}
    assert world.same()
    assert len(world.social.effects()) == 5


def test_without_key_and_lookup_it_is_parked_and_shown(worlds):
    world = worlds(
        target=flaky(write=["lost_answer"]), traits=NONE, flow={"match": ["externalId"]}
    )
    world.go()
    assert world.states() == {"PARKED": 5}
    assert world.waiting() == [("parked", "flaky.unknown")] * 5
    world.later(100_000)
    world.drain()
    assert world.states() == {"PARKED": 5}


def test_resend_sends_again_and_may_double(worlds):
    world = worlds(
        target=flaky(write=["lost_answer"]),
        traits=NONE,
        flow={"match": ["externalId"], "on_unknown": "resend"},
    )
    world.go()
    world.later(10)
    world.drain()
    assert world.states() == {"DONE": 5}
    assert len(world.social.effects()) == 10


@pytest.mark.parametrize("traits", [REQUEST, OBJECT])
def test_a_newer_version_waits_for_the_unknown_one(worlds, traits):
    """Delivery 25: at most one intent of a link is in flight or unknown."""
    world = worlds(traits=traits)
    world.go()
    world.social.lose_answers = 1
    world.put(2, family="Second")
    world.go()
    assert world.states() == {"DONE": 5, "UNKNOWN": 1}
    world.put(2, family="Third")
    world.scan()
    world.drain()
    assert world.there()["u0002"]["family"] == "Second"
    for _ in range(3):
        world.later(70)
        world.drain()
    assert world.there()["u0002"]["family"] == "Third"
    assert world.states() == {"DONE": 7}


@pytest.mark.parametrize("traits", [REQUEST, OBJECT])
@pytest.mark.parametrize("crashed", [False, True])
def test_not_applied_after_a_doubtful_attempt_is_still_in_doubt(
    worlds, traits, crashed
):
    """Found by the stateful test: the newer version replaced one that had arrived."""
    faults = [None] if crashed else ["lost_answer"]
    world = worlds(target=flaky(write=faults + ["not_applied"] * 3), traits=traits)
    if crashed:
        crash.install(dying("answer.read"))
        with pytest.raises(Killed):
            world.go()
        crash.install(None)
        world.crash()
    else:
        world.go()
        world.later(6)
    world.drain()
    assert world.states() == {"UNKNOWN": 5}, "not RETRY: the first attempt did arrive"
    for number in range(5):
        world.put(number, family="Newer")
    world.go()
    for _ in range(4):
        world.later(100)
        world.drain()
    assert world.same()
    assert world.social.doubled() == []
    assert "SUPERSEDED" not in world.states()


class Killed(BaseException):
    """What a SIGKILL is to one thread."""


def dying(point):
    def hook(name):
        if name == point:
            raise Killed

    return hook


def test_a_lingering_object_scoped_write_is_waited_out(worlds):
    world = worlds(traits=OBJECT)
    world.go()
    world.social.lose_answers = 1
    world.put(2, family="Second")
    world.go()
    world.put(2, family="Third")
    world.later(10)
    world.scan()
    world.drain()
    assert world.there()["u0002"]["family"] == "Second", (
        "60 s after the doubt it might still be overwritten"
    )
    world.later(60)
    world.drain()
    assert world.there()["u0002"]["family"] == "Third"


def test_what_a_dead_worker_may_have_sent_is_waited_out_too(worlds):
    """Found by the stateful test: sent again it is answered, but the first may linger."""
    world = worlds(traits=OBJECT)
    world.go()
    world.put(2, family="Second")
    crash.install(dying("answer.read"))
    with pytest.raises(Killed):
        world.go()
    crash.install(None)
    world.crash()
    world.drain()
    assert world.states() == {"DONE": 6}
    world.put(2, family="Third")
    world.scan()
    world.drain()
    assert world.there()["u0002"]["family"] == "Second", (
        "60 s after the death it might still be overwritten"
    )
    world.later(61)
    world.drain()
    assert world.there()["u0002"]["family"] == "Third"


def test_not_applied_is_tried_again_later_and_later(worlds):
    """Delivery 27: RETRY with 1 min doubling, at most until ``retry_for``."""
    target = flaky(write=["not_applied"] * 9)
    world = worlds(target=target, traits=REQUEST)
    waits = []
    world.go()
    for _ in range(3):
        assert world.states() == {"RETRY": 5}
        waits.append(
            round(world.value("SELECT max(not_before) - max(last_sent) FROM parcel"))
        )
        world.later(waits[-1] + 1)
        world.drain()
    assert waits == [60, 120, 240]
    assert world.states() == {"DONE": 5}
    assert world.same()


def test_after_retry_for_it_is_parked(worlds):
    world = worlds(
        target=flaky(write=["not_applied"] * 50),
        traits=REQUEST,
        flow={"retry_for": "20m"},
    )
    world.go()
    for _ in range(12):
        world.later(1200)
        world.drain()
    assert world.states() == {"PARKED": 5}


def test_a_record_that_changes_while_it_waits_for_a_retry_is_sent_once_as_it_is_now(
    worlds,
):
    world = worlds(target=flaky(write=["not_applied"] * 3), traits=REQUEST)
    world.go()
    assert world.states() == {"RETRY": 5}
    world.put(3, family="Newer")
    world.scan()
    world.drain()
    world.later(100)
    world.drain()
    assert world.there()["u0003"]["family"] == "Newer"
    assert world.same()
    assert world.social.doubled() == []
    assert (
        len(
            [
                e
                for e in world.social.effects()
                if e.id == world.social.all("people")[3].ref.id
            ]
        )
        == 1
    )


def test_a_configuration_error_stops_the_system_and_loses_nothing(worlds):
    refused = []

    class Refusing(MemoryAdapter):
        def write(self, stream, intents):
            if not refused:
                refused.append(len(intents))
                raise ConfigurationError("The account was locked.", code="memory.auth")
            return super().write(stream, intents)

    world = worlds(target=Refusing, traits=REQUEST)
    results = world.go()
    assert "stopped" in {r.outcome for r in results}
    assert world.states() == {"RETRY": 5}
    world.later(100)
    assert [r.error.code for r in world.drain() if r.error] != []  # the breaker holds
    assert refused == [5]
    world.reopen()
    world.later(700)
    world.drain()
    assert world.states() == {"DONE": 5}
    assert world.same()


def test_the_target_going_away_before_anything_left_harms_nothing(worlds):
    class Away(MemoryAdapter):
        away = False

        def fetch(self, stream, refs):
            if Away.away:
                raise NotApplied("The system is down.", code="memory.down")
            return super().fetch(stream, refs)

    world = worlds(target=Away)
    world.go()
    world.put(1, family="Changed")
    Away.away = True
    world.go()
    assert world.states() == {"DONE": 5, "PLANNED": 1}
    Away.away = False
    world.later(700)
    world.drain()
    assert world.states() == {"DONE": 6}
    assert world.same()
