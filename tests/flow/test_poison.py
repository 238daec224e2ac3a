"""Hostile or broken records and answers cost themselves only, never the flow."""

from __future__ import annotations

import pytest

from moatbridge.changes import Change, Ref
from moatbridge.resilience import crash
from moatbridge.testing import FlakyAdapter, MemoryAdapter, Schedule


class Poisoned(MemoryAdapter):
    """Adds one change to the first page."""

    change = None

    def scan(self, stream, partition, after):
        from dataclasses import replace

        for number, batch in enumerate(super().scan(stream, partition, after)):
            extra = [] if number else [Poisoned.change]
            yield replace(batch, changes=[*batch.changes, *extra])


def record(**more):
    return {
        "uid": "evil",
        "given": "E",
        "family": "E",
        "mail": "e@x.example",
        "phone": "1",
        "manager": None,
        **more,
    }


POISON = {
    "a lone surrogate": Change(Ref("evil"), data=record(family="\ud800")),
    "a key with a lone surrogate": Change(Ref("\udc80"), data=record()),
    "a number for a text": Change(Ref("evil"), data=record(family=7)),
    "a list for a text": Change(Ref("evil"), data=record(family=["x", {"y": 1}])),
    "a field is missing": Change(Ref("evil"), data={"uid": "evil"}),
    "no data": Change(Ref("x" * 600), data=record()),
    "a ledger tag": Change(
        Ref("evil"), data=record(family={"$moatbridge": "decimal", "v": "1"})
    ),
    "not a number": Change(Ref("evil"), data=record(family=float("nan"))),
    "a NUL": Change(Ref("evil"), data=record(family="a\0b")),
    "a set": Change(Ref("evil"), data=record(family={"x"})),
}


@pytest.mark.parametrize("name", POISON)
def test_a_poisonous_record_costs_only_itself(worlds, name):
    world = worlds()
    world.kinds["here"] = Poisoned
    Poisoned.change = POISON[name]
    world.reopen()
    results = world.go()
    assert [r.error for r in results if r.error] == []
    assert {f"u{n:04}" for n in range(5)} <= set(world.there())
    assert world.value("SELECT bug FROM flow") is None


def test_a_duplicate_key_keeps_the_earlier_and_names_the_later(worlds):
    world = worlds()
    world.kinds["here"] = Poisoned
    Poisoned.change = Change(Ref("u0001"), data=record(uid="u0001"))
    world.reopen()
    world.go()
    assert world.waiting() == [("rejected", "duplicate-key")]
    assert world.there()["u0001"]["family"] == "L1"


@pytest.mark.parametrize(
    "fault", ["untyped", "short", "again", "late", "truncated", "reject", "not_applied"]
)
def test_a_source_that_misbehaves_is_survived(worlds, fault):
    for method in ("scan", "fetch", "changes"):
        plan = {method: [fault]}
        if method == "fetch" and fault in {"again", "late", "truncated", "reject"}:
            continue
        if method != "fetch" and fault == "short":
            continue
        world = worlds(source=FlakyAdapter.of(MemoryAdapter, Schedule(plan)), count=12)
        world.hr.set("people", page=5)
        for _ in range(3):
            world.go()
            world.later(700)
            world.live()
        world.put(3, family="Changed")
        world.remove(4)
        for _ in range(3):
            world.later(700)
            world.go()
        assert world.same(), method
        assert world.social.doubled() == []


def test_a_source_that_repeats_its_position_is_stuck_not_empty(worlds):
    """Delivery, hostile peers."""

    class Looping(MemoryAdapter):
        def scan(self, stream, partition, after):
            first = next(iter(super().scan(stream, partition, after)))
            from dataclasses import replace

            for _ in range(50):
                yield replace(first, changes=[], cursor=after, complete=False)

    world = worlds()
    world.go()
    world.kinds["here"] = Looping
    world.reopen()
    results = world.go()
    assert [r.error.code for r in results if r.error] == ["source.stuck"]
    assert world.same()


def test_a_bug_of_ours_gives_the_lease_back(worlds):
    """Scale 15: a slice raises for programming errors only, after releasing."""
    world = worlds()

    def bug(name):
        if name == "read.done":
            raise RuntimeError("a bug")

    crash.install(bug)
    with pytest.raises(RuntimeError):
        world.go()
    crash.install(None)
    assert world.value("SELECT count(*) FROM partition WHERE owner IS NOT NULL") == 0
    assert world.value("SELECT error FROM partition WHERE kind='scan'") == "flow.bug"
    world.later(10)
    world.go()
    assert world.same()
