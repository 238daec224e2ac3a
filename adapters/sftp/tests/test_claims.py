"""Who takes a file: claims, other programs, and accounts that only read."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from moatbridge.errors import ConfigurationError, NotApplied, Rejected
from servers.drop_folder import PEOPLE, Drop, Reader, keys

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import RemoteDrop


# --- claims and other programs ------------------------------------------------------


def test_an_uploader_that_still_writes_after_the_claim_is_noticed(drop: Drop) -> None:
    path = drop.rows("a.csv", (1, "x"))
    adapter = drop.open()
    storage = adapter._storage
    assert storage is not None
    with path.open("ab") as uploader:
        read = storage.read

        def slow(where: str, *, size: int) -> Iterator[bytes]:
            uploader.write(b"2,y\n")
            uploader.flush()
            yield from read(where, size=size)

        storage.read = slow  # type: ignore[method-assign]
        reader = Reader(adapter)
        with pytest.raises(NotApplied) as caught:
            reader.poll()
    assert caught.value.code == "sftp.changed"
    assert drop.tree() == ["in/a.csv"], "it waits again"
    storage.read = read  # type: ignore[method-assign]
    assert keys(reader.poll()) == ["1", "2"]


def test_a_file_that_vanishes_between_list_and_claim_is_skipped(drop: Drop) -> None:
    drop.rows("a.csv", (1, "x"))
    drop.rows("b.csv", (2, "y"))
    adapter = drop.open()
    adapter._bound["people"].folder.make(
        f"{adapter._bound['people'].folder.state}/work"
    )
    storage = adapter._storage
    assert storage is not None
    rename = storage.rename

    def late(old: str, new: str) -> None:
        if old.endswith("in/a.csv"):
            (drop.folder / "a.csv").unlink()
        rename(old, new)

    storage.rename = late  # type: ignore[method-assign]
    assert keys(Reader(adapter).poll()) == ["2"]


def test_a_file_that_was_rewritten_before_the_claim_goes_back(local: Drop) -> None:
    local.rows("a.csv", (1, "x"), mtime=1000)
    adapter = local.open()
    storage = adapter._storage
    assert storage is not None
    rename = storage.rename

    def late(old: str, new: str) -> None:
        storage.rename = rename  # type: ignore[method-assign]
        local.rows("a.csv", (1, "x"), (2, "y"), mtime=1001)
        rename(old, new)

    storage.rename = late  # type: ignore[method-assign]
    reader = Reader(adapter)
    assert reader.poll() == []
    assert local.tree() == ["in/a.csv"]
    assert keys(reader.poll()) == ["1", "2"]


def test_two_workers_on_one_folder_never_take_a_file_twice(drop: Drop) -> None:
    from servers.drop_folder import PEOPLE

    for number in range(40):
        drop.rows(f"f{number:03}.csv", (number, "x"))
    names = ("one", "two", "three")
    streams = {name: {**PEOPLE, "order_matters": False} for name in names}
    readers = [Reader(drop.open(streams), name) for name in names]
    gate = threading.Barrier(3)

    def work(reader: Reader) -> list[str]:
        gate.wait(60)
        return keys(reader.poll())

    with ThreadPoolExecutor(3) as pool:
        taken = [key for own in pool.map(work, readers) for key in own]
    assert sorted(map(int, taken)) == list(range(40))


def test_a_name_still_in_work_makes_the_next_of_that_name_wait(drop: Drop) -> None:
    drop.rows("a.csv", (1, "x"), (2, "x"))
    reader = Reader(drop.open(page_size=1))
    reader.cursor = next(reader.adapter.changes("people", None)).cursor
    first = next(reader.adapter.changes("people", reader.cursor))
    reader.cursor = first.cursor
    drop.rows("a.csv", (1, "y"), (2, "z"), (3, "z"))
    assert keys(reader.poll(settle=False)) == ["2"], "the earlier one is still in work"
    assert drop.tree() == ["in/.moatbridge/people/work/a.csv", "in/a.csv"]
    assert keys(reader.poll()) == ["1", "2", "3"]


def test_a_re_sent_name_with_new_content_is_a_new_file(drop: Drop) -> None:
    reader = Reader(drop.open())
    drop.rows("a.csv", (1, "x"))
    first = reader.poll()
    drop.rows("a.csv", (1, "y"))
    second = reader.poll()
    assert [c.data["name"] for c in [*first, *second] if c.data] == ["x", "y"]
    assert first[0].version != second[0].version
    assert sum("archive" in name for name in drop.tree()) == 2
    assert any("a~2.csv" in name for name in drop.tree())


def test_the_same_content_under_another_name_is_skipped_if_asked_for(
    local: Drop,
) -> None:
    reader = Reader(local.open(on_same_content="skip"))
    local.rows("a.csv", (1, "x"))
    reader.poll()
    local.rows("b.csv", (1, "x"))
    assert reader.poll() == []
    assert all("archive" in name for name in local.tree())
    usual = Reader(local.open())
    usual.cursor = reader.cursor
    local.rows("c.csv", (1, "x"))
    assert keys(usual.poll()) == ["1"]


def test_files_in_work_from_an_earlier_run_come_first(drop: Drop) -> None:
    drop.rows("b.csv", (1, "b"))
    adapter = drop.open(page_size=1)
    start = list(adapter.changes("people", None))[-1].cursor
    claimed = adapter.changes("people", start)
    next(claimed)
    claimed.close()
    adapter.close()
    drop.rows("c.csv", (3, "c"))
    reader = Reader(drop.open())
    assert keys(reader.poll()) == ["1", "3"]


# --- accounts that only read --------------------------------------------------------


def test_a_read_only_account_cannot_claim_and_is_told_what_to_set(
    remote: RemoteDrop,
) -> None:
    remote.rows("a.csv", (1, "x"))
    system = remote.as_account("reader")
    adapter = remote.open(None, system)
    with pytest.raises(ConfigurationError, match='claim = "none"') as caught:
        Reader(adapter).poll()
    assert caught.value.code == "sftp.permission"


def test_a_read_only_account_reads_each_file_once(remote: RemoteDrop) -> None:
    settings = {"claim": "none", "after": "leave"}
    remote.rows("a.csv", (1, "x"))
    system = remote.as_account("reader")
    reader = Reader(remote.open(None, system, **settings))
    assert keys(reader.poll()) == ["1"]
    assert reader.poll() == []
    remote.rows("b.csv", (2, "y"))
    again = Reader(remote.open(None, system, **settings))
    again.cursor = reader.cursor
    assert keys(again.poll()) == ["2"]
    assert remote.tree() == ["in/a.csv", "in/b.csv"]


def test_what_is_left_is_forgotten_when_it_is_gone(local: Drop) -> None:
    from moatbridge_sftp.pickup.cursor import Cursor

    reader = Reader(local.open(claim="none", after="leave"))
    local.rows("a.csv", (1, "x"))
    reader.poll()
    assert len(Cursor.unpack(reader.cursor).done) == 1
    (local.folder / "a.csv").unlink()
    reader.poll()
    assert Cursor.unpack(reader.cursor).done == ()


@pytest.mark.parametrize("blocking", ["file", "link"])
def test_what_lies_where_the_state_folder_goes_stops_the_stream_aloud(
    local: Drop, blocking: str
) -> None:
    state = local.folder / ".moatbridge"
    if blocking == "file":
        state.write_text("x")
    else:
        state.symlink_to(local.base.parent)
    local.rows("a.csv", (1, "x"))
    with pytest.raises(ConfigurationError) as caught:
        Reader(local.open()).poll()
    assert caught.value.code == "sftp.folder"
    assert "state_folder" in caught.value.message
    assert "in/a.csv" in local.tree()


def test_a_file_larger_than_allowed_is_refused_before_a_byte_is_read(
    drop: Drop,
) -> None:
    drop.rows("a.csv", *((number, "x" * 50) for number in range(50)))
    adapter = drop.open(max_file="1KiB")
    storage: Any = adapter._storage
    storage.read = None
    with pytest.raises(Rejected) as caught:
        Reader(adapter).poll()
    assert caught.value.details["reason"] == "size"
    settings = {"on_bad_file": "quarantine", "order_matters": False}
    assert Reader(drop.open(max_file="1KiB", **settings)).poll() == []
    assert any("failed/a.csv" in name for name in drop.tree())


def test_odd_names_of_files_that_are_records_are_not_shown(local: Drop) -> None:
    local.put("Erika_Mustermann.pdf", "x")
    adapter = local.open(
        content="records",
        format=None,
        files="*.pdf",
        name_groups=r"^(?P<nr>\d+)_",
        fields=["name"],
        order={"group": r"^(\d+)_", "as": "int"},
    )
    reader = Reader(adapter)
    reader.poll()
    rejects = [reject for batch in reader.batches for reject in batch.rejects]
    assert [reject.reason for reject in rejects] == ["sftp.name"]
    assert "Erika" not in repr(rejects)


@pytest.mark.parametrize(
    ("here", "there", "rivals"),
    [
        ({}, {}, True),
        ({"files": "HR_*.csv"}, {"files": ["*.txt", "*.csv"]}, True),
        ({"files": "HR_*.csv"}, {"files": "IT_*.csv"}, False),
        ({}, {"folder": "other"}, False),
        ({}, {"claim": "none", "after": "leave"}, False),
    ],
)
def test_streams_that_take_each_others_files_are_told(
    local: Drop, here: dict[str, Any], there: dict[str, Any], *, rivals: bool
) -> None:
    streams = {"one": {**PEOPLE, **here}, "two": {**PEOPLE, **there}}
    warnings = local.open(streams).probe().warnings
    assert any("one and two" in text for text in warnings) is rivals
