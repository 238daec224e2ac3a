"""What a record may hold at most, and how a changed translator shows (delivery 6, 18)."""

from __future__ import annotations

import json

import pytest

from flow.stillness import StillWorld
from flow_world import World
from moatbridge.changes import Receipt
from moatbridge.cli.show_plan import plan_lines
from moatbridge.cli.show_verdict import Setting
from moatbridge.ledger.keys import MAX_KEY_BYTES, MAX_PAYLOAD_BYTES, keepable
from moatbridge.testing import MemoryAdapter


@pytest.mark.parametrize("uid", ["x" * (MAX_KEY_BYTES + 1), "ä" * 300])
def test_a_key_that_is_too_long_is_rejected_and_nobody_else(worlds, uid):
    world = worlds(count=3)
    world.hr.put("people", [{"uid": uid, "given": "Ada", "family": "Long"}])
    world.go()
    assert world.states() == {"DONE": 3}
    assert world.waiting() == [("rejected", "record.key")]


def test_a_key_of_the_longest_kind_is_carried(worlds):
    world = worlds(count=0)
    world.hr.put("people", [{"uid": "x" * MAX_KEY_BYTES, "given": "A", "family": "B"}])
    world.go()
    assert world.states() == {"DONE": 1}


def test_a_record_that_says_too_much_is_rejected_and_nobody_else(worlds):
    world = worlds(count=3)
    world.bridge.close()
    world.put(1, family="x" * (MAX_PAYLOAD_BYTES + 1))
    world.bridge = world.open()
    world.go()
    assert world.states() == {"DONE": 2}
    ((kind, reason),) = world.waiting()
    assert (kind, reason) == ("rejected", "record.size") or reason.startswith(
        "translate."
    )
    world.put(1, family="short")
    world.go()
    assert world.states() == {"DONE": 3}
    assert world.waiting() == []


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("a" * MAX_PAYLOAD_BYTES, True),
        ("a" * (MAX_PAYLOAD_BYTES + 1), False),
        ("ä" * (MAX_PAYLOAD_BYTES // 2), True),
        ("ä" * (MAX_PAYLOAD_BYTES // 2 + 1), False),
        ("\U0001f600" * (MAX_PAYLOAD_BYTES // 4 + 1), False),
        ("\ud800", False),
    ],
)
def test_a_payload_is_measured_in_bytes(text, fits):
    assert keepable(text) is fits


def test_what_a_receipt_says_is_kept_short(worlds):
    class Talking(MemoryAdapter):
        def write(self, stream, intents):
            return [
                Receipt("rejected", code="memory." + "x" * 5000, progress=["y" * 5000])
                for _ in intents
            ]

    world = worlds(target=Talking, count=1)
    world.go()
    assert world.states() == {"REJECTED": 1}
    assert world.value("SELECT max(length(error)) FROM intent") <= 2048
    assert world.value("SELECT max(length(reason)) FROM reject") <= 2048
    assert world.value("SELECT max(length(receipt)) FROM intent") is None


# --- a changed translator -----------------------------------------------------------------


class Retranslated(StillWorld):
    """Its translator can learn another field, which the target does not take."""

    more = False

    def config(self):
        config = super().config()
        if self.more:
            fields = config["streams"]["hr/people"]["translator"]["fields"]
            fields["nickName"] = "given"
        return config


def test_the_plan_says_that_the_translator_changed_and_nothing_is_sent(
    tmp_path, at_once
):
    world = Retranslated(tmp_path, count=6)
    try:
        world.go()
        world.scan()
        assert "retranslated" not in verdict(world)
        world.drain()
        world.more = True
        world.reopen()
        world.put(2, family="Really-changed")
        before = len(world.social.effects())
        world.scan()
        assert verdict(world)["retranslated"] == 5
        world.drain()
        assert len(world.social.effects()) == before + 1
        world.scan()
        assert "retranslated" not in verdict(world), "it was carried out once"
    finally:
        world.bridge.close()


def verdict(world):
    return json.loads(
        world.value("SELECT verdict FROM run ORDER BY run_id DESC LIMIT 1")
    )


def test_people_read_that_the_translator_changed(tmp_path):
    world = World(tmp_path, count=2)
    try:
        plan = world.bridge.plan("people")
        setting = Setting("hr/people", "social/people", "moatbridge")
        assert not any("translator" in line for line in plan_lines(plan, [], setting))
        from dataclasses import replace

        lines = list(plan_lines(replace(plan, retranslated=1200), [], setting))
        assert (
            "  The translator of hr/people changed: 1,200 records say the same by it."
            in lines
        )
    finally:
        world.bridge.close()
