"""What an adapter notices while it reads reaches people: by way of real drop folders."""

from __future__ import annotations

import json
from typing import ClassVar

import pytest

from flow.test_told_by_files import FileWorld
from moatbridge.cli.show_check import check_lines
from moatbridge.cli.show_plan import plan_json, plan_lines
from moatbridge.cli.show_result import result_json, result_lines
from moatbridge.cli.show_status import status_lines
from moatbridge.cli.show_verdict import Setting
from moatbridge.ledger import notices
from moatbridge.run.checking import check
from moatbridge.run.status import status
from moatbridge.testing import MemoryAdapter

SETTING = Setting("hr/people", "social/people", "")
WORDS = "people: 1.csv was set aside, nothing of it is used: "


class SnapshotWorld(FileWorld):
    """Each file is everybody; bad ones are set aside."""

    more: ClassVar = {
        "content": "snapshot",
        "action": None,
        "on_bad_file": "quarantine",
    }

    def config(self):
        config = super().config()
        config["streams"]["hr/people"] |= self.more
        return config

    def shown(self):
        return "\n".join(status_lines(self.status()))

    def status(self):
        return status(self.bridge.config, self.bridge.ledger)


class GapWorld(SnapshotWorld):
    """Changes, whose files are counted."""

    more: ClassVar = {"sequence": r"(\d+)\.", "on_gap": "warn"}


@pytest.fixture
def worlds(tmp_path, at_once):
    made = []

    def make(kind):
        made.append(kind(tmp_path))
        return made[-1]

    yield make
    for world in made:
        world.bridge.close()


def test_a_snapshot_that_was_set_aside_is_told_by_plan_run_and_status(worlds):
    world = worlds(SnapshotWorld)
    world.put_file("1.csv", ("I", "a", "Ada"), ("I", "a", "Augusta"))
    result = world.bridge.run("people")
    assert result.state == "nothing"
    (words,) = result.notices
    assert words.startswith(WORDS)
    assert words in "\n".join(result_lines(result, SETTING))
    assert result_json(result, SETTING)["notices"] == [words]
    assert f"UTC: {words}" in world.shown()
    (notice,) = json.loads(json.dumps(world.status().to_dict()))["flows"][0]["notices"]
    assert notice["words"] == words


def test_what_a_pass_noticed_is_told_by_status_for_a_week(worlds, monkeypatch):
    world = worlds(SnapshotWorld)
    world.put_file("1.csv", ("I", "a", "Ada"), ("I", "a", "Augusta"))
    (words,) = world.bridge.run("people").notices
    for _ in range(3):  # passes of their own, which have nothing to say
        assert world.bridge.run("people").notices == ()
        assert world.bridge.plan("people").notices == ()
    assert world.shown().count(words) == 1
    monkeypatch.setattr(notices, "LIFE", 0.0)
    assert words not in world.shown()


def test_a_plan_shows_what_was_noticed_while_it_was_made(worlds):
    world = worlds(SnapshotWorld)
    world.put_file("1.csv", ("I", "a", "Ada"), ("I", "a", "Augusta"))
    plan = world.bridge.plan("people")
    (words,) = plan.notices
    assert f"  Notice: {words}" in list(plan_lines(plan, [], SETTING))
    assert plan_json(plan, [], SETTING)["notices"] == [words]


def test_what_was_noticed_before_an_error_is_told_all_the_same(worlds, monkeypatch):
    world = worlds(SnapshotWorld)
    world.put_file("1.csv", ("I", "a", "Ada"), ("I", "a", "Augusta"))

    def failing(_reading):
        raise RuntimeError("a bug behind the adapter")

    monkeypatch.setattr("moatbridge.flow.reading.Pass.commit_if_any", failing)
    with pytest.raises(RuntimeError):
        world.bridge.run("people")
    assert WORDS in world.shown()


def test_what_was_noticed_while_following_is_told_for_a_week(worlds, monkeypatch):
    world = worlds(GapWorld)
    world.put_file("1.csv", ("I", "a", "Ada"))
    assert world.bridge.run("people").notices == ()
    world.put_file("3.csv", ("I", "b", "Bob"))
    gap = "people: expected file number 2, found 3 (file 3.csv)."
    assert world.bridge.run("people").notices == (gap,)
    assert world.bridge.run("people").notices == ()  # said by an earlier one
    assert gap in world.shown()
    monkeypatch.setattr(notices, "LIFE", 0.0)
    assert gap not in world.shown()


def test_check_shows_the_facts_that_the_adapter_found_out(worlds):
    world = worlds(SnapshotWorld)
    world.put_file("1.csv", ("I", "a", "Ada"))
    found = check(world.bridge)
    lines = list(check_lines(found))
    assert any(line.startswith("  fact      free: ") for line in lines)
    assert any(line.startswith("  fact      newest_file: 20") for line in lines)
    facts = json.loads(json.dumps(found.to_dict()))["systems"][0]["facts"]
    assert facts.keys() == {"free", "newest_file"}


class Talker(MemoryAdapter):
    """Says whatever its class is told to; raises if that is an error."""

    name = "talker"
    words: ClassVar[list[str] | Exception] = []

    def notices(self, stream=None):
        if isinstance(Talker.words, Exception):
            raise Talker.words
        said, Talker.words = Talker.words, []
        return said


class TalkerWorld(FileWorld):
    def __init__(self, folder):
        Talker.words = []
        super().__init__(folder)

    def config(self):
        config = super().config()
        config["adapters"] = ["talker"]
        config["systems"]["hr"] = {
            "adapter": "talker",
            "system": self.hr.name,
            "max_label": "confidential",
        }
        config["systems"]["social"]["adapter"] = "talker"
        people = config["streams"]["hr/people"]
        config["streams"]["hr/people"] = {"translator": people["translator"]}
        return config

    def open(self):
        from moatbridge.config import parse
        from moatbridge.registry import Registry
        from moatbridge.run import Bridge

        registry = Registry(discover=False)
        registry.register("talker", Talker)
        return Bridge(parse(self.config(), registry), registry=registry)


def test_sentences_are_bounded_in_number_and_length_and_said_once(worlds):
    world = worlds(TalkerWorld)
    Talker.words = ["twice", "twice", "\ud800" + "x" * 999, *map(str, range(50))]
    said = world.bridge.plan("people").notices
    assert len(said) == len(set(said)) == 19
    assert said[:2] == ("twice", "\ufffd" + "x" * 298 + "…")


def test_an_adapter_that_cannot_say_what_it_noticed_harms_nothing(worlds):
    world = worlds(TalkerWorld)
    world.put(1)
    Talker.words = ZeroDivisionError("of Ada Lovelace")
    plan = world.bridge.plan("people")
    assert (plan.counts, plan.notices) == ({"create": 1}, ())
