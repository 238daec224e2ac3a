"""A worker claims only what is done in its zones, and reaches no other (scale 2, 6)."""

from __future__ import annotations

import pytest

from flow_world import World
from moatbridge.adapter import Field, Probe, Quota, Stream, WriteTraits
from moatbridge.errors import ConfigurationError, NotApplied
from moatbridge.flow.described import Described, from_json, to_json
from moatbridge.run.dispatch import served
from run.world import Workers, until

PLANT = {"hr0": {"zone": "plant"}}
OFTEN = {"rescan": "500ms", "every": "500ms"}


@pytest.mark.parametrize(
    ("zones", "reads", "writes"),
    [
        (["default"], False, True),
        (["plant"], True, False),
        (["default", "plant"], True, True),
        (["elsewhere"], False, False),
    ],
)
def test_reading_happens_in_the_sources_zone_and_delivery_in_the_targets(
    tmp_path, zones, reads, writes
):
    world = World(tmp_path, count=0, systems={"hr": {"zone": "plant"}})
    found = served(world.bridge.config, "people", zones)
    assert (found.reads, found.writes) == (reads, writes)
    world.bridge.close()


def test_two_workers_of_two_zones_carry_a_flow_together(tmp_path):
    run = {"ttl": "5s"}
    with Workers(tmp_path, count=5, run=run, flow=OFTEN, systems=PLANT) as world:
        world.agree()
        seen = {}

        def look():
            for owner, parts in world.held().items():
                seen.setdefault(owner, set()).update(
                    n.partition("/")[0] for _f, n in parts
                )

        world.start("default")
        until(lambda: len(world.workers()) == 1)
        (writer,) = world.workers()
        world.put(range(5, 200))
        world.start("plant")
        world.fault("social0", "slow")
        until(lambda: look() or len(world.there()) == 200, look=0.01)
        assert seen.pop(writer, set()) <= {"lane"}
        assert all(parts.isdisjoint({"lane"}) for parts in seen.values())


def test_no_worker_touches_a_system_of_another_zone(tmp_path):
    """Each opens its own side only; what the other side is like is in the ledger."""
    systems = {"hr0": {"zone": "plant"}}
    with Workers(
        tmp_path, count=5, run={"ttl": "5s"}, flow=OFTEN, systems=systems
    ) as world:
        world.agree()
        with world.open() as bridge, bridge.ledger.write() as tx:
            tx.run("DELETE FROM described")
        world.start("default", slots=2)
        until(lambda: len(world.workers()) == 1)
        assert world.ask("SELECT address FROM described WHERE address LIKE 'hr%'") == []
        world.start("plant", slots=2)
        until(lambda: len(world.ask("SELECT address FROM described")) == 2)
        world.put([77])
        until(lambda: "u00077" in world.there())


def test_a_system_of_another_zone_is_refused_before_its_secrets_are_read(tmp_path):
    world = World(tmp_path, count=2, systems={"hr": {"zone": "plant"}})
    world.bridge.route("people")
    world.reopen()
    world.bridge.zones = frozenset({"default"})
    route = world.bridge.route("people")  # described by whoever reached it before
    assert route.source.probe.server == world.hr.server
    with pytest.raises(ConfigurationError) as caught, world.bridge.session("hr"):
        pass
    assert caught.value.code == "run.zone-foreign"
    assert "hr" not in world.bridge._pool._systems
    world.bridge.close()


def test_a_zone_that_nobody_described_yet_is_waited_for(tmp_path):
    world = World(tmp_path, count=2, systems={"hr": {"zone": "plant"}})
    world.bridge.zones = frozenset({"default"})
    with pytest.raises(NotApplied) as caught:
        world.bridge.route("people")
    assert (caught.value.code, caught.value.retry_after) == (
        "run.zone-description",
        5.0,
    )
    world.bridge.close()


def test_a_description_survives_its_way_through_the_ledger(tmp_path):
    world = World(tmp_path, count=0)
    for address in ("hr/people", "social/people"):
        made = world.bridge.describe(address)
        assert from_json(to_json(made)) == made
    deep = Field("a", "object", fields=(Field("b", multi=True, fields=(Field("c"),)),))
    stream = Stream("s", (deep,), ("a",), frozenset({"CanScan"}), label="internal")
    probe = Probe(
        "id", abilities={"s": frozenset({"CanScan"})}, quota={"read": Quota(2, 3)},
        warnings=("careful",),
    )  # fmt: skip
    made = Described(stream, probe, WriteTraits(dedup="keyed", key_ttl=5.0))
    assert from_json(to_json(made)) == made
    world.bridge.close()


def test_a_removal_needs_a_worker_that_reaches_both_ends(tmp_path):
    """It is confirmed at the source right before it is sent; nothing else waits for it."""
    systems = {"hr0": {"zone": "plant"}}
    with Workers(
        tmp_path, count=30, run={"ttl": "5s"}, flow=OFTEN, systems=systems
    ) as world:
        world.agree()
        world.start("default", slots=2)
        world.start("plant", slots=2)
        until(lambda: len(world.workers()) == 2)
        world.gone([3])
        lane = "SELECT error FROM partition WHERE kind='lane'"
        until(lambda: world.ask(lane) == [("run.zone-foreign",)])
        world.put([77])
        with world.open() as bridge, bridge.ledger.write() as tx:
            tx.run("UPDATE partition SET not_before=0")
        until(lambda: "u00077" in world.there())
        assert world.there()["u00003"]["active"] is not False
        world.stop()
        world.processes.clear()
        world.start("default", "plant", slots=2)
        with world.open() as bridge, bridge.ledger.write() as tx:
            tx.run("UPDATE partition SET not_before=0")
        until(lambda: world.there()["u00003"]["active"] is False)
