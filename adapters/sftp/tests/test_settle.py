"""Settling: after the commit, repeatable, and what the supplier is told."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from moatbridge.errors import ConfigurationError, NotApplied, Rejected
from moatbridge_sftp import SftpStreamConfig
from moatbridge_sftp.storage import StorageFault
from servers.drop_folder import PEOPLE, Drop, Reader, keys

if TYPE_CHECKING:
    from conftest import RemoteDrop

ARCHIVE = "in/.moatbridge/people/archive"
TRAILER = {"controls": {"trailer": r"TRL;(?P<count>\d+)"}}


def names(drop: Drop) -> list[str]:
    """Every file by its name, with its folder's first part after the state folder."""
    return [name.replace("in/.moatbridge/people/", "") for name in drop.tree()]


def test_nothing_is_moved_before_settle(drop: Drop) -> None:
    drop.rows("a.csv", (1, "x"))
    reader = Reader(drop.open())
    reader.poll(settle=False)
    assert names(drop) == ["work/a.csv"]
    reader.adapter.settle("people", reader.cursor)
    assert len(names(drop)) == 1
    assert names(drop)[0].startswith("archive/20")


def test_settling_twice_or_by_another_connection_is_the_same(drop: Drop) -> None:
    drop.rows("a.csv", (1, "x"))
    reader = Reader(drop.open())
    reader.poll()
    before = drop.tree()
    drop.open().settle("people", reader.cursor)
    assert drop.tree() == before


def test_a_cursor_inside_a_file_settles_nothing(local: Drop) -> None:
    local.rows("a.csv", (1, "x"), (2, "y"))
    adapter = local.open(page_size=1)
    start = next(adapter.changes("people", None)).cursor
    first = next(adapter.changes("people", start))
    adapter.settle("people", first.cursor)
    assert names(local) == ["work/a.csv"]


def test_what_a_crash_left_unsettled_is_settled_at_the_next_start(drop: Drop) -> None:
    drop.rows("a.csv", (1, "x"))
    reader = Reader(drop.open())
    reader.poll(settle=False)
    again = Reader(drop.open())
    again.cursor = reader.cursor
    assert again.poll(settle=False) == []
    assert names(drop)[0].startswith("archive/")


def test_a_second_file_of_a_name_is_archived_beside_the_first(local: Drop) -> None:
    settings = {"archive_to": "/old", "order_matters": False}
    for number in range(3):
        local.rows("a.b.csv", (number, "x"))
        Reader(local.open(**settings)).poll()
    assert local.tree() == ["old/a.b.csv", "old/a~2.b.csv", "old/a~3.b.csv"]


def test_delete_removes_and_says_that_settling_destroys(local: Drop) -> None:
    local.rows("a.csv", (1, "x"))
    adapter = local.open(after="delete")
    assert adapter.streams()[0].settle_destroys
    assert not local.open().streams()[0].settle_destroys
    reader = Reader(adapter)
    reader.poll(settle=False)
    again = Reader(local.open(after="delete"))
    again.cursor = reader.cursor
    assert again.poll(settle=False) == []
    assert names(local) == ["work/a.csv"], "the core says when that is safe"
    reader.adapter.settle("people", again.cursor)
    assert local.tree() == []


def test_an_archive_that_is_full_is_tried_again_and_nothing_is_lost(drop: Drop) -> None:
    drop.rows("a.csv", (1, "x"))
    reader = Reader(drop.open())
    reader.poll(settle=False)
    storage = reader.adapter._storage
    assert storage is not None
    rename = storage.rename

    def full(old: str, new: str) -> None:
        raise StorageFault("full")

    storage.rename = full  # type: ignore[method-assign]
    with pytest.raises(NotApplied) as caught:
        reader.adapter.settle("people", reader.cursor)
    assert caught.value.code == "sftp.server-full"
    storage.rename = rename  # type: ignore[method-assign]
    assert names(drop) == ["work/a.csv"]
    drop.rows("b.csv", (2, "y"))
    assert keys(reader.poll()) == ["2"]
    assert [name.rpartition("/")[2] for name in names(drop)] == ["a.csv", "b.csv"]


def test_an_account_that_may_not_move_files_is_told_what_to_set(
    remote: RemoteDrop,
) -> None:
    remote.rows("a.csv", (1, "x"))
    reader = Reader(remote.open(None, remote.as_account("reader"), claim="none"))
    reader.poll(settle=False)
    with pytest.raises(ConfigurationError, match='after = "leave"') as caught:
        reader.adapter.settle("people", reader.cursor)
    assert caught.value.code == "sftp.permission"


def test_without_a_claim_only_the_file_that_was_read_is_archived(local: Drop) -> None:
    local.rows("a.csv", (1, "x"), mtime=1000)
    reader = Reader(local.open(claim="none"))
    assert keys(reader.poll(settle=False)) == ["1"]
    local.rows("a.csv", (1, "y"), (2, "z"), mtime=2000)
    reader.adapter.settle("people", reader.cursor)
    assert local.tree() == ["in/a.csv"], "another file lies there by now"
    assert keys(reader.poll()) == ["1", "2"]
    assert local.tree()[0].startswith(ARCHIVE)


def test_many_small_files_of_one_poll_fit_into_the_cursor(local: Drop) -> None:
    for number in range(150):
        local.rows(f"{number:03}-{'n' * 60}.csv", (number, "x"))
    reader = Reader(local.open())
    seen = []
    polls = 0
    while found := reader.poll():
        seen += keys(found)
        polls += 1
        assert len(json.dumps(reader.cursor)) < 65536
    assert seen == [str(number) for number in range(150)]
    assert polls > 1, "a poll ends when too many files wait to be settled"
    assert all("archive" in name for name in local.tree())


# --- answers ------------------------------------------------------------------------


def test_an_ack_file_tells_counts_and_totals(drop: Drop) -> None:
    drop.put("a.csv", "nr,name\n1,x\n,nobody\nTRL;2\n")
    drop.put(".keep", "")
    reader = Reader(drop.open(ack_file="{stem}.ack", files="*.csv", **TRAILER))
    reader.poll()
    told = json.loads((drop.folder / "a.ack").read_text())
    assert told["status"] == "taken over"
    assert (told["file"], told["records"], told["rejects"]) == ("a.csv", 2, 1)
    assert len(told["sha256"]) == 64
    reader.adapter.settle("people", reader.cursor)


def test_rejects_are_written_back_only_if_asked_for(drop: Drop) -> None:
    drop.put("a.csv", "nr,name\n1,x\n2\n3,z\n")
    Reader(drop.open()).poll()
    assert len(drop.tree()) == 1
    drop.put("b.csv", "nr,name\n1,x\n2\n3,z\n")
    Reader(drop.open(rejects_file="{state}/rejects/{name}.jsonl")).poll()
    path = drop.state / "rejects" / "b.csv.jsonl"
    (line,) = path.read_text().splitlines()
    told = json.loads(line)
    assert told["record"] == 2
    assert told["raw"].strip() == "2"


def test_an_answer_that_is_there_already_is_not_written_again(local: Drop) -> None:
    local.rows("a.csv", (1, "x"))
    reader = Reader(local.open(ack_file="{stem}.ack"))
    reader.poll(settle=False)
    (local.folder / "a.ack").write_text("an earlier attempt")
    reader.adapter.settle("people", reader.cursor)
    assert (local.folder / "a.ack").read_text() == "an earlier attempt"


# --- bad files ----------------------------------------------------------------------


def test_a_bad_control_total_stops_the_stream_until_a_person_acts(drop: Drop) -> None:
    drop.put("a.csv", "nr,name\n1,x\n2,y\nTRL;3\n")
    drop.put("b.csv", "nr,name\n9,x\nTRL;1\n")
    reader = Reader(drop.open(**TRAILER))
    for _ in range(2):
        with pytest.raises(Rejected) as caught:
            reader.poll()
        error = caught.value
        assert error.code == "sftp.bad-file"
        assert "a.csv" in str(error)
        assert error.details["reason"] == "count"
        assert (error.details["expected"], error.details["found"]) == ("3", "2")
        assert "b.csv" in " ".join(drop.tree()), "nothing after it is read"
    (drop.state / "work" / "a.csv").unlink()
    assert keys(reader.poll()) == ["9"]


def test_half_a_trailer_is_a_bad_file(local: Drop) -> None:
    whole = "nr,name\n1,x\n2,y\nTRL;2\n"
    for cut in range(len("nr,name\n"), len(whole) - 1):
        local.put("a.csv", whole[:cut])
        with pytest.raises(Rejected, match=r"sftp\.bad-file"):
            Reader(local.open(**TRAILER)).poll()
        (local.state / "work" / "a.csv").unlink()
    local.put("a.csv", whole)
    assert keys(Reader(local.open(**TRAILER)).poll()) == ["1", "2"]


def test_a_bad_file_is_quarantined_with_a_readable_reason(drop: Drop) -> None:
    drop.put("a.csv", "nr,name\n1,Canary Person\n2,y\nTRL;3\n")
    drop.put("b.csv", "nr,name\n9,x\nTRL;1\n")
    adapter = drop.open(on_bad_file="quarantine", order_matters=False, **TRAILER)
    assert keys(Reader(adapter).poll()) == ["9"]
    failed = drop.state / "failed"
    assert sorted(path.name for path in failed.iterdir()) == ["a.csv", "a.csv.why.json"]
    told = json.loads((failed / "a.csv.why.json").read_text())
    assert told["reason"] == "count"
    assert (told["expected"], told["found"]) == ("3", "2")
    assert "control total" in told["why"]
    assert "Canary" not in json.dumps(told)
    assert any("set aside" in text for text in adapter.notices())


def test_a_quarantined_file_is_told_to_people(local: Drop) -> None:
    local.put("a.csv", "nr,name\n1,Canary Person\nTRL;3\n")
    adapter = local.open(on_bad_file="quarantine", order_matters=False, **TRAILER)
    start = next(iter(adapter.changes("people", None))).cursor
    rejects = [r for b in adapter.changes("people", start) for r in b.rejects]
    assert [(r.reason, r.location) for r in rejects] == [
        ("sftp.bad-file", "a.csv: count")
    ]


def test_a_bad_snapshot_is_no_pass_when_it_is_quarantined(local: Drop) -> None:
    local.put("a.csv", "nr,name\n1,x\nTRL;9\n")
    settings = {"content": "snapshot", "on_bad_file": "quarantine", **TRAILER}
    reader = Reader(local.open(**settings))
    assert reader.scan() == ([], False)
    assert "failed/a.csv" in names(local)


def test_the_number_of_records_may_be_bounded(local: Drop) -> None:
    local.rows("a.csv", (1, "x"), (2, "y"))
    with pytest.raises(Rejected) as caught:
        Reader(local.open(expect={"min_records": 3})).poll()
    assert caught.value.details["reason"] == "too-few"
    many = Reader(local.open(expect={"max_records": 1}))
    assert len(many.poll()) == 2
    assert "more than max_records (1)" in many.adapter.notices()[0]


def test_too_many_rejects_make_the_file_bad_and_nothing_of_it_is_used(
    local: Drop,
) -> None:
    lines = ["nr,name", *(f"{n}" for n in range(6)), "7,x"]
    local.put("a.csv", "\n".join(lines) + "\n")
    reader = Reader(local.open())
    with pytest.raises(Rejected) as caught:
        reader.poll()
    assert caught.value.details["reason"] == "rejects"


# --- settings that contradict each other --------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {"after": "leave"},
        {"on_bad_file": "quarantine"},
        {"key": ["other"]},
        {"format": None},
        {"action": {"field": "other"}},
        {"ripe": "sidecar", "checksum": "off"},
        {"archive_to": "../outside"},
        {"archive_to": "{unknown}"},
        {"done_file": "trigger"},
        {"folder": "a/../../b"},
        {"order": {"group": "(", "as": "int"}},
        {"surprise": 1},
    ],
)
def test_contradictions_are_refused_at_load(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        SftpStreamConfig.model_validate({**PEOPLE, **settings})


# --- what lies beside, and what is ours already --------------------------------------


def test_a_crash_between_a_file_and_its_checksum_file_harms_no_later_file(
    drop: Drop,
) -> None:
    def put(*row: Any) -> None:
        path = drop.rows("a.csv", row)
        drop.put("a.csv.sha256", hashlib.sha256(path.read_bytes()).hexdigest())

    put(1, "x")
    reader = Reader(drop.open())
    reader.poll(settle=False)
    storage: Any = reader.adapter._storage
    rename, moved = storage.rename, []

    def killed(old: str, new: str) -> None:
        if moved:
            raise KeyboardInterrupt
        moved.append(old)
        rename(old, new)

    storage.rename = killed
    with pytest.raises(KeyboardInterrupt):
        reader.adapter.settle("people", reader.cursor)
    put(2, "y")
    again = Reader(drop.open())
    again.cursor = reader.cursor
    assert keys(again.poll()) == ["2"]
    assert all(name.startswith("archive/") for name in names(drop))
    assert len(names(drop)) == 4


def test_a_checksum_file_that_was_left_in_work_gives_way(drop: Drop) -> None:
    drop.rows("a.csv", (1, "x"))
    reader = Reader(drop.open())
    reader.poll()
    left = drop.put("left", "0" * 64)
    left.rename(drop.state / "work" / "a.csv.sha256")
    path = drop.rows("a.csv", (2, "y"))
    drop.put("a.csv.sha256", hashlib.sha256(path.read_bytes()).hexdigest())
    assert keys(reader.poll()) == ["2"]


@pytest.mark.parametrize(
    "settings",
    [
        {"depth": 1, "archive_to": "archive"},
        {"depth": 2, "archive_to": "./old/{yyyy}"},
        {"depth": 5, "ignore": ["*.tmp"]},
    ],
)
def test_what_was_archived_below_the_folder_is_not_read_again(
    local: Drop, settings: dict[str, Any]
) -> None:
    reader = Reader(local.open(order_matters=False, **settings))
    local.rows("a.csv", (1, "x"))
    assert keys(reader.poll()) == ["1"]
    before = local.tree()
    assert [reader.poll(), reader.poll()] == [[], []]
    assert local.tree() == before


@pytest.mark.parametrize(
    "settings",
    [
        {"archive_to": "."},
        {"archive_to": "/in"},
        {"failed_to": "./"},
        {"archive_to": "{yyyy}/{mm}", "depth": 2},
        {"files": "*", "ack_file": "{name}.ack"},
        {"files": ["HR_*.csv"], "rejects_file": "{stem}.bad.csv"},
        {"files": "*.csv", "ack_file": "acks/{stem}.csv", "depth": 1},
    ],
)
def test_a_setting_that_feeds_a_stream_with_its_own_files_is_refused(
    settings: dict[str, Any],
) -> None:
    with pytest.raises(ValueError, match=r"read again|read as data"):
        SftpStreamConfig.model_validate({**PEOPLE, **settings})


@pytest.mark.parametrize(
    "settings",
    [
        {"archive_to": "{yyyy}/{mm}"},
        {"ack_file": "{name}.ack"},
        {"files": "*", "ack_file": "acks/{name}.ack"},
        {"files": "*", "ack_file": "{name}.tmp"},
        {"files": "*", "rejects_file": "{state}/rejects/{name}"},
    ],
)
def test_a_setting_that_does_not_is_fine(settings: dict[str, Any]) -> None:
    SftpStreamConfig.model_validate({**PEOPLE, **settings})
