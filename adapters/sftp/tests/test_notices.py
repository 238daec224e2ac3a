"""What a person should know about files: said once, in `notices`, without values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from moatbridge.errors import Rejected
from moatbridge_sftp import SftpStreamConfig
from moatbridge_sftp.checks import keys as key_checks
from moatbridge_sftp.pickup.lateness import due, overdue
from moatbridge_sftp.rules import Expect
from servers.drop_folder import PEOPLE, Drop, Reader, keys

if TYPE_CHECKING:
    from collections.abc import Sequence

SNAPSHOT: dict[str, Any] = {"content": "snapshot"}
DATED = {"order": {"group": r"(\d{8})", "as": "date"}}
HEADED = {"controls": {"header": r"HDR;(?P<date>[\d.-]+);(?P<sequence>\d+)"}}


def said(reader: Reader) -> Sequence[str]:
    """What is new since it was asked last."""
    return reader.adapter.notices()


def test_a_file_that_is_set_aside_is_named_with_its_reason(drop: Drop) -> None:
    drop.put("a.csv", "nr,name\n1,Ada\n1,Bo\n")
    reader = Reader(drop.open(on_bad_file="quarantine", **SNAPSHOT))
    reader.scan()
    (words,) = said(reader)
    assert words.startswith("people: a.csv was set aside, nothing of it is used: ")
    assert "the key of an earlier record" in words
    assert "Ada" not in words
    assert said(reader) == []


def test_what_is_said_of_one_stream_waits_until_that_stream_is_asked_for(
    local: Drop,
) -> None:
    names = ("people", "rooms")
    adapter = local.open({n: {**PEOPLE, "files": f"{n}-*.csv"} for n in names})
    for name in names:
        local.put(f"{name}-a.csv", "nr,name,pay,room\n1,x,9,9\n")
        Reader(adapter, name).poll()
    told = "2 columns are in no field and are not read (pay, room)."
    assert list(adapter.notices("rooms")) == [f"rooms: {told}"]
    assert list(adapter.notices("rooms")) == []
    assert list(adapter.notices()) == [f"people: {told}"]


def test_new_columns_are_told_once_and_again_when_they_change(local: Drop) -> None:
    reader = Reader(local.open())
    local.put("a.csv", "nr,name,pay,room\n1,x,9,9\n")
    reader.poll()
    assert said(reader) == [
        "people: 2 columns are in no field and are not read (pay, room)."
    ]
    local.put("b.csv", "nr,name,pay,room\n2,x,9,9\n")
    reader.poll()
    assert said(reader) == []
    local.put("c.csv", "nr,name,pay,desk\n3,x,9,9\n")
    reader.poll()
    assert "(pay, desk)" in said(reader)[0]


@pytest.mark.parametrize("content", ["delta", "snapshot"])
def test_the_same_content_under_another_name_is_told(local: Drop, content: str) -> None:
    reader = Reader(local.open(content=content))
    step = reader.poll if content == "delta" else reader.scan
    local.rows("a.csv", (1, "x"))
    step()
    if content == "snapshot":  # what the core hands on to the next pass
        reader.cursor = reader.batches[-1].cursor
    local.rows("b.csv", (1, "x"))
    step()
    (words,) = said(reader)
    done = "is read again" if content == "delta" else "was passed over"
    assert words.startswith("people: b.csv holds what a file held")
    assert done in words


def test_a_file_sent_again_under_its_name_is_told_when_it_is_archived(
    local: Drop,
) -> None:
    reader = Reader(local.open())
    for name in ("x", "y"):
        local.rows("a.csv", (1, name))
        reader.poll()
    assert ["sent again under the same name" in words for words in said(reader)] == [
        True
    ]


def test_names_of_single_records_are_not_shown(local: Drop) -> None:
    reader = Reader(
        local.open(content="records", format=None, files="*.txt", key=["name"],
                   fields=["name"], max_file=3, on_bad_file="quarantine")
    )  # fmt: skip
    local.put("berg-ada.txt", "much too large")
    reader.poll()
    assert "set aside" in said(reader)[0]
    assert "berg" not in "".join(said(reader))


def test_more_keys_than_are_compared_are_told(
    local: Drop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_checks, "MOST_KEYS", 2)
    local.rows("a.csv", *((n, "x") for n in range(4)))
    reader = Reader(local.open(**SNAPSHOT))
    changes, complete = reader.scan()
    assert (len(changes), complete) == (4, True)
    assert "nobody looked whether a key stands twice" in said(reader)[0]


# --- late files ---------------------------------------------------------------------


def test_a_file_that_does_not_come_is_told_until_it_comes(
    local: Drop, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1_780_000_000.0]
    monkeypatch.setattr("time.time", lambda: clock[0])
    reader = Reader(local.open(expect={"every": "1d"}))
    reader.poll()
    assert said(reader) == []
    clock[0] += 90_000
    reader.poll()
    (words,) = said(reader)
    assert "a file is late" in words
    clock[0] += 60
    reader.poll()
    assert said(reader) == [words]
    local.rows("a.csv", (1, "x"))
    assert keys(reader.poll()) == ["1"]
    reader.poll()
    assert said(reader) == []


def test_a_late_file_is_a_warning_of_the_open_connection(drop: Drop) -> None:
    def late(name: str, mtime: int | None) -> bool:
        drop.rows(name, (1, name), mtime=mtime)
        reader = Reader(drop.open(expect={"every": "1d"}))
        waiting = any("late" in text for text in reader.adapter.probe().warnings)
        reader.poll()
        archived = any("late" in text for text in reader.adapter.probe().warnings)
        assert waiting is archived
        return archived

    assert late("old.csv", 1_700_000_000)
    assert not late("new.csv", None)


def test_lateness_by_the_clock_of_the_supplier() -> None:
    expect = Expect.model_validate(
        {"every": "1d", "by": "06:00", "zone": "Europe/Berlin"}
    )
    last = 1_767_232_800.0  # 2026-01-01 02:00 UTC, 03:00 there
    assert due(expect, last) == 1_767_330_000.0  # 2026-01-02 05:00 UTC
    assert overdue(expect, last, 1_767_330_000.0) == ""
    assert "2026-01-02 05:00 UTC" in overdue(expect, last, 1_767_330_001.0)
    assert due(Expect(), last) is None
    for wrong in ({"by": "06:00"}, {"every": "1d", "by": "6"}, {"zone": "Nowhere/x"}):
        with pytest.raises(ValueError, match=r"by needs|HH:MM|time zone"):
            Expect.model_validate(wrong)


# --- header lines about the file ----------------------------------------------------


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        ("HDR;2026-01-21;017", None),
        ("HDR;20260122;017", "date"),
        ("HDR;20260121;018", "sequence"),
        ("HDR;21.01.2026;017", "control-value"),
    ],
)
def test_date_and_sequence_of_a_header_must_be_those_of_the_name(
    local: Drop, head: str, reason: str | None
) -> None:
    local.put("p_20260121_17.csv", f"{head}\nnr,name\n1,x\n")
    more: dict[str, Any] = {**DATED, **HEADED, "sequence": r"_(\d+)\."}
    reader = Reader(local.open(on_bad_file="quarantine", **SNAPSHOT, **more))
    changes, _complete = reader.scan()
    assert keys(changes) == ([] if reason else ["1"])
    failed = [path for path in local.tree() if "/failed/" in path]
    assert len(failed) == (2 if reason else 0)
    if reason:
        local.put("p_20260121_17.csv", f"{head}\nnr,name\n1,x\n")
        with pytest.raises(Rejected) as caught:
            Reader(local.open(**SNAPSHOT, **more)).scan()
        assert caught.value.details["reason"] == reason


def test_the_date_of_a_header_may_have_its_own_pattern(local: Drop) -> None:
    local.put("p_20260121.csv", "HDR;21.01.2026;9\nnr,name\n1,x\n")
    controls = {
        "header": r"HDR;(?P<date>[\d.]+);\d+", "date_pattern": "DD.MM.YYYY",
    }  # fmt: skip
    reader = Reader(local.open(controls=controls, **SNAPSHOT, **DATED))
    assert keys(reader.scan()[0]) == ["1"]


@pytest.mark.parametrize("group", ["date", "sequence"])
def test_a_date_or_number_with_nothing_to_compare_it_with_is_refused(
    group: str,
) -> None:
    controls = {"header": rf"HDR;(?P<{group}>\d+)"}
    with pytest.raises(ValueError, match="is compared with the file's name"):
        SftpStreamConfig.model_validate({**PEOPLE, "controls": controls})
