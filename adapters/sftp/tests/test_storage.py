"""One behaviour, three backends: OpenSSH, asyncssh, and the local disk."""

from __future__ import annotations

import os
import secrets
import shutil
import threading
from typing import TYPE_CHECKING

import pytest

from moatbridge.errors import ConfigurationError, NotApplied
from moatbridge.testing import net
from moatbridge_sftp.storage import (
    SMALL,
    SshAuth,
    SshSettings,
    StorageFault,
    endpoints,
    open_storage,
)
from servers.asyncssh_server import asyncssh_server  # noqa: F401 - a fixture
from servers.openssh import USER_ID, openssh  # noqa: F401 - a fixture

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from moatbridge_sftp.storage import Storage

BIG = secrets.token_bytes(1_500_000)
LISTED = {"folder": ("folder", 0), "a.csv": ("file", 5), "b.csv": ("file", 0)}


class Drop:
    """An open storage and the folder behind it."""

    def __init__(self, storage: Storage, path: Path, *, owned: bool) -> None:
        self.storage = storage
        self.path = path
        self.owned = owned

    def put(self, name: str | bytes, content: bytes = b"") -> Path:
        """A file that somebody else placed there."""
        path = self.path / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        if self.owned:
            shutil.chown(path, USER_ID, USER_ID)
            shutil.chown(path.parent, USER_ID, USER_ID)
        return path


def content_of(folder: Path) -> list[str]:
    """Names in a folder of this machine."""
    return sorted(path.name for path in folder.iterdir())


def connect(url: str, **more) -> Storage:
    ssh = SshSettings(**more)
    return open_storage(url, net=net(endpoints(url, ssh)), ssh=ssh)


@pytest.fixture(params=["openssh", "asyncssh", "local"])
def drop(request, tmp_path) -> Iterator[Drop]:
    folder = secrets.token_hex(6)
    if request.param == "local":
        with open_storage(f"file://{tmp_path}", net=net([])) as storage:
            yield Drop(storage, tmp_path, owned=False)
        return
    name = "openssh" if request.param == "openssh" else "asyncssh_server"
    server = request.getfixturevalue(name)
    path = server.drop / folder
    path.mkdir()
    if request.param == "openssh":
        shutil.chown(path, USER_ID, USER_ID)
        url = server.url("key", folder)
    else:
        url = server.url(folder)
    keys = (server.fingerprint(),)
    with connect(url, host_keys=keys, auth=SshAuth(**server.auth())) as storage:
        yield Drop(storage, path, owned=request.param == "openssh")


def test_a_listing_shows_kinds_sizes_and_times_and_does_not_follow_links(drop):
    drop.put("a.csv", b"hello")
    drop.put("b.csv")
    (drop.path / "folder").mkdir()
    (drop.path / "link").symlink_to("/etc/passwd")
    os.utime(drop.path / "a.csv", (1_700_000_000, 1_700_000_000))
    entries, skipped = drop.storage.list(".", limit=10)
    found = {entry.name: (entry.kind, entry.size) for entry in entries}
    assert found == {**LISTED, "link": ("link", 0)}
    assert skipped == []
    by_name = {entry.name: entry for entry in entries}
    assert by_name["a.csv"].mtime == 1_700_000_000
    assert by_name["a.csv"].raw == b"a.csv"
    assert drop.storage.stat("link").kind == "link"


def test_names_that_could_do_harm_are_skipped_and_reported(drop):
    drop.put("ok.csv")
    drop.put("a\nb")
    drop.put("\u202egnp.exe")
    entries, skipped = drop.storage.list(".", limit=10)
    assert [entry.name for entry in entries] == ["ok.csv"]
    assert sorted(skipped) == ["bad-name:\\u202egnp.exe", "bad-name:a\\nb"]


def test_a_name_in_cp1252_can_be_read_and_renamed(drop):
    drop.put(b"M\xfcller.csv", b"12345")
    entries, _ = drop.storage.list(".", limit=10)
    assert [(one.name, one.raw) for one in entries] == [
        ("Müller.csv", b"M\xfcller.csv")
    ]
    assert b"".join(drop.storage.read("Müller.csv", size=5)) == b"12345"
    drop.storage.rename("Müller.csv", "done.csv")
    assert content_of(drop.path) == ["done.csv"]


def test_more_entries_than_the_limit_is_an_error_not_a_cut(drop):
    for number in range(6):
        drop.put(f"{number}.csv")
    with pytest.raises(ConfigurationError) as caught:
        drop.storage.list(".", limit=5)
    assert caught.value.code == "sftp.too-many-files"
    assert len(drop.storage.list(".", limit=6)[0]) == 6


def test_an_absent_folder_and_an_absent_file_are_told(drop):
    with pytest.raises(StorageFault) as caught:
        drop.storage.list("nowhere", limit=5)
    assert caught.value.kind == "absent"
    assert drop.storage.stat("nowhere") is None
    assert drop.storage.read_text("nowhere") is None
    with pytest.raises(StorageFault) as caught:
        list(drop.storage.read("nowhere", size=1))
    assert caught.value.kind == "absent"


@pytest.mark.parametrize("size", [0, 1, 261_120, 261_121, len(BIG)])
def test_a_file_is_read_whole_and_in_order(drop, size):
    drop.put("big.bin", BIG[:size])
    pieces = list(drop.storage.read("big.bin", size=size))
    assert b"".join(pieces) == BIG[:size]
    assert max(map(len, pieces), default=0) <= 256 * 1024


@pytest.mark.parametrize("listed", [99, 101])
def test_a_file_of_another_size_than_listed_has_changed(drop, listed):
    drop.put("a.csv", b"x" * 100)
    with pytest.raises(NotApplied) as caught:
        list(drop.storage.read("a.csv", size=listed))
    assert caught.value.code == "sftp.changed"


@pytest.mark.parametrize("growth", [b"", b"more"])
def test_a_file_written_to_while_it_is_read_has_changed(drop, growth):
    path = drop.put("big.bin", BIG)
    os.utime(path, (1_700_000_000, 1_700_000_000))
    reading = drop.storage.read("big.bin", size=len(BIG))
    next(reading)
    with path.open("ab") as file:
        file.write(growth)
    os.utime(path, (1_700_000_900, 1_700_000_900))
    with pytest.raises(NotApplied) as caught:
        list(reading)
    assert caught.value.code == "sftp.changed"


def test_a_file_cut_while_it_is_read_has_changed(drop):
    path = drop.put("big.bin", BIG * 6)
    reading = drop.storage.read("big.bin", size=len(BIG) * 6)
    next(reading)
    os.truncate(path, 1000)
    with pytest.raises(NotApplied) as caught:
        list(reading)
    assert caught.value.code == "sftp.changed"


def test_reading_may_be_left_early_and_mixed_with_other_calls(drop):
    drop.put("big.bin", BIG * 4)
    drop.put("small", b"s")
    reading = drop.storage.read("big.bin", size=len(BIG) * 4)
    first = next(reading)
    assert drop.storage.read_text("small") == b"s"
    assert first + next(reading) == BIG[: len(first) * 2]
    reading.close()
    assert drop.storage.read_text("small") == b"s"


def test_small_files_come_in_the_order_asked_for(drop):
    wanted = []
    for number in range(100):
        name = f"{number * 37 % 100}.csv"
        drop.put(name, BIG[:number])
        wanted.append((name, number))
    found = list(drop.storage.read_small(wanted))
    assert found == [(name, BIG[:size]) for name, size in wanted]


def test_small_files_up_to_256_kib(drop):
    drop.put("large", BIG[:SMALL])
    drop.put("limit", BIG[:261_120])
    wanted = [("large", SMALL), ("limit", 261_120)]
    found = dict(drop.storage.read_small(wanted))
    assert found == {name: BIG[:size] for name, size in wanted}


@pytest.mark.parametrize(("listed", "code"), [(3, "sftp.changed"), (8, "sftp.changed")])
def test_a_small_file_that_changed_is_told_at_its_turn(drop, listed, code):
    drop.put("a", b"12345")
    drop.put("b", b"12345")
    reading = drop.storage.read_small([("a", 5), ("b", listed)])
    assert next(reading) == ("a", b"12345")
    with pytest.raises(NotApplied) as caught:
        next(reading)
    assert caught.value.code == code
    assert drop.storage.read_text("a") == b"12345"


def test_a_small_file_that_is_gone_is_told_at_its_turn(drop):
    drop.put("a", b"1")
    reading = drop.storage.read_small([("a", 1), ("gone", 1), ("a", 1)])
    assert next(reading) == ("a", b"1")
    with pytest.raises(StorageFault) as caught:
        next(reading)
    assert caught.value.kind == "absent"


def test_small_files_may_be_left_early(drop):
    for number in range(50):
        drop.put(f"{number}", b"x")
    reading = drop.storage.read_small([(f"{number}", 1) for number in range(50)])
    next(reading)
    reading.close()
    assert drop.storage.stat("7").size == 1


def test_a_rename_moves_and_never_replaces(drop):
    drop.put("a", b"ours")
    drop.put("b", b"theirs")
    with pytest.raises(StorageFault) as caught:
        drop.storage.rename("a", "b")
    assert caught.value.kind == "exists"
    assert (drop.path / "b").read_bytes() == b"theirs"
    drop.storage.rename("a", "c")
    assert content_of(drop.path) == ["b", "c"]


def test_a_rename_of_what_is_gone_is_absent_and_a_missing_folder_is_not(drop):
    with pytest.raises(StorageFault) as caught:
        drop.storage.rename("gone", "b")
    assert caught.value.kind == "absent"
    drop.put("a", b"x")
    with pytest.raises(StorageFault) as caught:
        drop.storage.rename("a", "no-such-folder/a")
    assert caught.value.kind == "failure"
    assert (drop.path / "a").exists()


@pytest.mark.parametrize("size", [0, 1, 261_120, len(BIG)])
def test_a_new_file_is_written_whole(drop, size):
    content = BIG[:size]
    chunks = (content[at : at + 7_001] for at in range(0, size, 7_001))
    assert drop.storage.create("new.bin", chunks) == size
    assert (drop.path / "new.bin").read_bytes() == content
    assert (drop.path / "new.bin").stat().st_mode & 0o007 == 0


def test_a_new_file_never_replaces_another(drop):
    drop.put("a", b"theirs")
    with pytest.raises(StorageFault) as caught:
        drop.storage.create("a", [b"ours"])
    assert caught.value.kind == "exists"
    assert (drop.path / "a").read_bytes() == b"theirs"


def test_a_new_file_needs_its_folder(drop):
    with pytest.raises(StorageFault) as caught:
        drop.storage.create("nowhere/a", [b"x"])
    assert caught.value.kind == "absent"


def test_a_source_that_fails_leaves_no_part(drop):
    def chunks():
        yield BIG
        msg = "the source broke"
        raise RuntimeError(msg)

    with pytest.raises(RuntimeError, match="source broke"):
        drop.storage.create("a", chunks())
    assert content_of(drop.path) == []
    assert drop.storage.create("a", [b"x"]) == 1


def test_folders_are_made_with_their_parents_and_may_exist(drop):
    drop.storage.make_folder("a/b/c")
    drop.storage.make_folder("a/b/c")
    assert drop.storage.stat("a/b/c").kind == "folder"
    drop.put("file")
    with pytest.raises(StorageFault) as caught:
        drop.storage.make_folder("file/x")
    assert caught.value.kind in {"exists", "absent"}


def test_removing_is_repeatable(drop):
    drop.put("a")
    drop.storage.remove("a")
    drop.storage.remove("a")
    assert content_of(drop.path) == []


def test_a_small_text_has_a_limit(drop):
    drop.put("receipt", b"x" * 100)
    assert drop.storage.read_text("receipt", limit=100) == b"x" * 100
    with pytest.raises(StorageFault) as caught:
        drop.storage.read_text("receipt", limit=99)
    assert caught.value.kind == "failure"


def test_no_path_leaves_the_base(drop):
    for path in ("../x", "/etc/passwd", "a/../../x"):
        with pytest.raises(ConfigurationError) as caught:
            drop.storage.stat(path)
        assert caught.value.code == "sftp.path"


def test_the_facts_name_the_server_and_hold_no_secret(drop):
    facts = drop.storage.facts()
    assert facts.product
    assert facts.identity
    assert facts.free is None or facts.free > 0
    assert "password-7" not in repr(facts)


def test_a_base_that_everybody_may_write_to_is_warned_of(drop):
    assert not any("Everybody" in one for one in drop.storage.facts().warnings)
    drop.path.chmod(0o777)
    assert any("Everybody" in one for one in drop.storage.facts().warnings)


def test_close_is_repeatable_and_leaves_no_thread(drop):
    before = threading.active_count()
    drop.storage.close()
    drop.storage.close()
    connection = getattr(drop.storage, "_connection", None)
    if connection is not None:
        assert not connection.transport.is_alive()
        assert threading.active_count() < before
