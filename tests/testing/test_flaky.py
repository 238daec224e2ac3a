"""Each fault of `FlakyAdapter` does what its name says, and no more."""

from __future__ import annotations

import pytest

from moatbridge.adapter import Partition
from moatbridge.changes import Intent
from moatbridge.errors import NotApplied, OutcomeUnknown
from moatbridge.testing import (
    FlakyAdapter,
    MemoryAdapter,
    MemoryConfig,
    MemorySystem,
    Schedule,
)
from testing.memory_harness import PEOPLE, person


@pytest.fixture
def system():
    system = MemorySystem([PEOPLE])
    system.put("people", [person(str(number)) for number in range(12)])
    return system


def opened(system, **plan):
    schedule = Schedule(plan)
    adapter = FlakyAdapter.of(MemoryAdapter, schedule)(MemoryConfig(system=system), {})
    adapter.open()
    return adapter


def scan(adapter):
    return list(adapter.scan("people", Partition(), None))


def names(batches):
    return [c.data["userName"] for batch in batches for c in batch.changes]


INTENTS = [
    Intent("k1", "create", None, person("x")),
    Intent("k2", "create", None, person("y")),
]


def test_keeps_name_config_and_abilities():
    kind = FlakyAdapter.of(MemoryAdapter, Schedule())
    assert kind.abilities == MemoryAdapter.abilities
    assert kind.Config is MemoryConfig
    assert issubclass(kind, MemoryAdapter)


def test_without_faults_nothing_changes(system):
    adapter = opened(system)
    assert len(set(names(scan(adapter)))) == 12
    assert [r.outcome for r in adapter.write("people", INTENTS)] == ["applied"] * 2
    assert adapter.schedule.happened == []


@pytest.mark.parametrize(
    ("fault", "error", "effects"),
    [
        ("not_applied", NotApplied, 0),
        ("lost_request", OutcomeUnknown, 0),
        ("lost_answer", OutcomeUnknown, 2),
        ("untyped", RuntimeError, 2),
    ],
)
def test_a_write_fails_before_or_after_its_effect(system, fault, error, effects):
    adapter = opened(system, write=[fault])
    with pytest.raises(error):
        adapter.write("people", INTENTS)
    assert len(system.effects()) == effects
    adapter.write("people", INTENTS)
    assert system.doubled() == []
    assert adapter.schedule.happened == [("write", fault)]


def test_a_short_answer_has_all_effects(system):
    adapter = opened(system, write=["short"])
    assert len(adapter.write("people", INTENTS)) == 1
    assert len(system.effects()) == 2


def test_a_rejected_intent_has_no_effect(system):
    adapter = opened(system, write=["reject"])
    outcomes = [r.outcome for r in adapter.write("people", INTENTS)]
    assert outcomes == ["rejected", "applied"]
    assert [effect.key for effect in system.effects()] == ["k2"]


def test_a_slow_call_calls_the_hook_first(system):
    waited = []
    schedule = Schedule({"write": ["slow"]}, slow=lambda: waited.append(1))
    adapter = FlakyAdapter.of(MemoryAdapter, schedule)(MemoryConfig(system=system), {})
    adapter.open()
    adapter.write("people", INTENTS)
    assert waited == [1]
    assert len(system.effects()) == 2


def test_a_page_comes_twice(system):
    batches = scan(opened(system, scan=["again"]))
    assert len(names(batches)) == 17
    assert [batch.complete for batch in batches] == [False, False, False, True]


def test_a_page_comes_late(system):
    batches = scan(opened(system, scan=["late"]))
    assert names(batches)[:5] == names(batches)[-5:]
    assert [batch.complete for batch in batches] == [False, False, True]


def test_a_truncated_scan_raises_and_never_completes(system):
    seen = []
    with pytest.raises(NotApplied):
        seen.extend(
            opened(system, scan=["truncated"]).scan("people", Partition(), None)
        )
    adapter = opened(system, scan=["truncated"])
    batches = adapter.scan("people", Partition(), None)
    assert next(batches).complete is False
    with pytest.raises(NotApplied):
        next(batches)


def test_a_record_becomes_a_reject(system):
    batches = scan(opened(system, scan=["reject"]))
    assert len(names(batches)) == 11
    assert [reject.reason for reject in batches[0].rejects] == ["flaky.data"]


def test_open_and_fetch_and_settle_fail_too(system):
    schedule = Schedule({"open": ["not_applied"]})
    adapter = FlakyAdapter.of(MemoryAdapter, schedule)(MemoryConfig(system=system), {})
    with pytest.raises(NotApplied):
        adapter.open()
    adapter = opened(system, fetch=["short"], settle=["lost_answer"])
    refs = [row.ref for row in system.all("people")][:3]
    assert len(adapter.fetch("people", refs)) == 2
    with pytest.raises(OutcomeUnknown):
        adapter.settle("people", {"seq": 1})
    assert system.settled("people") == [{"seq": 1}]


def test_chance_is_repeatable(system):
    def run(seed):
        schedule = Schedule(seed=seed, rate=0.5, kinds=("not_applied", "again"))
        kind = FlakyAdapter.of(MemoryAdapter, schedule)
        adapter = kind(MemoryConfig(system=system), {})
        for _ in range(20):
            try:
                adapter.open()
                scan(adapter)
            except NotApplied:
                continue
        return schedule.happened

    assert run(1) == run(1)
    assert run(1) != run(2)
    assert {fault for _, fault in run(1)} == {"not_applied", "again"}
