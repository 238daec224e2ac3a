"""When an upload counts as finished: settled, done file, side file, set."""

from __future__ import annotations

import hashlib
import os

import pytest

from moatbridge.errors import Rejected
from servers.drop_folder import Drop, Reader, keys

# --- ripeness -----------------------------------------------------------------------


def test_a_fresh_file_waits_until_it_has_settled(local: Drop) -> None:
    clock = [100.0]
    adapter = local.open(ripe="settled", settle_for=30)
    from moatbridge_sftp.pickup.sighting import Sightings

    adapter._bound["people"].passes._looking._sightings = Sightings(
        steady=lambda: clock[0], wall=lambda: 1e9
    )
    reader = Reader(adapter)
    path = local.rows("a.csv", (1, "x"))
    assert reader.poll() == []
    clock[0] += 29
    assert reader.poll() == []
    path.write_text(path.read_text() + "2,y\n")
    clock[0] += 2
    assert reader.poll() == [], "it grew, so it starts to wait anew"
    clock[0] += 30
    assert keys(reader.poll()) == ["1", "2"]


def test_sightings_survive_a_restart_in_the_cursor(local: Drop) -> None:
    local.rows("a.csv", (1, "x"))
    first = Reader(local.open(ripe="settled", settle_for=30))
    first.poll()
    cursor = first.cursor
    from moatbridge_sftp.pickup.cursor import Cursor

    (seen,) = Cursor.unpack(cursor).waiting.items()
    again = Reader(local.open(ripe="settled", settle_for=30))
    import base64
    import struct

    row = struct.pack(">8sI", seen[0], seen[1] - 60)
    again.cursor = {**cursor, "waiting": base64.b64encode(row).decode()}
    assert keys(again.poll()) == ["1"]


def test_an_mtime_that_goes_back_makes_a_file_wait_again(local: Drop) -> None:
    path = local.rows("a.csv", (1, "x"), mtime=5000)
    reader = Reader(local.open(ripe="settled", settle_for=30))
    reader.poll()
    os.utime(path, (1, 1))
    assert reader.poll() == []
    from moatbridge_sftp.pickup.cursor import Cursor, Identity

    mark = Identity("a.csv", path.stat().st_size, 1).mark
    assert set(Cursor.unpack(reader.cursor).waiting) == {mark}


def test_a_done_file_must_be_there_and_not_older_than_the_data(drop: Drop) -> None:
    reader = Reader(drop.open(ripe="done-file"))
    drop.put("a.done", "", mtime=1000)
    assert reader.poll() == [], "the trigger alone is nothing"
    drop.rows("a.csv", (1, "x"), mtime=2000)
    assert reader.poll() == [], "the trigger is of an earlier file"
    drop.put("a.done", "", mtime=2000)
    assert keys(reader.poll()) == ["1"]
    assert [name.rpartition("/")[2] for name in drop.tree()] == ["a.csv", "a.done"]
    assert all("archive" in name for name in drop.tree()), "the trigger follows"


def test_a_sidecar_says_ripe_and_is_compared(local: Drop) -> None:
    reader = Reader(local.open(ripe="sidecar"))
    path = local.rows("a.csv", (1, "x"))
    assert reader.poll() == []
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    local.put("a.csv.sha256", f"{digest}  a.csv\n")
    assert keys(reader.poll()) == ["1"]
    local.rows("b.csv", (2, "y"))
    local.put("b.csv.sha256", f"{digest}  b.csv\n")
    with pytest.raises(Rejected, match=r"sftp\.bad-file"):
        reader.poll()


def test_an_unripe_file_holds_back_its_successors_where_order_matters(
    local: Drop,
) -> None:
    local.rows("a.csv", (1, "x"))
    local.rows("b.csv", (2, "y"))
    local.put("b.done", "")
    assert Reader(local.open(ripe="done-file")).poll() == []
    free = Reader(local.open(ripe="done-file", order_matters=False))
    assert keys(free.poll()) == ["2"]


def test_a_set_waits_for_all_its_files(local: Drop) -> None:
    settings = {"files": ["h_*.csv", "d_*.csv"], "together": "all"}
    reader = Reader(local.open(**settings))
    local.rows("h_1.csv", (1, "x"))
    assert reader.poll() == []
    local.rows("d_1.csv", (2, "y"))
    assert keys(reader.poll()) == ["2", "1"]
