"""Leases with fences: claim, expiry, steal, renew, release, wake, boots (scale 6-13)."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from ledger.ground import Ground
from moatbridge.errors import LeaseLost
from moatbridge.ledger import clock, transactions


def partition(ground, column, part="lane/0"):
    return ground.value(f"SELECT {column} FROM partition WHERE part=?", part)


def test_a_claim_excludes_every_other(ground):
    assert ground.claim(owner="b") is None
    assert ground.claim("control", "b") is not None


def test_each_claim_raises_the_fence(ground):
    first = ground.lease.fence
    ground.expire()
    assert ground.claim(owner="b").fence == first + 1


def test_an_expired_lease_is_taken_and_the_loser_can_commit_nothing(ground):
    ground.expire()
    thief = ground.claim(owner="b")
    with pytest.raises(LeaseLost), ground.ledger.step(ground.lease) as tx:
        tx.run("UPDATE flow SET bug='committed by a zombie'")
    assert ground.value("SELECT bug FROM flow") is None
    with ground.ledger.step(thief) as tx:
        tx.run("UPDATE flow SET bug='fine'")
    assert ground.value("SELECT bug FROM flow") == "fine"


def half_done(tx):
    tx.run("UPDATE flow SET bug='half'")
    raise ZeroDivisionError


def test_a_step_that_fails_commits_neither_cursor_nor_sequence(ground):
    with (
        pytest.raises(ZeroDivisionError),
        ground.ledger.step(ground.lease, cursor={"at": 1}) as tx,
    ):
        half_done(tx)
    assert ground.value("SELECT bug FROM flow") is None
    assert partition(ground, "cursor") is None
    assert (partition(ground, "seq"), ground.lease.seq) == (0, 0)


def test_a_step_moves_sequence_and_cursor_and_renews(ground):
    ground.expire()  # nobody took it: it is still ours
    with ground.ledger.step(ground.lease, cursor={"at": 7}):
        pass
    assert (partition(ground, "seq"), partition(ground, "cursor")) == (1, '{"at": 7}')
    assert ground.lease.cursor == {"at": 7}
    assert ground.claim(owner="b") is None
    with ground.ledger.step(ground.lease):
        pass
    assert (partition(ground, "seq"), partition(ground, "cursor")) == (2, '{"at": 7}')


def test_renew_prolongs_ours_and_names_the_lost(ground):
    control = ground.claim("control")
    ground.expire()
    assert ground.claim(owner="b") is not None
    assert ground.ledger.leases.renew([ground.lease, control]) == [ground.lease]
    assert ground.claim("control", "b") is None


def test_release_makes_it_due_at_once_or_later(ground):
    leases = ground.ledger.leases
    leases.release(ground.lease)
    again = ground.claim(owner="b")
    leases.release(again, wait=60.0, error="source.stuck")
    assert ground.claim() is None
    assert partition(ground, "error") == "source.stuck"
    _ready, later = leases.due([ground.row.flow_id])
    assert 55 < later <= 60


def test_release_without_the_fence_does_nothing(ground):
    ground.expire()
    thief = ground.claim(owner="b")
    ground.ledger.leases.release(ground.lease, wait=60.0, state="done")
    assert partition(ground, "state") == "ready"
    assert partition(ground, "owner") == "b"
    ground.ledger.leases.release(thief)


@pytest.mark.parametrize("state", ["done", "blocked"])
def test_done_and_blocked_are_never_due(ground, state):
    ground.ledger.leases.release(ground.lease, state=state)
    assert ground.claim() is None
    ready, _later = ground.ledger.leases.due([ground.row.flow_id])
    assert [due.part for due in ready] == ["control"]


def test_a_wake_while_leased_is_not_lost_to_the_wait_of_its_slice(ground):
    with ground.ledger.write() as tx:
        ground.ledger.leases.wake(tx, ground.row.flow_id, "lane")
    ground.ledger.leases.release(ground.lease, wait=600.0)
    assert ground.claim() is not None


def test_a_wake_before_the_claim_does_not_shorten_the_next_wait(ground):
    ground.ledger.leases.release(ground.lease, wait=600.0)
    with ground.ledger.write() as tx:
        ground.ledger.leases.wake(tx, ground.row.flow_id, "lane")
    ground.ledger.leases.release(ground.claim(), wait=600.0)
    assert ground.claim() is None


def test_another_boot_ends_all_leases(tmp_path, monkeypatch):
    """SQLite's clock counts from boot; a server's does not."""
    ground = Ground(tmp_path)
    monkeypatch.setattr(transactions, "boot_id", lambda: "after-the-reboot")
    ready, _later = ground.ledger.leases.due([ground.row.flow_id])
    assert {due.part for due in ready} == {"control", "lane/0"}
    assert ground.claim(owner="b") is not None
    ground.close()


def test_a_step_of_the_wall_clock_neither_ends_nor_prolongs_a_lease(
    ground, monkeypatch
):
    far = clock.wall_clock() + 10_000_000
    monkeypatch.setattr(clock, "wall_clock", lambda: far)
    assert ground.claim(owner="b") is None
    monkeypatch.setattr(clock, "wall_clock", lambda: 1.0)
    ground.expire()
    assert ground.claim(owner="b") is not None


def test_tries_count_claims_without_a_commit(ground):
    leases, flow_id = ground.ledger.leases, ground.row.flow_id
    for _ in range(3):
        ground.expire()
        lease = ground.claim()
    assert leases.tries(flow_id, "lane/0") == 4
    with ground.ledger.step(lease):
        pass
    assert leases.tries(flow_id, "lane/0") == 0


def test_a_partition_added_again_keeps_its_fence(ground):
    ground.ledger.leases.release(ground.lease, state="done")
    with ground.ledger.write() as tx:
        ground.ledger.leases.add(tx, ground.row.flow_id, "lane/0", "lane")
    assert ground.claim().fence == ground.lease.fence + 1


def test_two_threads_claiming_at_once_get_one_lease(ground):
    threads, rounds = 4, 25
    gate = threading.Barrier(threads)

    def compete(number):
        won = 0
        for _ in range(rounds):
            gate.wait(60)
            lease = ground.claim(owner=str(number))
            gate.wait(60)
            if lease is not None:
                won += 1
                ground.ledger.leases.release(lease)
            gate.wait(60)
        return won

    ground.ledger.leases.release(ground.lease)
    first = partition(ground, "fence")
    with ThreadPoolExecutor(threads) as pool:
        assert sum(pool.map(compete, range(threads))) == rounds
    assert partition(ground, "fence") == first + rounds


def test_concurrent_steps_of_two_leases_lose_no_update(ground):
    control = ground.claim("control")

    def count(lease):
        for _ in range(50):
            with ground.ledger.step(lease) as tx:
                found = int(tx.value("SELECT value FROM meta WHERE name='next_link'"))
                tx.run("UPDATE meta SET value=? WHERE name='next_link'", str(found + 1))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(count, (ground.lease, control)))
    assert ground.value("SELECT value FROM meta WHERE name='next_link'") == "101"
