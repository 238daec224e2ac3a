"""Counted, not timed: commits a parcel, and what an unchanged pass writes (delivery 21, 32, 35)."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from hashlib import sha256

from flow.stillness import REQUEST
from moatbridge.ledger import Leases, runs
from moatbridge.ledger.sqlite import SqliteStore

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
    with world.bridge.ledger.db._store.connections.one() as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
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


def writing(monkeypatch):
    """Transactions that write, by who began them."""
    found, begin = Counter(), SqliteStore.transaction

    def transaction(store, mode, settled=None):
        if mode != "read":
            found[mode] += 1
        return begin(store, mode, settled)

    monkeypatch.setattr(SqliteStore, "transaction", transaction)
    return found


def polled(world, found):
    """One look at the tail, and delivery; without the claims and their ends."""
    found.clear()
    world.live()
    return found["write"] - 1  # this world's own, that makes the tail due


def test_a_look_at_the_tail_writes_what_it_found_and_little_else(worlds, monkeypatch):
    world = worlds(count=20)
    world.go()
    world.live()
    found = writing(monkeypatch)
    nothing = polled(world, found)
    world.put(3, family="Changed")
    something = polled(world, found)
    assert world.there()["u0003"]["family"] == "Changed"
    assert nothing <= 2  # its seat at the source, taken and given back
    assert something <= nothing + 8


def test_judging_begins_at_the_first_parcel_of_its_run(worlds):
    """What earlier runs sent is kept, and is not walked through (design 0033)."""
    world = worlds(count=30, parcel=10)
    world.go()
    with world.bridge.ledger.write() as tx:
        new = runs.begin(tx, 1, kind="pass", state="done", auto=False, actor="test")
        old, first = tx.one("SELECT run_id, min(parcel_id) FROM parcel GROUP BY run_id")
        last = tx.value("SELECT max(parcel_id) FROM parcel")
        assert (runs.before_first(tx, old), first < last) == ((first, -1), True)
        assert runs.before_first(tx, new) == (last, -1)
        empty = runs.digest(tx, 1, new)
        assert empty == sha256(f"1/{new}".encode()).hexdigest()[:16]
    world.put(3, family="Changed")
    world.put(31)
    world.go()
    with world.bridge.ledger.read() as tx:
        run = runs.latest(tx, 1, "done")
        assert run.verdict["counts"] == {"update": 1, "create": 1}
        said = tx.all(
            "SELECT i.op, i.key, i.out_fp FROM intent i JOIN parcel p "
            "ON p.parcel_id=i.parcel_id WHERE p.run_id=? "
            "ORDER BY i.parcel_id, i.pos",
            run.run_id,
        )
        whole = sha256(f"1/{run.run_id}".encode())
        for op, key, out_fp in said:
            whole.update(f"{op}{key}".encode() + (out_fp or b""))
        assert runs.digest(tx, 1, run.run_id) == whole.hexdigest()[:16]
