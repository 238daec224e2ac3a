"""Every crash point of the code: reached, killed exactly there, and nothing lost."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import moatbridge
from crash import loop, world
from servers.places import copied

KILLS = 3
NEW, CHANGED, GONE = range(40, 60), range(15), range(15, 25)


def _in_the_code():
    texts = (
        path.read_text() for path in Path(moatbridge.__file__).parent.rglob("*.py")
    )
    return {
        name
        for text in texts
        for name in re.findall(r'crash_point\("([a-z_.]+)"\)', text)
    }


OURS = {"target.effect", "send.all"}
"""Passed by the target of these tests, between effect, answer and settlement."""
POINTS = sorted(_in_the_code() | OURS)
ELSEWHERE = {
    "decision.staged", "decision.answered", "reconcile.staged", "retract.half",
}  # fmt: skip
"""Passed only by replies and their answers (tests/flow/test_decisions_killed.py), by
repairs (tests/flow/test_reconcile.py), and by runs that are taken back
(tests/flow/test_retract_killed.py)."""
PUSHED = "inbox."
"""What these points begin with is passed only by what is pushed to the gateway."""
POINTS = [p for p in POINTS if p not in ELSEWHERE and not p.startswith(PUSHED)]
FIRST_OPEN = {"migrate.step"}
"""Passed only while a ledger is being made."""


@pytest.fixture(scope="module")
def kills(tmp_path_factory):
    with loop.open_loop(tmp_path_factory.mktemp("board"), "work_small") as made:
        yield made


@pytest.fixture(scope="module")
def delivered(tmp_path_factory, kills):
    """A world whose 40 records have arrived, and whose source has changed since."""
    folder = tmp_path_factory.mktemp("delivered")
    world.make(folder, 40, page=10)
    assert kills.life(str(folder)).status == 0
    world.mutate(folder, new=NEW, changed=CHANGED, gone=GONE)
    return folder


@pytest.fixture
def folder(request, delivered, tmp_path):
    made = tmp_path / "world"
    if request.getfixturevalue("point") in FIRST_OPEN:
        made.mkdir()
        world.make(made, 60, page=10)
    else:
        copied(delivered, made)
    return made


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_exactly_there_loses_and_doubles_nothing(point, folder, kills):
    killed = 0
    for passing in (1, 1, 2, 3):
        life = kills.life(str(folder), at=(point, passing))
        if life.killed:
            assert life.phase == point
            killed += 1
            world.expire_leases(folder)
        else:
            assert life.status == 0
    assert kills.life(str(folder)).status == 0
    proof = world.prove(folder, () if point in FIRST_OPEN else GONE)
    assert killed >= 2, f"{point} was not reached"
    assert proof.clean, proof
    assert proof.records == 60
    assert proof.links == 60
