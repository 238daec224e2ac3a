"""``keep``: only what we put away is removed, and only when it is old enough."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

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
