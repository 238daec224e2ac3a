"""The file of buckets beside a SQLite ledger: private, and safe to delete while in use."""

from __future__ import annotations

import json
import sqlite3
import time

import pytest

from moatbridge.adapter import Quota
from moatbridge.errors import NotApplied
from moatbridge.resilience.quota import HOLD
from resilience.test_shared_quota import Place, results


@pytest.fixture
def local(tmp_path):
    found = Place(f"sqlite:///{tmp_path}/bridge.db")
    yield found
    found.close()


def test_a_bucket_that_a_crash_emptied_starts_with_nothing_43(tmp_path):
    place = Place(f"sqlite:///{tmp_path}/bridge.db")
    limit = Quota(0.001, 100)
    assert place.quotas().take("social/write", limit, 1) == 0
    place.close()
    for suffix in ("", "-wal", "-shm"):
        (tmp_path / f"bridge-quota.db{suffix}").unlink(missing_ok=True)
    after = place.quotas()
    assert after.take("social/write", limit, 1) > 900
    assert after.take("social/other", limit, 1) == 0, "never used: nothing was lost"
    place.close()


def test_a_reboot_empties_buckets_and_frees_seats_43(tmp_path, monkeypatch):
    place = Place(f"sqlite:///{tmp_path}/bridge.db")
    limit = Quota(0.001, 100)
    before = place.quotas()
    assert before.take("social/write", limit, 1) == 0
    before.report("erp/read", retry_after=1e6, remaining=None)
    assert before.enter("erp", 1)
    monkeypatch.setattr("moatbridge.ledger.transactions.boot_id", lambda: "another")
    monkeypatch.setattr("moatbridge.ledger.transactions.boot_clock", lambda: 1000)
    after = place.quotas()
    assert 900 < after.take("social/write", limit, 1) <= 1000
    assert after.wait("erp/read") == 0
    assert after.enter("erp", 1)
    place.close()


def test_an_unreadable_file_is_replaced_43(tmp_path):
    place = Place(f"sqlite:///{tmp_path}/bridge.db")
    place.quotas().take("social/write", Quota(1, 1), 1)
    place.close()
    (tmp_path / "bridge-quota.db").write_bytes(b"the power failed" * 1000)
    assert place.quotas().take("social/write", Quota(0.001, 1), 1) > 900
    place.close()


def test_a_file_that_spoils_while_it_is_in_use_is_replaced_43(tmp_path):
    place = Place(f"sqlite:///{tmp_path}/bridge.db")
    store = place.quotas()
    store.take("social/write", Quota(1, 100), 1)
    with store._write() as tx:
        tx.many(
            "INSERT INTO quota(id, tokens, at, blocked_until, share) VALUES(?,1,1,0,1)",
            [(f"filler/{n}",) for n in range(500)],
        )
        tx.run("DELETE FROM seat")
    with sqlite3.connect(tmp_path / "bridge-quota.db") as raw:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    raw.close()
    with (tmp_path / "bridge-quota.db").open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 1_000_000)

    def taken():
        try:
            return store.take("social/write", Quota(0.001, 1), 1)
        except NotApplied:
            return None

    assert any((wait := taken()) is not None for _ in range(3))
    assert wait > 900, "used before: it starts empty"
    place.close()


def remove(folder, *suffixes):
    for suffix in suffixes or ("", "-wal", "-shm"):
        (folder / f"bridge-quota.db{suffix}").unlink(missing_ok=True)


@pytest.mark.parametrize("suffixes", [(), ("",)])
def test_a_file_that_is_deleted_while_in_use_splits_no_bucket_43(local, tmp_path, suffixes):  # fmt: skip
    old = local.quotas()
    limit = Quota(0.001, 100)
    assert old.take("social/write", limit, 40) == 0
    remove(tmp_path, *suffixes)
    new = local.quotas()  # as a worker that is started now
    assert new.take("social/write", limit, 1) > 900
    assert old.take("social/write", limit, 1) > 900, (
        "60 are left in a file without name"
    )
    new.pause("social/write", 5000)
    assert old.wait("social/write") > 4000
    old.pause("social/write", 0)
    assert new.wait("social/write") == 0


def test_a_file_that_is_replaced_by_another_is_used_by_all_43(local, tmp_path):
    old = local.quotas()
    limit = Quota(0.001, 100)
    old.take("social/write", limit, 1)
    other = Place(f"sqlite:///{tmp_path}/other.db")
    other.quotas().take("social/write", limit, 95)
    other.close()
    remove(tmp_path, "-wal", "-shm")
    (tmp_path / "other-quota.db").replace(tmp_path / "bridge-quota.db")
    assert old.take("social/write", limit, 5) == 0
    assert old.take("social/write", limit, 1) > 900


def test_seats_are_taken_along_to_a_new_file_45(local, tmp_path):
    old = local.quotas()
    seat = old.enter("erp", 2)
    assert seat
    remove(tmp_path)
    new = local.quotas()
    assert old.enter("erp", 2)
    assert new.enter("erp", 2) is None
    old.leave(seat)
    assert new.enter("erp", 2)


def test_two_processes_whose_file_is_deleted_keep_to_one_limit_43(local, tmp_path):
    """One began before and one after: without a look at the name each has its own rate."""
    rate, burst, seconds = 60.0, 20.0, 1.0
    (first,) = local.workers(1, "quota", rate, burst, 15 * seconds)
    started = time.monotonic()
    first.stdin.write("go\n")
    first.stdin.flush()
    while not list(tmp_path.glob("bridge-quota.db-wal")):
        assert time.monotonic() < started + 60
        time.sleep(0.01)
    remove(tmp_path)
    (second,) = local.workers(1, "quota", rate, burst, seconds)
    (late,) = results([second])
    early = json.loads(first.stdout.readline())
    inside = [b for b, a in early if late[0][0] <= b and a <= late[-1][1]]
    span = late[-1][1] - late[0][0]
    assert len(late) + len(inside) <= rate * span + rate * HOLD + 1
    assert late
    assert inside


def test_the_file_is_private_and_never_waited_for_43(tmp_path):
    place = Place(f"sqlite:///{tmp_path}/bridge.db")
    store = place.quotas()
    store.take("social/write", Quota(1, 1), 1)
    for file in tmp_path.glob("bridge-quota.db*"):
        assert file.stat().st_mode & 0o077 == 0, file
    with store._write() as tx:
        assert tx.value("PRAGMA synchronous") == 0
    place.close()
