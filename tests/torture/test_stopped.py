"""200 workers stopped past their lease and thawed, on both databases; servers that die."""

from __future__ import annotations

import logging

import pytest

from crash import stopped, world
from crash.test_stopped import check
from servers.places import put_on

log = logging.getLogger(__name__).warning


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_200_workers_stopped_past_their_lease_double_and_write_nothing(
    database, tmp_path, request
):
    done = 0
    while done < 200:  # in worlds of their own: each pass reads all that there is
        folder = tmp_path / str(done)
        folder.mkdir()
        if database == "postgresql":
            put_on(request.getfixturevalue("ledger_server"), folder)
        world.make(folder, stopped.BATCH)
        report, proof = stopped.run(folder, times=20, seed=done)
        check(folder, report, proof)
        done += report.stopped
        log("%d: %s", done, report.words(proof))
