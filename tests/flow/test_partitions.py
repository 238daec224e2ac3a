"""Into how many parts a scan is cut: as many as gain by it (design 0033)."""

from __future__ import annotations

import pytest

from flow.stillness import LOOSE, StillWorld
from moatbridge.ledger import Leases
from servers.places import put_on


def parts(world):
    world.go()
    assert world.states() == {"DONE": 40}
    return world.value("SELECT count(*) FROM partition WHERE kind='scan'")


@pytest.fixture
def opened(tmp_path, at_once):
    made = []

    def make(wanted, *, server=None, processes=1):
        if server is not None:
            put_on(server, tmp_path)
        extra = {
            "ledger": {"durability": "normal"},
            "guard": {"four_eyes": False, **LOOSE},
            "run": {"processes": processes},
        }
        flow = {"partitions": wanted}
        made.append(StillWorld(tmp_path, count=40, flow=flow, extra=extra))
        return made[-1]

    yield make
    for world in made:
        world.bridge.close()


@pytest.mark.parametrize(("wanted", "cut"), [(None, 1), (3, 3)])
def test_on_sqlite_a_scan_is_one_part_unless_it_is_set(opened, wanted, cut):
    assert parts(opened(wanted)) == cut


def test_on_sqlite_several_processes_share_a_scan(opened):
    assert parts(opened(None, processes=2)) == 4


@pytest.mark.parametrize(("wanted", "cut"), [(None, 4), (1, 1)])
def test_on_postgresql_a_scan_is_four_parts_unless_it_is_set(
    opened, ledger_server, wanted, cut
):
    assert parts(opened(wanted, server=ledger_server)) == cut


def test_the_pass_is_judged_as_soon_as_its_last_part_is_read(opened, monkeypatch):
    """Control is woken by a part that counts as done: else it would look in vain."""
    world, left, wake = opened(3), [], Leases.wake

    def waking(self, tx, flow_id, kind):
        if kind == "control":
            left.append(
                tx.value(
                    "SELECT count(*) FROM partition WHERE kind='scan' AND state<>'done'"
                )
            )
        wake(self, tx, flow_id, kind)

    monkeypatch.setattr(Leases, "wake", waking)
    world.scan()
    assert left == [0, 2, 1, 0]  # asked for, and then part by part
