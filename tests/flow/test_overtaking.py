"""Live events and scans overtake each other; the newest state wins (delivery 37-41)."""

from __future__ import annotations

import pytest

from moatbridge.adapter import CanFollow
from moatbridge.resilience import crash
from moatbridge.testing import MemoryAdapter


def once(point, action, *, nth=1):
    """Run an action when a crash point is passed for the n-th time."""
    passed = []

    def hook(name):
        if name == point:
            passed.append(name)
            if len(passed) == nth:
                crash.install(None)
                action()

    crash.install(hook)


def test_the_tail_is_positioned_before_the_scan_begins(worlds):
    """Delivery 37: what changes during the scan is followed afterwards."""
    world = worlds()
    once("read.done", lambda: world.put(3, family="Meanwhile"))
    world.go()
    assert world.there()["u0003"]["family"] == "L3"
    world.live()
    assert world.there()["u0003"]["family"] == "Meanwhile"
    assert world.same()


def test_a_live_event_between_reading_and_looking_up_wins(worlds):
    """Delivery 38a: the page that was read before the event holds an older state."""
    world = worlds()
    world.go()
    world.put(3, family="Older")

    def newer():
        world.put(3, family="Newer")
        world.live()

    once("read.done", newer)
    world.go()
    assert world.there()["u0003"]["family"] == "Newer"
    world.go()
    assert world.same()


def test_a_live_event_between_looking_up_and_admission_wins(worlds):
    """Delivery 38b: admission is a compare-and-set on the mark."""
    world = worlds()
    world.go()
    world.put(3, family="Older")
    world.scan()
    world.put(3, family="Newer")
    world.live()
    world.drain()
    assert world.there()["u0003"]["family"] == "Newer"
    assert world.same()


@pytest.mark.parametrize("nth", [1, 2])
def test_a_live_event_right_before_a_parcel_is_admitted_wins(worlds, nth):
    world = worlds(parcel=1)
    world.go()
    world.put(3, family="Older")
    world.put(4, family="Older")

    def newer():
        world.put(3, family="Newer")
        world.live()

    world.scan()
    once("claim.done", newer, nth=nth)
    world.drain()
    world.live()
    assert world.there()["u0003"]["family"] == "Newer"
    assert world.same()


def test_every_path_that_touches_a_link_sets_its_bit_and_none_is_forgotten(worlds):
    """Delivery 41: two polls of the tail during one pass leave both their bits."""
    world = worlds(source=Blind, count=6)
    world.go()
    polls = []

    def two_polls():
        for number in (1, 2):
            world.put(number, family=f"Live{number}")
            world.live()
        polls.extend(
            world.value("SELECT bits FROM seen WHERE part='live'") for _ in (0,)
        )

    once("read.done", two_polls)
    world.scan()
    bits = int.from_bytes(polls[0], "little")
    links = {
        world.value("SELECT link_id FROM link WHERE a_key=?", f"u000{n}")
        for n in (1, 2)
    }
    assert {n for n in range(100) if bits >> n & 1} == links


class Blind(MemoryAdapter):
    """Cannot fetch by identity, so nothing can be confirmed."""

    def streams(self):
        from dataclasses import replace

        return [
            replace(s, abilities=s.abilities - {"CanFetch"}) for s in super().streams()
        ]


def test_a_record_created_during_the_pass_is_not_missing(worlds):
    world = worlds()
    world.go()

    def newcomer():
        world.put(9)
        world.live()

    once("stage.in", newcomer)
    world.go()
    assert world.there()["u0009"]["active"] is not False
    assert world.same()


def test_a_cursor_too_old_asks_for_a_new_pass_and_keeps_the_links(worlds):
    """Delivery 40."""
    world = worlds()
    world.go()
    world.live()
    world.put(2, family="Unseen")
    world.hr.truncate_log("people")
    world.put(3, family="Also")
    world.live()
    links = world.value("SELECT count(*) FROM link")
    world.drain("control", "scan")
    with world.bridge.ledger.write() as tx:
        tx.run("UPDATE run SET state='applying' WHERE state='planned'")
    world.drain()
    assert world.same()
    assert world.value("SELECT count(*) FROM link") == links
    assert len(world.social.effects()) == 7


def test_several_changes_of_one_record_in_a_batch_end_with_the_last(worlds):
    """Delivery 39."""
    world = worlds()
    world.go()
    for family in ("A", "B", "C"):
        world.put(1, family=family)
    world.remove(2)
    world.put(2, family="Back")
    world.live()
    assert world.there()["u0001"]["family"] == "C"
    assert world.there()["u0002"]["family"] == "Back"
    assert world.same()


def test_a_live_delete_is_confirmed_and_disables(worlds):
    world = worlds()
    world.go()
    world.remove(4)
    world.live()
    assert world.there()["u0004"]["active"] is False


def test_thin_changes_are_fetched_in_one_call(worlds):
    """Delivery 39: never one request per record."""
    calls = []

    class Counting(MemoryAdapter):
        def fetch(self, stream, refs):
            calls.append(len(refs))
            return super().fetch(stream, refs)

    assert issubclass(Counting, CanFollow)
    world = worlds(source=Counting, count=30)
    world.hr.set("people", thin=True)
    world.go()
    for number in range(20):
        world.put(number, family="Thin")
    calls.clear()
    world.live()
    assert calls == [20]
    assert world.same()
