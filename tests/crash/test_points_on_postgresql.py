"""Some of the crash points again, the ledger on PostgreSQL; all of them in the torture."""

from __future__ import annotations

import pytest

from crash import loop, world
from servers.places import copied, put_on

POINTS = (
    "migrate.step",
    "stage.in",
    "bits.before_cursor",
    "claim.done",
    "inflight.done",
    "target.effect",
    "settle.in",
)
NEW, CHANGED, GONE = range(40, 60), range(15), range(15, 25)


@pytest.fixture(scope="module")
def kills(tmp_path_factory):
    with loop.open_loop(tmp_path_factory.mktemp("board"), "work_small") as made:
        yield made


@pytest.fixture(scope="module")
def delivered(tmp_path_factory, kills, ledger_server):
    """A world whose 40 records have arrived, and whose source has changed since."""
    folder = tmp_path_factory.mktemp("delivered")
    put_on(ledger_server, folder)
    world.make(folder, 40, page=10)
    assert kills.life(str(folder)).status == 0
    world.mutate(folder, new=NEW, changed=CHANGED, gone=GONE)
    return folder


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_exactly_there_loses_and_doubles_nothing(
    point, delivered, kills, ledger_server, tmp_path
):
    folder = tmp_path / "world"
    first = point == "migrate.step"
    if first:
        folder.mkdir()
        put_on(ledger_server, folder)
        world.make(folder, 60, page=10)
    else:
        copied(delivered, folder, ledger_server)
    killed = 0
    for passing in (1, 2):
        life = kills.life(str(folder), at=(point, passing))
        if life.killed:
            assert life.phase == point
            killed += 1
            world.expire_leases(folder)
        else:
            assert life.status == 0
    assert kills.life(str(folder)).status == 0
    proof = world.prove(folder, () if first else GONE)
    assert killed >= 1, f"{point} was not reached"
    assert proof.clean, proof
    assert (proof.records, proof.links) == (60, 60)
