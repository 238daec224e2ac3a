"""``ledger backup`` and ``ledger restored``, and a ledger on PostgreSQL from the command line."""

from __future__ import annotations

import shutil
import sqlite3

import pytest

from moatbridge.ledger import Ledger, workers
from servers.places import PASSWORD


def value(world, sql):
    ledger = Ledger(f"sqlite:///{world.folder}/ledger.db")
    with ledger.read() as tx:
        found = tx.value(sql)
    ledger.close()
    return found


def keys(world):
    with world.system("social") as social:
        return [effect.key for effect in social.effects()]


def test_a_ledger_restored_from_a_backup_makes_other_keys_and_doubles_nothing(world):
    world.applied()
    ran = world.cli("ledger", "backup", "copy.db")
    assert ran.code == 0
    assert "Copied to copy.db" in ran.out
    world.put(3, family="Lost")
    world.applied()
    for suffix in ("-wal", "-shm"):
        (world.folder / f"ledger.db{suffix}").unlink(missing_ok=True)
    shutil.copy(world.folder / "copy.db", world.folder / "ledger.db")
    ran = world.cli("ledger", "restored")
    assert ran.code == 0
    assert "epoch 1" in ran.out
    assert "moatbridge reconcile people" in ran.out
    assert value(world, "SELECT min(fence) FROM partition") >= 1_000_000
    assert "ledger-restored" in value(world, "SELECT group_concat(kind) FROM audit_in")
    world.put(3, family="Newest")
    world.applied()
    assert world.target()["u0003"]["family"] == "Newest"
    assert len(world.target()) == 30
    assert len(set(keys(world))) == len(keys(world))
    assert world.cli("ledger", "restored", "--json").json["epoch"] == 2


def test_a_ledger_that_somebody_works_with_was_not_restored(world):
    world.applied()
    ledger = Ledger(f"sqlite:///{world.folder}/ledger.db")
    with ledger.write() as tx:
        tx.run("UPDATE partition SET not_before=0")
    lease = ledger.leases.claim(1, "control", "worker-7")
    assert lease is not None
    ran = world.cli("ledger", "restored")
    assert ran.code == 2
    assert "worker-7" in ran.err
    ledger.leases.release(lease)
    ledger.close()
    assert value(world, "SELECT value FROM meta WHERE name='epoch'") == "0"


def test_a_ledger_with_a_worker_between_two_leases_was_not_restored(world):
    world.applied()
    ledger = Ledger(f"sqlite:///{world.folder}/ledger.db")
    now = ledger.now()
    idle = workers.Worker("host:7", ("default",), 4, 0, 0, now, now - 20)
    with ledger.write() as tx:
        workers.tell(tx, "tenant-2", idle)
    ran = world.cli("ledger", "restored")
    assert ran.code == 2
    assert "host:7" in ran.err
    with ledger.write() as tx:
        workers.tell(tx, "tenant-2", idle._replace(seen=now + 900))  # a clock set back
        workers.tell(tx, "tenant-2", idle._replace(owner="dead:1", seen=now - 900))
    ledger.close()
    assert world.cli("ledger", "restored").code == 0


def test_an_old_copy_that_was_put_back_in_silence_is_refused_by_every_command(world):
    world.applied()
    assert world.cli("ledger", "backup", "copy.db").code == 0
    world.put(3, family="Lost")
    world.applied()
    for suffix in ("-wal", "-shm"):
        (world.folder / f"ledger.db{suffix}").unlink(missing_ok=True)
    shutil.copy(world.folder / "copy.db", world.folder / "ledger.db")
    for command in (("status",), ("plan", "people"), ("ledger", "backup", "b.db")):
        ran = world.cli(*command)
        assert ran.code == 2
        assert "moatbridge ledger restored" in ran.err
    assert world.cli("ledger", "restored").code == 0
    assert world.cli("status").code == 0


def test_a_backup_to_a_folder_that_is_not_there_says_so(world):
    world.applied()
    ran = world.cli("ledger", "backup", "no/such/copy.db")
    assert ran.code == 2
    assert "the folder no/such does not exist" in ran.err


def test_a_backup_never_overwrites(world):
    world.applied()
    (world.folder / "mine").write_text("something else")
    ran = world.cli("ledger", "backup", "mine", "--json")
    assert ran.code == 2
    assert (world.folder / "mine").read_text() == "something else"
    assert world.cli("ledger", "backup", "new.db", "--json").json["file"] == "new.db"
    with sqlite3.connect(world.folder / "new.db") as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    copy.close()


@pytest.fixture
def shared(world, ledger_server, monkeypatch):
    """The same bridge, its ledger on a server."""
    place = ledger_server.place()
    text = world.path.read_text().replace(
        'url = "sqlite:///ledger.db"',
        f'url = "{place.url}"\npassword = "env:LEDGER_PASSWORD"',
    )
    world.path.write_text(text)
    monkeypatch.setenv("LEDGER_PASSWORD", PASSWORD)
    return world


def test_a_bridge_runs_with_its_ledger_on_postgresql(shared):
    shared.applied()
    assert len(shared.target()) == 30
    shared.put(3, family="Changed")
    assert shared.cli("run", "--once", "people").code in {0, 10, 11, 12}
    told = shared.cli("status", "--json")
    assert told.code == 0
    assert not (shared.folder / "ledger.db").exists()


def test_check_refuses_a_server_that_forgets_commits(shared):
    ran = shared.cli("check")
    assert ran.code == 1
    assert "PROBLEM   ledger.fsync:" in ran.out
    assert [t["code"] for t in shared.cli("check", "--json").json["ledger"]] == [
        "ledger.fsync"
    ]


def test_a_ledger_on_postgresql_is_copied_with_its_own_tools(shared):
    ran = shared.cli("ledger", "backup", "copy.db")
    assert ran.code == 2
    assert "pg_dump" in ran.err
    assert not (shared.folder / "copy.db").exists()
    assert shared.cli("ledger", "restored").code == 0


def test_a_password_is_never_shown(shared, monkeypatch):
    monkeypatch.setenv("LEDGER_PASSWORD", "wrong-password")
    ran = shared.cli("status")
    assert ran.code == 2
    assert "ledger" in ran.err
    assert "wrong-password" not in ran.out + ran.err
    shown = shared.cli("config", "show").out
    assert PASSWORD not in shown
    assert "env:LEDGER_PASSWORD" in shown
    text = shared.path.read_text()
    shared.path.write_text(text.replace("://ledger", "://hunter2:hunter2@x/ledger"))
    ran = shared.cli("status")
    assert ran.code == 2
    assert "hunter2" not in ran.out + ran.err
