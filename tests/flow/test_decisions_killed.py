"""SIGKILL anywhere between a reply and its answer: decided once, answered once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from crash.world import expire_leases
from flow import decisions_life
from moatbridge.testing.killloop import KillLoop

POINTS = (
    "read.done",
    "stage.in",
    "decision.staged",
    "bits.before_cursor",
    "stage.done",
    "claim.done",
    "admit.in",
    "inflight.done",
    "send.half",
    "target.effect",
    "answer.read",
    "settle.in",
    "decision.answered",
)


@pytest.fixture(scope="module")
def kills(tmp_path_factory):
    tests = str(Path(__file__).resolve().parents[1])
    board = tmp_path_factory.mktemp("board")
    with KillLoop("flow.decisions_life:work", folder=board, path=[tests]) as made:
        yield made


@pytest.fixture(scope="module")
def waiting(tmp_path_factory):
    folder = tmp_path_factory.mktemp("waiting")
    decisions_life.make(folder)
    return folder


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_exactly_there_decides_and_answers_once(point, waiting, tmp_path, kills):
    folder = tmp_path / "world"
    shutil.copytree(waiting, folder)
    killed = 0
    for passing in (1, 1, 2, 3):
        life = kills.life(str(folder), at=(point, passing))
        if life.killed:
            killed += 1
            expire_leases(folder)
        else:
            assert life.status == 0, life
    for _ in range(2):
        expire_leases(folder)
        assert kills.life(str(folder)).status == 0
    assert killed, f"{point} was not reached"
    decisions, answers, creates = decisions_life.proof(folder)
    assert decisions == [("4711", "Accept"), ("4712", "Reject")]
    assert answers == ["r3"]
    assert creates == 5  # two orders posted, two decisions, one answer
