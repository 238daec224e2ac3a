"""The database opens only where a commit is a commit, and fails without harm (delivery 5-13)."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys

import pytest

from moatbridge.errors import ConfigurationError, NotApplied
from moatbridge.ledger import Ledger, sqlite


def url(folder):
    return f"sqlite:///{folder}/ledger.db"


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("sqlite:///:memory:", "ledger.url"),
        ("sqlite://", "ledger.url"),
        ("postgresql+psycopg://mb:hunter2@db/led", "ledger.url"),
        ("postgresql+psycopg://mb:hunter2/x@db/led", "ledger.url"),
        ("postgresql+psycopg://mb@db/led?password=hunter2", "ledger.url"),
        ("postgresql+psycopg://mb@db/", "ledger.url"),
        ("postgresql://mb@db/led", "ledger.url"),
        ("mysql://db/x", "ledger.url"),
        ("sqlite:///file:ledger.db", "ledger.url"),
        ("sqlite:////tmp/ledger.db?mode=memory", "ledger.url"),
        ("sqlite:////no/such/folder/ledger.db", "ledger.url"),
    ],
)
def test_a_ledger_that_would_forget_or_is_not_supported_is_refused(address, code):
    with pytest.raises(ConfigurationError) as error:
        Ledger(address)
    assert error.value.code == code
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs"])
def test_a_network_file_system_is_refused(kind, tmp_path, monkeypatch):
    table = [
        "/dev/sda1 / ext4 rw 0 0",
        f"server:/x {tmp_path.parent} {kind} rw 0 0",
        "proc /proc proc rw 0 0",
    ]
    monkeypatch.setattr(sqlite, "_mount_table", lambda: table)
    with pytest.raises(ConfigurationError) as error:
        Ledger(url(tmp_path))
    assert error.value.code == "ledger.network-file-system"
    assert not (tmp_path / "ledger.db").exists()


def test_a_local_mount_below_a_network_one_is_fine(tmp_path, monkeypatch):
    table = [
        f"server:/x {tmp_path.parent} nfs4 rw 0 0",
        f"/dev/sdb1 {tmp_path} ext4 rw 0 0",
    ]
    monkeypatch.setattr(sqlite, "_mount_table", lambda: table)
    Ledger(url(tmp_path)).close()


def test_spaces_in_mount_points_are_understood(tmp_path, monkeypatch):
    folder = tmp_path / "a b"
    folder.mkdir()
    monkeypatch.setattr(
        sqlite, "_mount_table", lambda: [f"s:/ {tmp_path}/a\\040b nfs rw 0 0"]
    )
    with pytest.raises(ConfigurationError):
        Ledger(url(folder))


def test_opening_again_changes_nothing(tmp_path):
    first = Ledger(url(tmp_path))
    identity = first.ledger_id
    first.close()
    second = Ledger(url(tmp_path))
    assert second.ledger_id == identity
    second.close()


def test_every_connection_is_durable_and_private(tmp_path):
    ledger = Ledger(url(tmp_path))
    with ledger.write() as tx:
        pragmas = {
            name: tx.value(f"PRAGMA {name}")
            for name in ("journal_mode", "synchronous", "foreign_keys", "secure_delete")
        }
    assert pragmas == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "secure_delete": 1,
    }
    assert stat.S_IMODE((tmp_path / "ledger.db").stat().st_mode) == 0o600
    ledger.close()


def test_a_read_modify_write_is_one_transaction(tmp_path):
    """BEGIN IMMEDIATE: another writer cannot slip in between SELECT and UPDATE."""
    ledger = Ledger(url(tmp_path))
    other = sqlite3.connect(tmp_path / "ledger.db", timeout=0, isolation_level=None)
    with ledger.write() as tx:
        tx.value("SELECT value FROM meta WHERE name='next_link'")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("UPDATE meta SET value='9' WHERE name='next_link'")
    other.close()
    ledger.close()


def _write_and_fail(tx):
    tx.run("UPDATE meta SET value='99' WHERE name='next_link'")
    raise KeyError


def test_any_exception_rolls_back(tmp_path):
    ledger = Ledger(url(tmp_path))
    with pytest.raises(KeyError), ledger.write() as tx:
        _write_and_fail(tx)
    with ledger.read() as tx:
        assert tx.value("SELECT value FROM meta WHERE name='next_link'") == "1"
    ledger.close()


def test_a_full_disk_is_not_applied_and_the_ledger_is_unharmed(tmp_path):
    """Delivery 13."""
    ledger = Ledger(url(tmp_path))
    with ledger.read() as tx:
        pages = tx.value("PRAGMA page_count")
    ledger.close()
    limit = pages + 4

    def small(connection):
        connection.execute(f"PRAGMA max_page_count={limit}")

    ledger.db._store.connections.opened.append(small)

    with pytest.raises(NotApplied) as error, ledger.write() as tx:
        tx.many(
            "INSERT INTO audit_in(at, kind, body) VALUES(?,?,?)",
            [(1.0, "x", "y" * 3000)] * 100,
        )
    assert error.value.code == "ledger.unavailable"
    assert "SQLITE_FULL" in str(error.value)
    with ledger.read() as tx:
        assert tx.value("SELECT count(*) FROM audit_in") == 0
        assert tx.value("PRAGMA integrity_check") == "ok"
    limit = pages + 10_000
    ledger.close()
    with ledger.write() as tx:
        tx.many(
            "INSERT INTO audit_in(at, kind, body) VALUES(?,?,?)",
            [(1.0, "x", "y" * 3000)] * 100,
        )
    ledger.close()


def test_a_file_that_is_no_database_is_refused_without_harm(tmp_path):
    (tmp_path / "ledger.db").write_bytes(b"something else entirely" * 100)
    with pytest.raises(NotApplied) as error:
        Ledger(url(tmp_path))
    assert error.value.code == "ledger.unavailable"
    assert (tmp_path / "ledger.db").read_bytes() == b"something else entirely" * 100


def test_a_broken_constraint_is_a_bug_not_a_bad_disk(tmp_path):
    ledger = Ledger(url(tmp_path))
    rows = [(1, 0, 1, 0), (1, 0, 2, 0)]
    with pytest.raises(AssertionError, match="ledger constraint"), ledger.write() as tx:
        tx.many("INSERT INTO open(link_id, slot, parcel_id, pos) VALUES(?,?,?,?)", rows)
    with ledger.read() as tx:
        assert tx.value("SELECT count(*) FROM open") == 0
    ledger.close()


def test_errors_never_show_parameters(tmp_path):
    ledger = Ledger(url(tmp_path))
    with pytest.raises(NotApplied) as error, ledger.write() as tx:
        tx.run("INSERT INTO no_such_table VALUES(?)", "ada@secret.example")
    assert "secret" not in str(error.value) + repr(error.value)
    ledger.close()


def test_a_backup_is_a_ledger(tmp_path):
    ledger = Ledger(url(tmp_path))
    with ledger.write() as tx:
        tx.run("UPDATE meta SET value='42' WHERE name='next_link'")
    (tmp_path / "copy").mkdir()
    ledger.db.backup(tmp_path / "copy" / "ledger.db")
    copy = Ledger(url(tmp_path / "copy"))
    assert copy.ledger_id == ledger.ledger_id
    copy.close()
    ledger.close()


def modes(folder):
    return {
        file.name: stat.S_IMODE(file.stat().st_mode)
        for file in folder.glob("ledger.db*")
    }


def test_an_open_file_is_closed_to_others_before_sqlite_copies_its_permissions(
    tmp_path,
):
    Ledger(url(tmp_path)).close()
    (tmp_path / "ledger.db").chmod(0o644)
    ledger = Ledger(url(tmp_path))
    with ledger.write() as tx:
        tx.run("UPDATE meta SET value='42' WHERE name='next_link'")
    assert modes(tmp_path) == {
        "ledger.db": 0o600,
        "ledger.db-wal": 0o600,
        "ledger.db-shm": 0o600,
        "ledger.db-anchor": 0o600,
    }
    ledger.close()


def test_what_a_killed_process_left_open_is_closed_to_others(tmp_path):
    Ledger(url(tmp_path)).close()
    holder = sqlite3.connect(tmp_path / "ledger.db")
    holder.execute("SELECT * FROM meta").fetchall()
    for file in tmp_path.glob("ledger.db*"):
        file.chmod(0o644)
    assert len(modes(tmp_path)) == 3
    ledger = Ledger(url(tmp_path))
    assert set(modes(tmp_path).values()) == {0o600}
    ledger.close()
    holder.close()


@pytest.mark.parametrize("name", ["ledger.db", "ledger.db-wal", "ledger.db-shm"])
@pytest.mark.parametrize("dangling", [True, False])
def test_a_ledger_that_is_a_link_is_refused_and_not_followed(tmp_path, name, dangling):
    other = tmp_path / "other"
    if not dangling:
        other.write_bytes(b"")
        other.chmod(0o644)
    (tmp_path / name).symlink_to(other)
    with pytest.raises(ConfigurationError) as error:
        Ledger(url(tmp_path))
    assert error.value.code == "ledger.symlink"
    assert other.exists() is not dangling
    assert dangling or (other.read_bytes(), stat.S_IMODE(other.stat().st_mode)) == (
        b"",
        0o644,
    )


def test_opening_again_keeps_the_locks_of_this_process(tmp_path):
    ledger = Ledger(url(tmp_path))
    script = (
        "import sqlite3, sys\n"
        "try: sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None).execute('BEGIN IMMEDIATE')\n"
        "except sqlite3.OperationalError as error: print(error)\n"
    )
    with ledger.write() as tx:
        tx.run("UPDATE meta SET value='42' WHERE name='next_link'")
        sqlite._make_private(ledger.db.path)
        ran = subprocess.run(
            [sys.executable, "-c", script, ledger.db.path],
            capture_output=True,
            text=True,
            check=True,
        )
    assert "locked" in ran.stdout
    ledger.close()


def test_a_ledger_in_a_folder_with_an_odd_name(tmp_path):
    folder = tmp_path / "a %20b#c"
    folder.mkdir()
    Ledger(url(folder)).close()
    assert modes(folder) == {"ledger.db": 0o600}
    assert not list(tmp_path.glob("a b*"))


def test_a_backup_is_private_and_never_overwrites(tmp_path):
    ledger = Ledger(url(tmp_path))
    ledger.db.backup(tmp_path / "copy.db")
    assert stat.S_IMODE((tmp_path / "copy.db").stat().st_mode) == 0o600
    assert not list(tmp_path.glob("copy.db-*"))
    (tmp_path / "mine").write_text("something else")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("mine", "link", "copy.db"):
        with pytest.raises(ConfigurationError) as error:
            ledger.db.backup(tmp_path / name)
        assert error.value.code == "ledger.exists"
    assert (tmp_path / "mine").read_text() == "something else"
    assert not (tmp_path / "nowhere").exists()
    ledger.close()


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("no/such/copy.db", "the folder {0}/no/such does not exist"),
        ("file/copy.db", "{0}/file is no folder"),
        ("/proc/copy.db", "/proc"),  # where not even root may
        ("x" * 300, "the system says: File name too long"),
    ],
)
def test_a_backup_to_where_no_file_can_be_says_why(tmp_path, target, words):
    (tmp_path / "file").write_text("x")
    ledger = Ledger(url(tmp_path))
    with pytest.raises(ConfigurationError) as error:
        ledger.db.backup(tmp_path / target)
    assert error.value.code == "ledger.backup"
    assert words.format(tmp_path) in error.value.message
    ledger.close()


def test_a_backup_onto_the_ledger_itself_or_its_log_leaves_it_alone(tmp_path):
    ledger = Ledger(url(tmp_path))
    with ledger.write() as tx:
        tx.run("UPDATE meta SET value='42' WHERE name='next_link'")
    for name in ("ledger.db", "ledger.db-wal", "ledger.db-anchor"):
        with pytest.raises(ConfigurationError) as error:
            ledger.db.backup(tmp_path / name)
        assert error.value.code == "ledger.exists"
    with ledger.read() as tx:
        assert tx.value("SELECT value FROM meta WHERE name='next_link'") == "42"
    ledger.close()


class Full(sqlite3.Connection):
    """A copy whose disk is full after two pages."""

    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        self.execute("PRAGMA max_page_count=2")


class Cut(sqlite3.Connection):
    """A copy whose maker is interrupted at the end."""

    def close(self):
        super().close()
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("made", "error"), [(Full, NotApplied), (Cut, KeyboardInterrupt)]
)
def test_a_backup_that_ends_early_leaves_no_half_copy(tmp_path, monkeypatch, made, error):  # fmt: skip
    ledger = Ledger(url(tmp_path))
    plain, names = sqlite3.connect, []

    def connect(path):
        names.append(path.name)
        return plain(path, factory=made)

    monkeypatch.setattr(sqlite3, "connect", connect)
    with pytest.raises(error) as caught:
        ledger.db.backup(tmp_path / "copy.db")
    monkeypatch.undo()
    assert names == ["copy.db.part"], "half a copy has no name to be taken for a whole"
    assert not list(tmp_path.glob("copy*"))
    if error is NotApplied:
        assert "has room" in caught.value.message
    ledger.close()
