"""``keep``: only what we put away is removed, and only when it is old enough."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from moatbridge_sftp.storage import StorageFault
from servers.drop_folder import Drop, Reader

if TYPE_CHECKING:
    from pathlib import Path

DAY = 86_400


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The wall clock, to be set; and no hour between two looks."""
    found = [1_780_000_000.0]
    monkeypatch.setattr("time.time", lambda: found[0])
    monkeypatch.setattr("moatbridge_sftp.settling.keeping._EVERY", 0.0)
    return found


def stored(drop: Drop) -> list[str]:
    return [path.rpartition("/")[2] for path in drop.tree() if "/kept/" not in path]


def take(drop: Drop, name: str, **settings: str) -> None:
    """One file is dropped with its checksum, read and put away."""
    drop.rows(name, (1, name))
    Reader(drop.open(ripe="atomic", **settings)).poll()


def test_archived_files_are_removed_after_their_time(
    drop: Drop, clock: list[float]
) -> None:
    take(drop, "a.csv", keep="90d")
    clock[0] += 60 * DAY
    take(drop, "b.csv", keep="90d")
    assert stored(drop) == ["a.csv", "b.csv"]
    clock[0] += 40 * DAY
    take(drop, "c.csv", keep="90d")
    assert stored(drop) == ["b.csv", "c.csv"]


def test_what_somebody_else_put_there_stays(local: Drop, clock: list[float]) -> None:
    take(local, "before.csv")  # nothing was kept in mind then
    take(local, "a.csv", keep="90d")
    take(local, "mine.csv", keep="90d")
    mine = next(path for path in local.base.rglob("mine.csv"))
    mine.write_text("written over by a person")
    (mine.parent / "theirs.csv").write_text("x")
    clock[0] += 100 * DAY
    take(local, "b.csv", keep="90d")
    assert sorted(stored(local)) == ["b.csv", "before.csv", "mine.csv", "theirs.csv"]


def test_failed_files_go_with_the_note_about_them(
    local: Drop, clock: list[float]
) -> None:
    def fail(name: str) -> None:
        local.put(name, "nr,name\n1,x\n1,y\n")
        bad = {"content": "snapshot", "on_bad_file": "quarantine", "keep": "30d"}
        reader = Reader(local.open(**bad))
        reader.scan()

    fail("a.csv")
    assert stored(local) == ["a.csv", "a.csv.why.json"]
    clock[0] += 31 * DAY
    take(local, "c.csv", keep="30d")
    assert stored(local) == ["c.csv"]


@pytest.mark.parametrize("path", ["private/pay.csv", "in/x.csv", "in/.moatbridge/x"])
def test_a_forged_list_removes_no_other_file(
    local: Drop, clock: list[float], path: str
) -> None:
    take(local, "a.csv", keep="30d")
    (listed,) = (local.state / "kept").iterdir()
    other = local.base / path
    other.parent.mkdir(exist_ok=True)
    other.write_text("salaries")
    _forge(listed, path, other)
    clock[0] += 31 * DAY
    take(local, "b.csv", keep="30d") if path != "in/x.csv" else None
    reader = Reader(local.open(keep="30d", files="*.dat"))
    reader.poll()
    assert other.read_text() == "salaries"


def _forge(listed: Path, path: str, other: Path) -> None:
    found = other.stat()
    listed.write_text(f'[["{path}", {found.st_size}, {int(found.st_mtime)}]]')


BAD = {
    "infinite": b'[["in/x.csv", 1e999, 1]]',
    "too large": b"x" * 70_000,
    "no text": b"\xff\xfe[",
    "odd path": b'[["in/.moatbridge/people/archive/a\\u0000b\\ud800", 1, 1]]',
    "long path": b'[["in/.moatbridge/people/archive/' + b"x" * 300 + b'", 1, 1]]',
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_damaged_entry_stops_neither_settling_nor_those_behind_it(
    drop: Drop, clock: list[float], bad: bytes
) -> None:
    take(drop, "a.csv", keep="30d")
    for number in range(3):
        (drop.state / "kept" / f"{number}.x").write_bytes(bad)
    clock[0] += 31 * DAY
    take(drop, "b.csv", keep="30d")
    assert stored(drop) == ["b.csv"]


def test_entries_that_are_refused_take_no_turn_from_others(
    local: Drop, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moatbridge_sftp.settling.keeping._AT_ONCE", 2)
    for name in "abcdef":
        take(local, f"{name}.csv", keep="30d")
        clock[0] += 1
    clock[0] += 31 * DAY
    adapter = local.open(keep="30d")
    storage: Any = adapter._storage
    remove, asked = storage.remove, []

    def refusing(path: str) -> None:
        asked.append(path)
        if path.rpartition("/")[2] in ("a.csv", "b.csv", "c.csv"):
            raise StorageFault("denied")
        remove(path)

    monkeypatch.setattr(storage, "remove", refusing)
    reader = Reader(adapter)
    for _ in range(4):
        reader.poll()
    assert stored(local) == ["a.csv", "b.csv", "c.csv"]
    assert any("`keep` is over" in words for words in adapter.notices())
    assert len(asked) < 12


@pytest.mark.parametrize(
    "settings",
    [
        {"archive_to": "/archive-{yyyy}"},
        {"archive_to": "{yyyy}/{mm}"},
        {"archive_to": "/"},
        {"archive_to": "/in/{yyyy}"},
        {"failed_to": "failed-{yyyy}", "content": "snapshot"},
    ],
)
def test_keep_is_refused_where_ours_cannot_be_told_from_theirs(
    local: Drop, settings: dict[str, Any]
) -> None:
    if "failed_to" in settings:
        settings = {**settings, "on_bad_file": "quarantine"}
    local.make(**settings)
    with pytest.raises(ValidationError, match="folder of ours"):
        local.make(**settings, keep="30d")
    for good in ("archive", "/old/{yyyy}", "/{stream}/old", "{state}/{yyyy}"):
        local.make(keep="30d", archive_to=good)
