"""Counted, not timed: commits a parcel, and what an unchanged pass writes (delivery 21, 32, 35)."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from flow.stillness import REQUEST
from moatbridge.ledger import Leases

BIG = replace(REQUEST, max_batch=1000)


def counted(monkeypatch):
    """Commits of slices, by kind of partition."""
    commits = Counter()
    step = Leases.step

    def counting(self, lease, **more):
        commits[lease.kind] += 1
        return step(self, lease, **more)

    monkeypatch.setattr(Leases, "step", counting)
    return commits


def test_one_commit_a_staged_batch_and_one_a_parcel_and_one_more(worlds, monkeypatch):
    """A once per staged batch; C of each parcel with B of the next (delivery 21)."""
    world = worlds(count=1000, parcel=100, traits=BIG)
    world.hr.set("people", page=100)
    commits = counted(monkeypatch)
    world.go()
    assert world.states() == {"DONE": 1000}
    assert commits["scan"] == 10
    assert commits["lane"] == 10 + 1


def test_a_parcel_of_many_calls_costs_no_more_commits(worlds, monkeypatch):
    world = worlds(count=100, parcel=100, traits=replace(REQUEST, max_batch=5))
    commits = counted(monkeypatch)
    world.go()
    assert (world.states(), commits["lane"]) == ({"DONE": 100}, 2)


def test_what_was_frozen_a_moment_ago_is_sent_without_being_read_again(
    worlds, aboard_as_frozen
):
    world = worlds(count=100, parcel=25)
    world.go()
    assert world.states() == {"DONE": 100}
    assert len(aboard_as_frozen) == len(set(aboard_as_frozen)) == 100


def wal(world):
    """Bytes that go to the ledger's log until this is called again."""
    path = world.folder / "ledger.db-wal"
    size = path.stat().st_size
    with world.bridge.ledger.db._engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    return size


def unchanged_pass(worlds, monkeypatch, count):
    world = worlds(count=count, traits=BIG, parcel=1000)
    world.hr.set("people", page=500)
    world.go()
    assert world.states() == {"DONE": count}
    intents = world.value("SELECT count(*) FROM intent")
    commits = counted(monkeypatch)
    wal(world)
    world.go()
    assert world.value("SELECT count(*) FROM intent") == intents
    return wal(world), commits["scan"]


def test_an_unchanged_pass_writes_no_intent_and_at_most_15_bytes_a_record(
    worlds, monkeypatch
):
    small, few = unchanged_pass(worlds, monkeypatch, 500)
    large, many = unchanged_pass(worlds, monkeypatch, 6500)
    assert (large - small) / 6000 <= 15
    assert (few, many) == (1, 1)


def test_an_unchanged_record_costs_no_call_to_the_target(worlds):
    world = worlds(count=50)
    world.go()
    effects = len(world.social.effects())
    for _ in range(2):
        world.go()
    assert len(world.social.effects()) == effects
    assert world.states() == {"DONE": 50}
