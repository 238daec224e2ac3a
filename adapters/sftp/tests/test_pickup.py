"""Which file is read when: order, gaps, snapshots, deltas, folders."""

from __future__ import annotations

import hashlib
import os
from typing import Any

import pytest

from moatbridge.errors import ConfigurationError, CursorTooOld, Rejected
from servers.drop_folder import Drop, Reader, keys

# --- the delta feed -----------------------------------------------------------------


def test_following_from_none_reads_the_files_that_are_there(drop: Drop) -> None:
    drop.rows("a.csv", (1, "x"), (2, "y"))
    reader = Reader(drop.open())
    assert [len(b.changes) for b in reader.adapter.changes("people", None)] == [0]
    changes = reader.poll()
    assert keys(changes) == ["1", "2"]
    assert changes[0].data == {"nr": "1", "name": "x"}
    assert reader.poll() == []
    assert len(drop.tree()) == 1
    assert "archive" in drop.tree()[0]


def test_files_are_read_in_order_and_records_carry_file_and_number(drop: Drop) -> None:
    drop.rows("b.csv", (1, "new"))
    drop.rows("a.csv", (1, "old"), (2, "z"))
    reader = Reader(drop.open())
    changes = reader.poll()
    assert [c.data["name"] for c in changes if c.data] == ["old", "z", "new"]
    versions = [change.version or "" for change in changes]
    assert len(set(versions)) == 3
    assert versions[0].startswith('"a.csv"/')
    assert versions[1].endswith("/2")


def test_the_next_file_is_not_begun_before_the_last_is_at_its_end(local: Drop) -> None:
    local.rows("a.csv", *((n, "a") for n in range(7)))
    local.rows("b.csv", *((n, "b") for n in range(7)))
    adapter = local.open(page_size=3)
    start = next(adapter.changes("people", None)).cursor
    batches = list(adapter.changes("people", start))
    for done in range(1, len(batches)):
        again = local.open(page_size=3)
        rest = list(again.changes("people", batches[done - 1].cursor))
        both = [*batches[:done], *rest]
        seen = [c.data for batch in both for c in batch.changes]
        assert seen == [{"nr": str(n), "name": f} for f in "ab" for n in range(7)], done


def test_an_action_column_decides_about_deletes(drop: Drop) -> None:
    drop.put("a.csv", "nr,name,kz\n1,x,I\n2,,D\n3,z,?\n4,w,\n")
    adapter = drop.open(
        fields=["nr", "name", "kz"], action={"field": "kz", "delete": "D"}
    )
    reader = Reader(adapter)
    changes = reader.poll()
    assert [(c.ref.key, c.op) for c in changes] == [("1", "upsert"), ("2", "delete")]
    assert changes[1].data is None
    rejects = [reject for batch in reader.batches for reject in batch.rejects]
    assert [(r.reason, r.field) for r in rejects] == [("sftp.action", "kz")] * 2
    assert [r.ref.key for r in rejects if r.ref] == ["3", "4"]
    assert adapter.streams()[0].sees_deletes


def test_the_later_line_about_a_record_wins(local: Drop) -> None:
    local.rows("a.csv", (1, "x"), (2, "y"), (1, "z"))
    changes = Reader(local.open()).poll()
    assert [(c.ref.key, c.data["name"]) for c in changes if c.data] == [
        ("2", "y"),
        ("1", "z"),
    ]


def test_a_record_without_a_key_is_a_reject_that_tells_where(local: Drop) -> None:
    local.rows("a.csv", (1, "x"), ("", "nobody"))
    reader = Reader(local.open())
    reader.poll()
    (reject,) = [reject for batch in reader.batches for reject in batch.rejects]
    assert (reject.reason, reject.field) == ("sftp.no-key", "nr")
    assert reject.location == "a.csv record 2"


def test_a_compound_key_becomes_a_compound_ref(local: Drop) -> None:
    local.rows("a.csv", (1, "x"))
    changes = Reader(local.open(key=["name", "nr"])).poll()
    assert changes[0].ref.id == ("x", "1")


# --- snapshots ----------------------------------------------------------------------


def snapshots(drop: Drop, **more: Any) -> Reader:
    return Reader(drop.open(content="snapshot", **more))


def test_no_new_snapshot_is_no_pass(drop: Drop) -> None:
    reader = snapshots(drop)
    assert reader.scan() == ([], False)
    assert len(reader.batches) == 1


def test_the_newest_snapshot_is_read_and_older_ones_are_superseded(drop: Drop) -> None:
    drop.rows("p1.csv", (1, "old"))
    drop.rows("p2.csv", (1, "older"))
    drop.rows("p3.csv", (1, "x"), (2, "y"))
    reader = snapshots(drop)
    changes, complete = reader.scan()
    assert complete
    assert [c.data["name"] for c in changes if c.data] == ["x", "y"]
    assert len(drop.tree()) == 3
    assert all("archive" in name for name in drop.tree())
    assert reader.scan() == ([], False)


def test_every_snapshot_is_read_in_turn_if_asked_for(local: Drop) -> None:
    local.rows("p1.csv", (1, "a"))
    local.rows("p2.csv", (1, "b"))
    reader = snapshots(local, every=True)
    seen = [reader.scan() for _ in range(3)]
    assert [[c.data for c in changes] for changes, _ in seen] == [
        [{"nr": "1", "name": "a"}],
        [{"nr": "1", "name": "b"}],
        [],
    ]
    assert [complete for _, complete in seen] == [True, True, False]


def test_an_empty_snapshot_is_a_bad_file_and_one_with_a_header_is_not(
    local: Drop,
) -> None:
    local.put("p1.csv", "nr,name\n")
    reader = snapshots(local)
    assert reader.scan() == ([], True)
    local.put("p2.csv", "")
    with pytest.raises(Rejected) as caught:
        reader.scan()
    assert caught.value.code == "sftp.bad-file"
    assert caught.value.details["reason"] == "empty"


def test_two_records_of_one_key_make_a_snapshot_bad(local: Drop) -> None:
    local.rows("p1.csv", (1, "x"), (1, "y"))
    with pytest.raises(Rejected, match=r"sftp\.bad-file"):
        snapshots(local).scan()


def test_a_resumed_scan_sticks_to_its_file_when_a_newer_one_arrives(
    drop: Drop,
) -> None:
    drop.rows("p1.csv", *((n, "old") for n in range(6)))
    adapter = drop.open(content="snapshot", page_size=2)
    from moatbridge.adapter import Partition

    passing = adapter.scan("people", Partition(), None)
    first = next(passing)
    passing.close()
    drop.rows("p2.csv", (9, "new"))
    rest = list(adapter.scan("people", Partition(), first.cursor))
    names = [c.data["nr"] for b in [first, *rest] for c in b.changes if c.data]
    assert names == [str(n) for n in range(6)]
    assert [b.complete for b in rest] == [False, True]


def test_a_file_in_progress_that_is_gone_asks_for_a_new_pass(local: Drop) -> None:
    from moatbridge.adapter import Partition

    local.rows("p1.csv", *((n, "x") for n in range(6)))
    adapter = local.open(content="snapshot", page_size=2)
    first = next(adapter.scan("people", Partition(), None))
    (local.state / "work" / "p1.csv").unlink()
    with pytest.raises(CursorTooOld):
        list(adapter.scan("people", Partition(), first.cursor))


def test_a_file_in_progress_that_was_replaced_in_place_is_not_continued(
    local: Drop,
) -> None:
    from moatbridge.adapter import Partition

    path = local.rows("p1.csv", *((n, "x") for n in range(6)), mtime=1000)
    settings = {"content": "snapshot", "claim": "none", "after": "leave"}
    adapter = local.open(page_size=2, **settings)
    first = next(adapter.scan("people", Partition(), None))
    local.put("p1.csv", path.read_text().replace("x", "y"), mtime=1000)
    with pytest.raises(CursorTooOld):
        list(adapter.scan("people", Partition(), first.cursor))


# --- gaps and late files ------------------------------------------------------------


def test_a_missing_file_number_stops_the_stream(local: Drop) -> None:
    reader = Reader(local.open(sequence=r"_(\d+)\."))
    local.rows("p_0001.csv", (1, "x"))
    reader.poll()
    local.rows("p_0003.csv", (3, "z"))
    with pytest.raises(Rejected) as caught:
        reader.poll()
    assert caught.value.code == "sftp.gap"
    assert caught.value.details == {"expected": "0002", "found": "0003"}
    assert local.tree()[-1] == "in/p_0003.csv", "it was not even claimed"
    local.rows("p_0002.csv", (2, "y"))
    assert keys(reader.poll()) == ["2", "3"]


def test_a_gap_may_be_a_warning(local: Drop) -> None:
    adapter = local.open(sequence=r"_(\d+)\.", on_gap="warn")
    reader = Reader(adapter)
    local.rows("p_1.csv", (1, "x"))
    reader.poll()
    local.rows("p_3.csv", (3, "z"))
    assert keys(reader.poll()) == ["3"]
    assert any("expected file number 2" in text for text in adapter.notices())


def test_a_late_file_stops_a_delta(local: Drop) -> None:
    reader = Reader(local.open())
    local.rows("b.csv", (1, "x"))
    reader.poll()
    local.rows("a.csv", (1, "older"))
    with pytest.raises(Rejected, match=r"sftp\.gap.*before one that is done"):
        reader.poll()


# --- folders ------------------------------------------------------------------------


def test_folders_below_are_read_down_to_the_depth(drop: Drop) -> None:
    drop.rows("x/a.csv", (1, "x"))
    drop.rows("x/y/b.csv", (2, "y"))
    if drop.kind == "sftp":
        from servers.openssh import USER_ID

        for path in (drop.folder / "x", drop.folder / "x" / "y"):
            os.chown(path, USER_ID, USER_ID)
    reader = Reader(drop.open(depth=1))
    assert keys(reader.poll()) == ["1"]
    assert any(name.endswith("/x/a.csv") for name in drop.tree())


def test_a_missing_folder_is_a_configuration_error(drop: Drop) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Reader(drop.open(folder="nowhere")).poll()
    assert caught.value.code == "sftp.folder"


def test_too_many_files_are_an_error_and_not_a_cut(drop: Drop) -> None:
    for number in range(4):
        drop.rows(f"{number}.csv", (number, "x"))
    with pytest.raises(ConfigurationError) as caught:
        Reader(drop.open(max_files=3)).poll()
    assert caught.value.code == "sftp.too-many-files"


def test_a_link_is_never_followed(local: Drop) -> None:
    secret = local.base / "secret"
    secret.write_text("nr,name\n1,x\n")
    (local.folder / "a.csv").symlink_to(secret)
    assert Reader(local.open()).poll() == []
    assert (local.folder / "a.csv").is_symlink()


# --- a file as a record -------------------------------------------------------------


def test_a_file_may_be_a_record(local: Drop) -> None:
    settings: dict[str, Any] = {
        "content": "records",
        "format": None,
        "files": "*.txt",
        "key": ["nr"],
        "name_groups": r"^(?P<nr>\d+)_",
        "fields": {"size": "integer", "sha256": "text", "content": "text"},
    }
    local.put("17_note.txt", "hello")
    local.put("note.txt", "no number")
    adapter = local.open(**settings)
    reader = Reader(adapter)
    (change,) = reader.poll()
    assert change.ref.id == "17"
    assert change.data == {
        "nr": "17",
        "size": 5,
        "sha256": hashlib.sha256(b"hello").hexdigest(),
        "content": "hello",
    }
    rejects = [reject for batch in reader.batches for reject in batch.rejects]
    assert [reject.field for reject in rejects] == ["name"]
    assert "note" not in rejects[0].location, "a name may be personal here"
    declared = {field.name for field in adapter.streams()[0].fields}
    assert set(change.data) == declared


# --- packed files -------------------------------------------------------------------


def test_every_member_of_a_zip_is_read_and_resumed_inside(local: Drop) -> None:
    import io
    import zipfile

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("b.csv", "nr,name\n3,z\n4,w\n")
        archive.writestr("a.csv", "nr,name\n1,x\n2,y\n")
    local.put("p.zip", packed.getvalue())
    settings = {"files": "*.zip", "page_size": 1}
    adapter = local.open(**settings)
    start = next(adapter.changes("people", None)).cursor
    batches = list(adapter.changes("people", start))
    versions = [c.version for batch in batches for c in batch.changes]
    assert keys([c for b in batches for c in b.changes]) == ["1", "2", "3", "4"]
    assert len(set(versions)) == 4
    for done in range(1, 4):
        rest = local.open(**settings).changes("people", batches[done - 1].cursor)
        assert keys([c for b in rest for c in b.changes]) == ["1", "2", "3", "4"][done:]


def test_one_bad_member_makes_the_whole_zip_bad(local: Drop) -> None:
    import io
    import zipfile

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.csv", "nr,name\n1,x\n")
        archive.writestr("b.csv", "other,columns\n1,x\n")
    local.put("p.zip", packed.getvalue())
    adapter = local.open(files="*.zip")
    start = next(adapter.changes("people", None)).cursor
    with pytest.raises(Rejected, match=r"sftp\.bad-file"):
        next(adapter.changes("people", start))
