"""200 workers stopped past their lease and thawed, on both databases; servers that die."""

from __future__ import annotations

import pytest

from crash import stopped, world
from crash.test_stopped import check
from servers.places import put_on


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_200_workers_stopped_past_their_lease_double_and_write_nothing(
    database, tmp_path, request
):
    if database == "postgresql":
        put_on(request.getfixturevalue("ledger_server"), tmp_path)
    world.make(tmp_path, stopped.BATCH)
    report, proof = stopped.run(tmp_path, times=200)
    check(tmp_path, report, proof)
    assert report.stopped == 200
