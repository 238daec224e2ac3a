"""Snapshots: the past never takes away what came since; a return to it is a change."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from moatbridge.adapter import Partition
from moatbridge.errors import Rejected

if TYPE_CHECKING:
    from moatbridge_sftp import SftpAdapter
    from servers.drop_folder import Drop


class Passes:
    """What the core does with a drop folder's snapshots: it keeps the position."""

    def __init__(self, adapter: SftpAdapter) -> None:
        self.adapter = adapter
        self.cursor: Any = None

    def scan(self) -> list[str] | None:
        """Names of the records of one pass; None: there was no pass."""
        batches = list(self.adapter.scan("people", Partition(), self.cursor))
        self.cursor = json.loads(json.dumps(batches[-1].cursor))
        self.adapter.settle("people", self.cursor)
        self.rejects = [reject for batch in batches for reject in batch.rejects]
        names = [c.data["name"] for b in batches for c in b.changes if c.data]
        return names if batches[-1].complete else None


def opened(drop: Drop, **more: Any) -> Passes:
    return Passes(drop.open(content="snapshot", **more))


def test_an_account_that_only_reads_never_falls_back_to_an_older_snapshot(
    drop: Drop,
) -> None:
    drop.rows("p1.csv", (1, "old"))
    drop.rows("p2.csv", (1, "new"))
    passes = opened(drop, claim="none", after="leave")
    assert passes.scan() == ["new"]
    assert passes.scan() is None
    drop.rows("p3.csv", (1, "newer"))
    assert [passes.scan(), passes.scan()] == [["newer"], None]


def test_a_snapshot_that_comes_late_is_put_away_unread_and_told(drop: Drop) -> None:
    passes = opened(drop)
    drop.rows("p2.csv", (1, "new"))
    passes.scan()
    drop.rows("p1.csv", (1, "old"))
    assert passes.scan() is None
    assert len(drop.tree()) == 2
    assert all("archive" in name for name in drop.tree())
    assert any("are not read" in text for text in passes.adapter.notices())


def test_more_old_snapshots_than_a_position_holds_are_not_read_either(
    local: Drop,
) -> None:
    for number in range(200):
        local.rows(f"p{number:04}.csv", (1, f"day{number}"))
    passes = opened(local)
    assert [passes.scan() for _ in range(4)] == [["day199"], None, None, None]
    assert all("archive" in name for name in local.tree())


def test_a_late_snapshot_is_read_where_the_order_does_not_matter(local: Drop) -> None:
    passes = opened(local, order_matters=False)
    local.rows("p2.csv", (1, "new"))
    passes.scan()
    local.rows("p1.csv", (1, "old"))
    assert passes.scan() == ["old"]


def test_a_late_snapshot_stops_a_stream_that_reads_every_one(local: Drop) -> None:
    passes = opened(local, every=True)
    local.rows("p2.csv", (1, "new"))
    passes.scan()
    local.rows("p1.csv", (1, "old"))
    with pytest.raises(Rejected) as caught:
        passes.scan()
    assert caught.value.code == "sftp.gap"


def test_a_good_snapshot_sent_again_after_a_wrong_one_is_read(drop: Drop) -> None:
    passes = opened(drop)
    seen = []
    for name, text in (("p1", "good"), ("p2", "wrong"), ("p3", "good"), ("p4", "good")):
        drop.rows(f"{name}.csv", (1, text))
        seen.append(passes.scan())
    assert seen == [["good"], ["wrong"], ["good"], None]


def test_an_odd_name_is_no_record_and_leaves_an_idle_pass_idle(local: Drop) -> None:
    order = {"group": r"_(\d{8})", "as": "date"}
    passes = opened(local, order=order)
    local.rows("p_20260101.csv", (1, "x"))
    local.rows("readme.csv", (2, "y"))
    assert passes.scan() == ["x"]
    assert passes.scan() is None
    assert passes.rejects == [], "a reject would say that a pass happened"
    assert any("readme.csv" in text for text in passes.adapter.notices())
