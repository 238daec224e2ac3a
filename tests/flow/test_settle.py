"""The source is told what is safe, after the ledger has committed (delivery 56)."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from flow_world import World
from moatbridge.changes import Batch, Change, Ref
from moatbridge.errors import ConfigurationError, NotApplied
from moatbridge.ledger import runs
from moatbridge.testing import MemoryAdapter


class DropFolder(MemoryAdapter):
    """Each ``file`` is a snapshot; the cursor remembers the last one that was read.

    ``MemorySystem.files`` are lists of records; ``settle`` takes the file away.
    """

    def streams(self):
        can = {"CanScan", "CanSettle"}
        return [
            replace(s, snapshot_scan=True, abilities=s.abilities & can)
            for s in super().streams()
        ]

    def split(self, stream, wanted):
        return [self.partition()]

    @staticmethod
    def partition():
        from moatbridge.adapter import Partition

        return Partition()

    def scan(self, stream, partition, after):
        last = (after or {}).get("file", 0)
        sightings = (after or {}).get("sightings", 0) + 1
        files = self.system.files
        new = [number for number in sorted(files) if number > last]
        if not new:
            yield Batch((), {"file": last, "sightings": sightings}, complete=False)
            return
        changes = [Change(Ref(r["uid"]), data=_whole(r)) for r in files[new[-1]]]
        yield Batch(changes, {"file": new[-1], "sightings": 0}, complete=True)

    def settle(self, stream, cursor):
        super().settle(stream, cursor)
        self.system.files.pop(cursor["file"], None)


class Destroys(DropFolder):
    def streams(self):
        return [replace(s, settle_destroys=True) for s in super().streams()]


def _whole(record):
    return {
        "given": "Ada",
        "family": "L",
        "mail": None,
        "phone": None,
        "manager": None,
        **record,
    }


class FolderWorld(World):
    adapter = DropFolder

    def __init__(self, folder, *, adapter=DropFolder, **flow):
        self.adapter = adapter
        flows = {"people": {"from": "hr/people", "to": "social/people", **flow}}
        super().__init__(
            folder, count=0, flows=flows, systems={"hr": {"adapter": "drop"}},
            extra={"guard": {"four_eyes": False}},
        )  # fmt: skip
        self.hr.files = {}

    def config(self):
        return {**super().config(), "adapters": ["memory", "drop"]}

    def open(self):
        from moatbridge.config import parse
        from moatbridge.registry import Registry
        from moatbridge.run import Bridge

        registry = Registry(discover=False)
        registry.register("memory", MemoryAdapter)
        registry.register("drop", type("Drop", (self.adapter,), {"name": "drop"}))
        return Bridge(parse(self.config(), registry), registry=registry)

    def drop(self, number, *uids):
        self.hr.files[number] = [{"uid": uid} for uid in uids]

    def states(self):
        with self.bridge.ledger.read() as tx:
            return [
                state for (state,) in tx.all("SELECT state FROM run ORDER BY run_id")
            ]

    def position(self):
        with self.bridge.ledger.read() as tx:
            cursor = tx.value(
                "SELECT cursor FROM partition WHERE kind='scan' ORDER BY generation DESC LIMIT 1"
            )
        return json.loads(cursor)["at"].get("sightings")


@pytest.fixture
def folders(tmp_path):
    made = []

    def make(**flow):
        made.append(FolderWorld(tmp_path, **flow))
        return made[-1]

    yield make
    for world in made:
        world.bridge.close()


def test_the_source_is_told_after_each_commit(tmp_path):
    world = World(tmp_path, count=30)
    world.bridge.plan("people")
    assert world.hr.settled("people")
    world.bridge.close()


def test_no_new_file_is_no_pass_and_nothing_vanishes(folders):
    world = folders()
    world.drop(1, "a", "b")
    world.apply()
    result = world.bridge.run("people")
    assert result.state == "nothing"
    assert set(world.there()) == {"a", "b"}
    assert all(row["active"] is not False for row in world.there().values())
    assert world.states() == ["done", "nothing"]


def test_the_moved_cursor_of_no_pass_is_kept_for_the_next_one(folders):
    world = folders()
    for expected in (1, 2, 3):
        assert world.bridge.run("people").state == "nothing"
        assert world.position() == expected


def test_a_plan_of_no_pass_says_so(folders):
    plan = folders().bridge.plan("people")
    assert (plan.without_pass, plan.empty, plan.verdict.decision) == (
        "nothing-new",
        True,
        "pass",
    )


def test_the_next_file_is_compared_with_the_last_one(folders):
    world = folders()
    world.drop(1, "a", "b", "c")
    world.apply()
    world.drop(2, "a", "b")
    world.bridge.run("people")
    assert {u for u, r in world.there().items() if r["active"] is not False} == {
        "a",
        "b",
    }


def test_a_plan_that_waits_survives_passes_without_a_file(folders):
    world = folders()
    world.drop(1, "a")
    plan = world.bridge.plan("people")
    assert world.hr.files == {}  # settled when it was staged
    assert world.bridge.run("people").state == "nothing"
    assert world.bridge.apply(plan, confirm=plan.verdict.count).state == "done"
    assert set(world.there()) == {"a"}


def test_delivered_settles_only_after_delivery(folders):
    world = folders(settle_when="delivered")
    world.drop(1, "a")
    plan = world.bridge.plan("people")
    assert 1 in world.hr.files
    world.bridge.apply(plan, confirm=plan.verdict.count)
    assert set(world.there()) == {"a"}
    assert world.hr.files == {}


def test_a_file_whose_plan_nobody_agreed_to_is_read_again(folders):
    world = folders(settle_when="delivered")
    world.drop(1, "a")
    world.bridge.plan("people")
    second = world.bridge.plan("people")
    assert second.counts == {"create": 1}
    world.bridge.apply(second, confirm=1)
    assert world.hr.files == {}
    assert world.states() == ["cancelled", "done"]


def test_what_the_target_refused_counts_as_over(folders):
    world = folders(settle_when="delivered")
    world.social.refuse = lambda _record: "data"
    world.drop(1, "a")
    world.apply()
    assert world.there() == {}
    assert world.hr.files == {}


def test_what_could_not_be_sent_yet_is_not_settled(folders):
    world = folders(settle_when="delivered")
    world.drop(1, "a")
    plan = world.bridge.plan("people")
    world.bridge.switch_off("all", "drill")
    with pytest.raises(NotApplied):
        world.bridge.apply(plan, confirm=1)
    assert 1 in world.hr.files
    assert world.there() == {}


def test_a_source_that_destroys_is_settled_after_delivery_by_itself(folders):
    world = folders(adapter=Destroys)
    assert world.bridge.route("people").config.settle_when == "delivered"


def test_a_source_that_destroys_refuses_to_settle_earlier(folders):
    with pytest.raises(ConfigurationError) as error:
        folders(adapter=Destroys, settle_when="staged").bridge.route("people")
    assert error.value.code == "flow.settle"
    assert 'settle_when = "delivered"' in error.value.message


class SharedWorld(FolderWorld):
    """Two flows read one folder, whose files are put away once they were read."""

    def config(self):
        config = super().config()
        config["streams"]["social/groups"] = {}
        config["flows"]["again"] = {"from": "hr/people", "to": "social/groups"}
        return config


def test_two_flows_may_not_share_a_source_that_puts_away_what_was_read(tmp_path):
    world = SharedWorld(tmp_path)
    with pytest.raises(ConfigurationError) as error:
        world.bridge.route("people")
    world.bridge.close()
    assert error.value.code == "flow.shared-source"
    assert "again" in error.value.message


def test_a_run_that_read_nothing_is_not_the_first_run(folders):
    world = folders()
    world.bridge.run("people")
    with world.bridge.ledger.read() as tx:
        assert not runs.ever_applied(tx, world.bridge.route("people").row.flow_id)
