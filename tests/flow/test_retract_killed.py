"""SIGKILL anywhere while a run is taken back: each record once, and all of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from crash.world import expire_leases
from flow import retract_life
from moatbridge.testing.killloop import KillLoop
from servers.places import EVERYWHERE

POINTS = (
    "retract.half",
    "claim.done",
    "admit.in",
    "inflight.done",
    "send.half",
    "target.effect",
    "answer.read",
    "settle.in",
)


@pytest.fixture(scope="module")
def kills(tmp_path_factory):
    tests = str(Path(__file__).resolve().parents[1])
    board = tmp_path_factory.mktemp("board")
    with KillLoop("flow.retract_life:work", folder=board, path=[tests]) as made:
        yield made


@pytest.fixture(scope="module")
def carried(tmp_path_factory):
    folder = tmp_path_factory.mktemp("carried")
    return folder, retract_life.make(folder)


@pytest.fixture
def world(request, tmp_path):
    """A folder of its own, and what the target showed before the second run."""
    folder = tmp_path / "world"
    if EVERYWHERE:  # a ledger on a server is not copied with its folder
        folder.mkdir()
        return folder, retract_life.make(folder)
    made, before = request.getfixturevalue("carried")
    shutil.copytree(made, folder)
    return folder, before


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_exactly_there_takes_back_everything_once(point, world, kills):
    folder, before = world
    killed = 0
    for passing in (1, 1, 2, 3):
        life = kills.life(str(folder), at=(point, passing))
        if life.killed:
            killed += 1
            expire_leases(folder)
        else:
            assert life.status == 0, life
    assert kills.life(str(folder)).status == 0
    assert killed, f"{point} was not reached"
    wrong, doubled, kept, left = retract_life.proof(folder, before)
    assert wrong == []
    assert doubled == []
    assert kept == 0
    assert left == 0


@pytest.mark.parametrize("point", ["inflight.done", "target.effect", "settle.in"])
def test_run_goes_on_with_an_agreed_retract_after_a_kill(point, world, kills):
    folder, before = world
    assert kills.life(str(folder), at=(point, 2)).killed
    expire_leases(folder)
    (folder / retract_life.RUNS_ONLY).touch()
    life = kills.life(str(folder))
    assert life.status == 0, life
    wrong, doubled, kept, left = retract_life.proof(folder, before)
    assert (wrong, doubled, kept, left) == ([], [], 0, 0)
