"""The source is told what is safe, after the ledger has committed (delivery 56)."""

from __future__ import annotations

from flow_world import World


def test_the_source_is_told_after_each_commit(tmp_path):
    world = World(tmp_path, count=30)
    world.bridge.plan("people")
    assert world.hr.settled("people")
    world.bridge.close()
