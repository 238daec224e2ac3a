"""An old copy of the ledger that was put back is noticed, and nothing else is."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys

import pytest

from moatbridge.adapter.secret import Secret
from moatbridge.errors import ConfigurationError
from moatbridge.ledger import Ledger, anchor, restoring


@pytest.fixture(autouse=True)
def _every_transaction(monkeypatch):
    monkeypatch.setattr(anchor, "EVERY", 0.0)


def opened(folder, **more):
    return Ledger(f"sqlite:///{folder}/ledger.db", **more)


def used(folder, times=1, **more):
    """Open, write so often, close."""
    ledger = opened(folder, **more)
    for _ in range(times):
        set_number(ledger)
    ledger.close()


def set_number(ledger):
    with ledger.write() as tx:
        tx.run("UPDATE meta SET value='7' WHERE name='next_link'")


def spoil(tx):
    tx.run("UPDATE meta SET value='8' WHERE name='next_link'")
    raise ZeroDivisionError


def noted(folder):
    return json.loads((folder / "ledger.db-anchor").read_text())


def copied(folder, name="copy.db"):
    ledger = opened(folder)
    ledger.db.backup(folder / name)
    ledger.close()


def put_back(folder, name="copy.db"):
    for suffix in ("-wal", "-shm"):
        (folder / f"ledger.db{suffix}").unlink(missing_ok=True)
    shutil.copy(folder / name, folder / "ledger.db")


def refused(folder, **more):
    with pytest.raises(ConfigurationError) as error:
        opened(folder, **more)
    assert error.value.code == "ledger.rolled-back"
    assert "moatbridge ledger restored" in error.value.message
    return True


def test_an_old_copy_that_was_put_back_is_refused_until_somebody_says_so(tmp_path):
    used(tmp_path)
    copied(tmp_path)
    used(tmp_path, 3)
    put_back(tmp_path)
    assert refused(tmp_path)
    ledger = opened(tmp_path, older=True)
    with ledger.write() as tx:
        assert restoring.restored(tx, actor="ada", last=ledger.db.last_epoch) == 1
    ledger.close()
    used(tmp_path)
    assert noted(tmp_path)["epoch"] == 1


def test_a_copy_put_back_twice_does_not_come_to_one_epoch_twice(tmp_path):
    used(tmp_path)
    copied(tmp_path)
    for expected in (1, 2, 3):
        used(tmp_path)
        put_back(tmp_path)
        assert refused(tmp_path)
        ledger = opened(tmp_path, older=True)
        with ledger.write() as tx:
            last = ledger.db.last_epoch
            assert restoring.restored(tx, actor="ada", last=last) == expected
        ledger.close()


def test_an_old_copy_that_is_put_back_under_a_running_process_stops_it(tmp_path):
    used(tmp_path, 5)
    copied(tmp_path)
    ledger = opened(tmp_path)
    for _ in range(5):
        set_number(ledger)
    ledger.db.close()  # its connections are idle at that moment
    put_back(tmp_path)
    with pytest.raises(ConfigurationError) as error:
        set_number(ledger)
    assert error.value.code == "ledger.rolled-back"
    ledger.close()


def test_what_was_read_only_since_the_copy_is_no_rollback(tmp_path):
    used(tmp_path)
    copied(tmp_path)
    ledger = opened(tmp_path)
    with ledger.read() as tx:
        assert tx.value("SELECT count(*) FROM link") == 0
    ledger.close()
    put_back(tmp_path)
    used(tmp_path)


def test_a_transaction_that_was_rolled_back_leaves_no_note(tmp_path):
    used(tmp_path)
    before = noted(tmp_path)
    ledger = opened(tmp_path)
    with pytest.raises(ZeroDivisionError), ledger.write() as tx:
        spoil(tx)
    ledger.close()
    assert noted(tmp_path) == before
    used(tmp_path)


@pytest.mark.parametrize(
    "words", [None, b"", b"\0" * 90, b"{}", b"[1]", b'{"epoch": "x"}']
)
def test_a_note_that_is_missing_or_damaged_says_nothing_and_is_made_anew(tmp_path, words):  # fmt: skip
    used(tmp_path, 2)
    file = tmp_path / "ledger.db-anchor"
    file.unlink() if words is None else file.write_bytes(words)
    used(tmp_path)
    assert noted(tmp_path)["number"] == 3
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not list(tmp_path.glob("ledger.db-anchor.*"))


def test_a_note_of_another_ledger_says_nothing(tmp_path):
    used(tmp_path, 9)
    first = noted(tmp_path)
    for name in ("ledger.db", "ledger.db-wal", "ledger.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    used(tmp_path)
    assert noted(tmp_path)["ledger_id"] != first["ledger_id"]
    assert noted(tmp_path)["number"] == 1


def test_a_copy_in_another_place_is_a_ledger_like_any_other(tmp_path):
    used(tmp_path)
    (tmp_path / "there").mkdir()
    copied(tmp_path, "there/ledger.db")
    used(tmp_path, 3)
    used(tmp_path / "there")


def test_commits_that_a_power_failure_may_take_back_are_not_noted(tmp_path):
    used(tmp_path, durability="normal")
    assert not (tmp_path / "ledger.db-anchor").exists()


def test_a_note_costs_nothing_most_of_the_time(tmp_path, monkeypatch):
    monkeypatch.setattr(anchor, "EVERY", 3600.0)
    used(tmp_path, 50)
    assert noted(tmp_path)["number"] == 1


def test_a_note_that_cannot_be_written_stops_nothing(tmp_path):
    (tmp_path / "ledger.db-anchor").mkdir()
    used(tmp_path, 2)
    assert (tmp_path / "ledger.db-anchor").is_dir()


WRITER = """
import sys
from moatbridge.ledger import Ledger, anchor
anchor.EVERY = 0.0
ledger = Ledger(sys.argv[1])
print("ready", flush=True)
while True:
    with ledger.write() as tx:
        tx.run("UPDATE meta SET value='7' WHERE name='next_link'")
"""


def test_processes_killed_while_they_write_side_by_side_leave_no_false_alarm(tmp_path):
    used(tmp_path)
    url = f"sqlite:///{tmp_path}/ledger.db"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, url], stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    try:
        for writer in writers:
            assert writer.stdout.readline() == "ready\n"
        before = noted(tmp_path)["number"]
        while noted(tmp_path)["number"] < before + 20:
            used(tmp_path)  # opened while others write: no alarm either
    finally:
        for writer in writers:
            os.kill(writer.pid, signal.SIGKILL)
            writer.communicate()
    used(tmp_path)


def test_a_process_stays_stopped_until_somebody_says_so_and_then_goes_on(
    tmp_path, monkeypatch
):
    """Not one write a second is refused, but every one."""
    used(tmp_path, 5)
    copied(tmp_path)
    ledger = opened(tmp_path)
    for _ in range(5):
        set_number(ledger)
    ledger.db.close()
    put_back(tmp_path)
    monkeypatch.setattr(anchor, "EVERY", 3600.0)
    ledger.db._store.anchor._due = float("-inf")  # the hour is over
    for _ in range(5):
        with pytest.raises(ConfigurationError) as error:
            set_number(ledger)
        assert error.value.code == "ledger.rolled-back"
    said = opened(tmp_path, older=True)
    with said.write() as tx:
        restoring.restored(tx, actor="ada", last=said.db.last_epoch)
    said.close()
    set_number(ledger)
    ledger.close()


def test_opening_an_old_copy_to_say_so_forgets_nothing_until_it_is_said(
    tmp_path, monkeypatch
):
    used(tmp_path)
    copied(tmp_path)
    used(tmp_path, 5)
    put_back(tmp_path)
    before = noted(tmp_path)
    monkeypatch.setenv("LEDGER_KEY", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
    ledger = opened(tmp_path, older=True, keys=[Secret("env:LEDGER_KEY")])
    with pytest.raises(ZeroDivisionError), ledger.write() as tx:
        spoil(tx)
    ledger.close()
    assert noted(tmp_path) == before
    assert refused(tmp_path, keys=[Secret("env:LEDGER_KEY")])


def test_the_note_of_another_ledger_says_nothing_about_epochs(tmp_path):
    used(tmp_path)
    note = tmp_path / "ledger.db-anchor"
    note.write_text(json.dumps({**noted(tmp_path), "ledger_id": "else", "epoch": 70}))
    ledger = opened(tmp_path)
    assert ledger.db.last_epoch == 0
    ledger.close()


WRITER = """
import sys, time
from moatbridge.ledger import Ledger
ledger = Ledger(sys.argv[1])
def put(first, last):
    with ledger.write() as tx:
        tx.many("INSERT INTO audit_in(at, kind, body) VALUES(?, 'k', ?)",
                [(float(n), "x" * 300) for n in range(first, last)])
put(2000, 4000)
with ledger.db._store.connections.one() as connection:
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
put(4000, 4300)
with ledger.write() as tx:
    tx.run("DELETE FROM audit_in WHERE at<100")
print("ready", flush=True)
time.sleep(600)
"""


def test_a_copy_over_which_an_old_log_lies_is_told(tmp_path):
    """A worker was killed, and its ledger's -wal was not taken away."""
    ledger = opened(tmp_path)
    with ledger.write() as tx:
        tx.many(
            "INSERT INTO audit_in(at, kind, body) VALUES(?, 'k', ?)",
            [(float(n), "x" * 300) for n in range(2000)],
        )
    ledger.db.check_whole()
    ledger.db.backup(tmp_path / "copy.db")
    ledger.close()
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, f"sqlite:///{tmp_path}/ledger.db"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with writer:
        assert writer.stdout.readline() == "ready\n"
        writer.kill()
    shutil.copy(tmp_path / "copy.db", tmp_path / "ledger.db")
    ledger = opened(tmp_path, older=True)
    with pytest.raises(ConfigurationError) as error:
        ledger.db.check_whole()
    assert error.value.code == "ledger.spoilt"
    ledger.close()
    put_back(tmp_path)
    ledger = opened(tmp_path, older=True)
    ledger.db.check_whole()
    ledger.close()
