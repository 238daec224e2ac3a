"""Thousands of random kills, and every crash point twenty times, on both databases."""

from __future__ import annotations

import itertools
import logging
import time

import pytest

from crash import loop, test_crash_points, world
from servers.places import put_on

SPANS = (0.02, 0.02, 0.05, 0.15)
"""Half of the kills fall into the first 20 ms of work."""
PARCEL = 100

log = logging.getLogger(__name__).warning


@pytest.fixture(params=["sqlite", "postgresql"])
def folder(request, tmp_path):
    if request.param == "postgresql":
        put_on(request.getfixturevalue("ledger_server"), tmp_path)
    return tmp_path


def proven(report, proof, *, records):
    log(report.words(proof))
    assert proof.clean, proof
    assert proof.records == proof.links == records
    assert 0 < report.replays(proof) <= report.kills * PARCEL, "more than one batch"


@pytest.mark.parametrize(("kills", "records"), [(1000, 100_000), (10_000, 200_000)])
def test_random_kills_lose_and_double_nothing(kills, records, tmp_path):
    since = time.monotonic()
    world.make(tmp_path, records // 2)
    report, proof = loop.run(
        tmp_path, kills=kills, records=records, first=records // 2, step=max(2000, records // 20), spans=SPANS
    )  # fmt: skip
    log(f"{kills} kills in {time.monotonic() - since:.0f} s")
    assert report.kills >= kills
    proven(report, proof, records=records)


def test_random_kills_lose_and_double_nothing_on_postgresql(tmp_path, ledger_server):
    put_on(ledger_server, tmp_path)
    world.make(tmp_path, 5000)
    report, proof = loop.run(
        tmp_path, kills=500, records=20_000, first=5000, spans=SPANS
    )
    proven(report, proof, records=20_000)


@pytest.mark.parametrize(
    ("work", "what"),
    [
        ("work_marking_first", "lost"),
        ("work_cursor_first", "lost"),
        ("work_resending", "doubled"),
        ("work_bits_later", "wrong"),
    ],
)
def test_a_control_is_caught(work, what, tmp_path):
    traits = world.UNKEYED if work == "work_resending" else world.KEYED
    world.make(tmp_path, 3000, traits=traits)
    report, proof = loop.run(
        tmp_path, kills=60, records=6000, first=3000, work=work
    )  # fmt: skip
    log(f"{work}: {report.words(proof)}")
    assert getattr(proof, what)


@pytest.mark.parametrize("point", test_crash_points.POINTS)
def test_20_kills_exactly_there_lose_and_double_nothing(point, folder, tmp_path):
    board = tmp_path / "board"
    board.mkdir()
    world.make(folder, 60, page=10)
    killed, low = 0, 60
    with loop.open_loop(board, "work_small") as kills:
        while killed < 20:
            for passing in (1, 1, 2, 3):
                life = kills.life(str(folder), at=(point, passing))
                killed += life.killed
                if not life.killed:
                    assert life.status == 0
                    break
                assert life.phase == point
                world.expire_leases(folder)
            else:
                assert kills.life(str(folder)).status == 0
            assert killed or low == 60, f"{point} was not reached"
            if point in test_crash_points.FIRST_OPEN:
                return
            changed = range(low - 60, low - 40)
            gone = range(low - 40, low - 30)
            world.mutate(folder, new=range(low, low + 60), changed=changed, gone=gone)
            low += 60
        assert kills.life(str(folder)).status == 0
    gone = itertools.chain.from_iterable(
        range(at - 40, at - 30) for at in range(60, low, 60)
    )
    proof = world.prove(folder, list(gone))
    log(f"{point}: {killed} kills over {proof.records} records")
    assert proof.clean, proof
    assert proof.links == proof.records == low
