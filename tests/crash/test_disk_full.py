"""No room for the ledger: a typed error, nothing told to anybody, and on with it later."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from unittest import mock

import pytest

from crash import world
from moatbridge.errors import NotApplied
from moatbridge.ledger import Ledger
from moatbridge.ledger.quota import LedgerQuotas
from moatbridge.testing import MemorySystem

COUNT = 1500


class PageLimit:
    """SQLite itself refuses to let the file grow: `SQLITE_FULL`."""

    def __init__(self, folder):
        self.ledger = folder
        self.pages = 2**30

    def limit(self, bridge):
        def connect(connection):
            connection.execute(f"PRAGMA max_page_count={self.pages}")

        bridge.ledger.db._store.connections.opened.append(connect)
        bridge.ledger.close()

    def fill(self, bridge):
        with bridge.ledger.read() as tx:
            self.pages = tx.value("PRAGMA page_count") + 20
        bridge.ledger.close()

    def make_room(self, bridge):
        self.pages = 2**30
        bridge.ledger.close()

    def close(self):
        pass


class SmallDisk:
    """A file system of four megabytes: what a full disk is, for the file and its log."""

    def __init__(self, folder):
        self.ledger = folder / "small"
        self.ledger.mkdir()
        _mount(self.ledger)

    def limit(self, bridge):
        pass

    def fill(self, bridge):
        room = os.statvfs(self.ledger)
        free = room.f_bavail * room.f_frsize
        (self.ledger / "something-else").write_bytes(bytes(max(0, free - 200_000)))

    def make_room(self, bridge):
        (self.ledger / "something-else").unlink()

    def close(self):
        subprocess.run(["umount", "--lazy", self.ledger], check=True)


def _mount(folder):
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", folder],
        check=True,
        capture_output=True,
    )


@functools.cache
def may_mount():
    """Only root may, and not in every container."""
    folder = Path(tempfile.mkdtemp())
    try:
        _mount(folder)
    except (OSError, subprocess.CalledProcessError):
        return False
    else:
        subprocess.run(["umount", folder], check=True)
        return True
    finally:
        with contextlib.suppress(OSError):
            folder.rmdir()


@pytest.fixture(params=["page limit", "small disk"])
def disk(request, tmp_path):
    kind = SmallDisk if request.param == "small disk" and may_mount() else PageLimit
    made = kind(tmp_path)
    yield made
    made.close()


@pytest.fixture
def bridge(tmp_path, disk):
    world.make(tmp_path, COUNT)
    settings = world.config(tmp_path, parcel=100)
    settings["ledger"]["url"] = f"sqlite:///{disk.ledger}/ledger.db"
    with world.opened(settings) as made:
        disk.limit(made)
        yield made


def committed(bridge):
    with bridge.ledger.read() as tx:
        return tx.value("SELECT coalesce(sum(records), 0) FROM partition")


def effects(folder):
    target = MemorySystem(path=folder / "target.db")
    found = target.effects()
    target.store.close()
    return found


def finish(folder, disk):
    """Bring the rest home in a new process's place, and prove it."""
    if disk.ledger != folder:
        shutil.copytree(disk.ledger, folder, dirs_exist_ok=True)
    return world.prove(folder)


def test_a_full_disk_while_reading_stops_the_pass_with_nothing_lost(
    tmp_path, disk, bridge
):
    with pytest.raises(NotApplied) as error:
        stop_at("read.done", 3, disk, bridge, lambda: bridge.plan("people"))
    assert error.value.code == "ledger.unavailable"
    assert effects(tmp_path) == []
    go_on(disk, bridge)
    assert finish(tmp_path, disk).clean


def test_a_full_disk_while_delivering_settles_nothing_and_doubles_nothing(
    tmp_path, disk, bridge
):
    plan = bridge.plan("people")
    with pytest.raises(NotApplied) as error:
        stop_at("answer.read", 3, disk, bridge, lambda: agree(bridge, plan))
    assert error.value.code == "ledger.unavailable"
    with bridge.ledger.read() as tx:
        done = tx.value(
            "SELECT count(*) FROM intent i JOIN parcel p ON p.parcel_id=i.parcel_id "
            "WHERE coalesce(i.state, p.state)=10"
        )
    assert 0 < done <= len(effects(tmp_path)) < COUNT, "settled more than there was"
    go_on(disk, bridge)
    proof = finish(tmp_path, disk)
    assert proof.clean, proof
    assert proof.records == proof.links == proof.effects == COUNT


def agree(bridge, plan):
    rules = [finding.rule for finding in plan.verdict.findings]
    return bridge.apply(plan, confirm=plan.verdict.count, accept=rules)


def stop_at(point, nth, disk, bridge, act):
    """The disk is full from the n-th time on that the point is passed."""
    passed = []

    def hook(name):
        if name == point:
            passed.append(name)
            if len(passed) == nth:
                disk.fill(bridge)

    with world.hooked(hook):
        act()


def go_on(disk, bridge):
    """There is room again; what could not be given back meanwhile is waited for."""
    disk.make_room(bridge)
    world.expire_leases(disk.ledger)
    world.carry_on(bridge)


def test_a_seat_that_could_not_be_given_back_is_free_once_there_is_room(disk):
    ledger = Ledger(f"sqlite:///{disk.ledger}/ledger.db")
    seats = LedgerQuotas(ledger, seat=0.5)
    seat = seats.enter("hr", 1)
    with mock.patch.object(seats, "_write", side_effect=unavailable):
        seats.leave(seat)
    since = time.monotonic()
    while (again := seats.enter("hr", 1)) is None:
        assert time.monotonic() - since < 60, "it is renewed for ever"
        time.sleep(0.05)
    seats.leave(again)
    seats.close()
    ledger.close()


def unavailable():
    raise NotApplied("full", code="ledger.unavailable")
