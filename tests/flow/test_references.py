"""References between records, resolved through the ledger's links (entities 28)."""

from __future__ import annotations

from flow_world import World


def test_a_manager_becomes_the_targets_id_even_when_created_later(tmp_path):
    world = World(tmp_path, count=3)
    world.put(0, manager="u0002")
    world.put(1, manager="u0000")
    result = world.apply()
    assert result.state == "done"
    ids = {row.data["uid"]: row.ref.id for row in world.social.all("people")}
    assert world.there()["u0000"]["manager"] == ids["u0002"]
    assert world.there()["u0001"]["manager"] == ids["u0000"]
    assert world.bridge.plan("people").empty
    world.bridge.close()


def test_a_reference_to_nobody_waits_and_is_filled_when_the_record_appears(tmp_path):
    world = World(tmp_path, count=2)
    world.put(0, manager="u0007")
    world.apply()
    assert world.there()["u0000"]["manager"] is None
    world.put(7)
    world.bridge.run("people")
    ids = {row.data["uid"]: row.ref.id for row in world.social.all("people")}
    assert world.there()["u0000"]["manager"] == ids["u0007"]
    world.bridge.close()
