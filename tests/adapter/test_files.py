"""A folder of files with a record each: everything that is there is read, once."""

from __future__ import annotations

import os
import secrets
import threading

import pytest

from adapter.files_world import (
    ADAPTERS,
    PARSED,
    BelowHarness,
    InFile,
    InFileHarness,
    InName,
    NamedHarness,
    keys,
    opened,
    put,
    rejects,
    scan,
    write,
)
from moatbridge.adapter import (
    Partition,
    Query,
)
from moatbridge.changes import Absent, Ref
from moatbridge.errors import ConfigurationError, NotApplied, Rejected
from moatbridge.testing import AdapterConformance


class TestKeyInTheFile(AdapterConformance):
    adapter = InFile
    features = frozenset({"keyed", "rejects"})

    @pytest.fixture
    def harness(self, tmp_path):
        return InFileHarness(tmp_path)


class TestKeyInTheName(AdapterConformance):
    adapter = InName
    features = frozenset({"keyed", "rejects"})

    @pytest.fixture
    def harness(self, tmp_path):
        return NamedHarness(tmp_path)


class TestBelow(AdapterConformance):
    adapter = ADAPTERS["below"]
    features = frozenset({"keyed", "rejects"})

    @pytest.fixture
    def harness(self, tmp_path):
        return BelowHarness(tmp_path)


def test_unchanged_files_are_parsed_once_for_their_key(tmp_path):
    for number in range(6):
        put(tmp_path, f"{number}.json", f"k{number}")
    adapter = opened(tmp_path)
    PARSED.clear()
    scan(adapter)
    assert len(PARSED) == 12  # for the keys, and for the records
    put(tmp_path, "0.json", "k0", "login-new")
    PARSED.clear()
    assert keys(scan(adapter)) == [f"k{number}" for number in range(6)]
    assert len(PARSED) == 7
    put(tmp_path, "0.json", "k7", "login-odd", old=False)
    for _ in range(2):  # so young that its state may not tell of a second write
        PARSED.clear()
        scan(adapter)
        assert len(PARSED) == 7


def test_a_look_up_reads_the_files_that_fit(tmp_path):
    for number in range(20):
        put(tmp_path, f"{number}.json", f"k{number}", mail="all@mail.example")
    adapter = opened(tmp_path)
    scan(adapter)
    PARSED.clear()
    [[found]] = adapter.find("people", [Query("login", "login-k7")])
    assert (found.ref.id, len(PARSED)) == ("k7", 1)
    assert write(adapter, "create", None, {"login": "login-k3"}).reason == "conflict"
    assert write(adapter, "update", "k4", {"login": "login-k3"}).reason == "conflict"
    [everybody, [one]] = adapter.find(
        "people", [Query("mail", "all@mail.example"), Query("id", "k3")]
    )
    assert (len(everybody), one.ref.id) == (20, "k3")


def test_what_a_program_writes_is_seen_by_an_adapter_that_is_open(tmp_path):
    adapter = opened(tmp_path)
    assert scan(adapter)[-1].complete
    put(tmp_path, "a.json", "k1", old=False)
    assert [type(each) for each in adapter.fetch("people", [Ref("k1")])] != [Absent]
    (tmp_path / "a.json").rename(tmp_path / "b.json")
    assert [each.ref.id for each in adapter.fetch("people", [Ref("k1")])] == ["k1"]
    put(tmp_path, "b.json", "k2", old=False)
    gone, there = adapter.fetch("people", [Ref("k1"), Ref("k2")])
    assert isinstance(gone, Absent)
    assert there.ref.id == "k2"


def test_files_that_are_no_records_are_rejects_that_name_them(tmp_path):
    put(tmp_path, "good.json", "k1")
    put(tmp_path, "broken.json", "k2").write_bytes(b'{"id": "k2", "login": "\xf6"}')
    put(tmp_path, "nokey.json", "")
    put(tmp_path, "half.json", "\ud800")
    put(tmp_path, "big.json", "k3", "x" * 2000)
    outside = put(tmp_path.parent, f"{tmp_path.name}.json", "k4")
    (tmp_path / "link.json").symlink_to(outside)
    (tmp_path / "inner.json").mkdir()
    os.mkfifo(tmp_path / "pipe.json")
    put(tmp_path, ".hidden.json", "k5")
    put(tmp_path, "other.txt", "k6")
    batches = scan(opened(tmp_path, max_file=1000))
    assert keys(batches) == ["k1"]
    assert batches[-1].complete
    assert {r.location: r.reason for r in rejects(batches)} == {
        "file big.json": "files.large",
        "file broken.json": "files.value",
        "file half.json": "files.key",
        "file inner.json": "files.kind",
        "file link.json": "files.link",
        "file nokey.json": "files.key",
        "file pipe.json": "files.kind",
    }


def test_a_file_that_breaks_keeps_its_record_from_looking_gone(tmp_path):
    path = put(tmp_path, "a.json", "k1")
    adapter = opened(tmp_path)
    scan(adapter)
    path.write_text("{")
    [reject] = rejects(scan(adapter))
    assert reject.ref == Ref("k1")
    with pytest.raises(Rejected):
        adapter.fetch("people", [Ref("k1")])
    named = opened(tmp_path, "in the name")
    [reject] = rejects(scan(named))
    assert reject.ref == Ref("a")
    assert write(named, "update", "a", {"mail": "m"}).reason == "data"


def test_a_key_that_two_files_have_is_carried_by_neither(tmp_path):
    put(tmp_path, "a.json", "k1", "first")
    put(tmp_path, "b.json", "k1", "second")
    put(tmp_path, "c.json", "k2")
    adapter = opened(tmp_path)
    batches = scan(adapter)
    assert keys(batches) == ["k2"]
    told = [(r.reason, r.location, r.ref) for r in rejects(batches)]
    assert told == [
        ("files.twice", "file a.json", Ref("k1")),
        ("files.twice", "file b.json", Ref("k1")),
    ]
    for op, record in (("update", {"mail": "new"}), ("delete", None)):
        assert write(adapter, op, "k1", record).reason == "conflict"
    (tmp_path / "a.json").unlink()
    assert write(adapter, "update", "k1", {"mail": "new"}).outcome == "applied"
    assert keys(scan(adapter)) == ["k1", "k2"]


def test_a_record_that_moves_to_another_file_while_all_are_read_is_not_lost(tmp_path):
    for number in range(1, 7):
        put(tmp_path, f"{number}.json", f"k{number}")
    adapter = opened(tmp_path)
    walk = adapter.scan("people", Partition(), None)
    batches = [next(walk)]
    (tmp_path / "5.json").rename(tmp_path / "0.json")
    (tmp_path / "4.json").unlink()
    put(tmp_path, "6.json", "k3", old=False)  # two keys are exchanged in place
    put(tmp_path, "3.json", "k6", old=False)
    batches += walk
    assert keys(batches) == ["k1", "k2", "k3", "k5", "k6"]
    assert batches[-1].complete


def test_nothing_is_lost_while_a_program_renames_files_all_the_time(tmp_path):
    for number in range(40):
        put(tmp_path, f"{number}.json", f"k{number:02}")
    stopped = threading.Event()

    def restless():
        names = [f"{number}.json" for number in range(40)]
        while not stopped.wait(0.0002):
            new = f"{secrets.token_hex(4)}.json"
            (tmp_path / names[0]).rename(tmp_path / new)
            names = [*names[1:], new]

    program = threading.Thread(target=restless)
    program.start()
    try:
        for _ in range(10):
            batches = scan(opened(tmp_path))
            seen = {*keys(batches), *(r.ref.id for r in rejects(batches) if r.ref)}
            assert seen == {f"k{number:02}" for number in range(40)}
    finally:
        stopped.set()
        program.join()


def test_a_resumed_pass_tells_again_which_files_are_no_records(tmp_path):
    for number in range(5):
        put(tmp_path, f"{number}.json", f"k{number}")
    cursor = scan(opened(tmp_path))[0].cursor
    (tmp_path / "4.json").write_text("")
    batches = scan(opened(tmp_path), cursor)
    assert keys(batches) == ["k2", "k3"]
    assert [r.location for r in rejects(batches)] == ["file 4.json"]


def test_a_folder_that_went_away_is_never_an_empty_one(tmp_path):
    folder = tmp_path / "book"
    folder.mkdir()
    put(folder, "a.json", "k1")
    adapter = opened(folder)
    folder.rename(tmp_path / "moved")
    with pytest.raises(NotApplied) as caught:
        scan(adapter)
    assert caught.value.code == "files.folder"
    with pytest.raises(NotApplied):
        write(adapter, "create", None, {"login": "a"})
    (tmp_path / "file").write_text("")
    for wrong in (folder, tmp_path / "file"):
        with pytest.raises(ConfigurationError) as refused:
            opened(wrong)
        assert refused.value.code == "files.folder"


def test_the_identity_is_the_real_folder_whatever_it_is_called(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    servers = [opened(tmp_path / name).probe().server for name in ("real", "link")]
    assert servers == [f"folder:{(tmp_path / 'real').resolve()}"] * 2
    (tmp_path / "real").chmod(0o777)
    assert "Everybody" in opened(tmp_path / "real").probe().warnings[0]
