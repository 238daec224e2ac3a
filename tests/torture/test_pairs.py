"""Kill loops over every pair of real servers that exists: ``MOATBRIDGE_KILLS`` each.

Not covered, for a reason: people to Mastodon (it takes posts), people to the webhook
receiver (it wants a text), a webhook as a source (events come in by the gateway, which
has its own crash tests), Mastodon as a source (replies become decisions), SOAP as a
target (it takes decisions, which rest on posts that people saw).
"""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path

import pytest

from torture.pairs.loop import Pair
from torture.pairs.sources import SOURCES
from torture.pairs.targets import TARGETS

KILLS = int(os.environ.get("MOATBRIDGE_KILLS", "200"))
PAIRS = [
    (source, target)
    for source in SOURCES.values()
    for target in TARGETS.values()
    if source.entity == target.entity
]
log = logging.getLogger(__name__).warning


@pytest.mark.parametrize(
    ("source", "target"), PAIRS, ids=[f"{s.name}-to-{t.name}" for s, t in PAIRS]
)
def test_random_kills_of_worker_and_servers_lose_and_double_nothing(source, target):
    # Not pytest's folder: a local socket's path may have 107 bytes only.
    with tempfile.TemporaryDirectory(prefix="pair-") as name:
        folder = Path(name)
        with source(folder) as left, target(folder) as right:
            report = Pair(folder, left, right, seed=1).run(KILLS)
    log(report.words())
    assert report.kills >= KILLS
    promised(report)


def promised(report):
    """Everything is there once; at most once: what is missing waits for a person."""
    said = (report, report.errors)
    assert not report.doubled, said
    assert not report.unfinished, said
    assert not report.errors["it never came to rest"], said
    assert not [error for error in report.errors if error.startswith("!")], said
    if report.guarantee == "at-most-once":
        missing = len(report.lost) + len(report.wrong) + len(report.surplus)
        assert missing <= len(report.waiting), said
        return
    assert report.clean, said
    assert not report.waiting, said


@pytest.mark.parametrize("newer", [True, False], ids=["newer-file", "no-newer-file"])
@pytest.mark.parametrize(
    "point",
    ["read.done", "stage.in", "stage.done", "source.settle.before", "source.settle.after"],
)  # fmt: skip
def test_a_snapshot_pass_killed_there_ends_as_its_own_file(tmp_path, point, newer):
    """What a newer file says is another pass: nothing of it counts as seen before."""
    with SOURCES["sftp"](tmp_path) as left, TARGETS["sftp"](tmp_path) as right:
        pair = Pair(tmp_path, left, right, seed=1)
        with pair.workers() as workers:
            pair.change(new=60)
            pair.come_to_rest(workers)
            pair.change(new=15, changed=10, gone=5)
            life = pair.life(workers, at=(point, 1))
            assert life.killed
            assert life.phase == point
            if newer:
                pair.change(new=15, changed=10, gone=5)
            pair.come_to_rest(workers)
        pair.compare()
    log("%s %s", point, pair.report.words())
    promised(pair.report)
