"""One record that fails whatever is tried is found and left out (scale 18)."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from flow.decisions_world import DecisionWorld, Social
from flow.poison_world import (
    BAD,
    FIVE,
    Broken,
    Thin,
    delivered,
    everybody,
    many,
    row,
    until_found,
)
from flow.stillness import StillWorld
from flow.test_told_once import ToldWorld
from moatbridge.changes import Change, Ref
from moatbridge.errors import Rejected
from moatbridge.testing import MemoryAdapter
from servers.places import put_on

pytestmark = pytest.mark.usefixtures("no_breaker")


def test_after_five_tries_the_record_that_fails_on_our_side_is_rejected_alone(worlds):
    world = many(worlds, source=Broken)
    world.put(12, mail="!")
    assert until_found(world, work=world.scan) in FIVE
    (waits,) = world.bridge.review("people")
    assert (waits.kind, waits.reason) == ("rejected", "record.poison")
    assert (waits.detail, waits.ref) == ("AttributeError", (BAD, None))
    assert row(world)[0] == "done"
    assert delivered(world) == everybody(BAD)
    assert world.value("SELECT bug FROM flow") is None


def test_it_is_tried_again_in_each_pass_and_nobody_waits_for_it_again(worlds):
    world = many(worlds, source=Broken)
    world.put(12, mail="!")
    until_found(world, work=world.scan)
    delivered(world)
    world.put(13, family="Changed")
    assert [one for one in world.go() if one.error] == []
    assert world.there()["u0013"]["family"] == "Changed"
    assert next(w.times for w in world.bridge.review("people")) > 1
    world.put(12, mail="mended@x.example")
    world.go()
    assert world.waiting() == []
    assert world.same()


def test_in_the_live_tail_too_the_others_flow_and_it_returns_when_it_changes(worlds):
    world = many(worlds, source=Broken)
    world.go()
    for number in (11, 12, 13):
        world.put(number, family="Changed", mail="!" if number == 12 else "a@x.example")
    assert until_found(world, work=world.live) in FIVE
    assert world.waiting() == [("rejected", "record.poison")]
    changed = {
        uid for uid, each in world.there().items() if each["family"] == "Changed"
    }
    assert changed == {"u0011", "u0013"}
    world.put(12, family="Changed", mail="mended@x.example")
    assert [one for one in world.live() if one.error] == []
    assert (world.waiting(), world.same()) == ([], True)


@pytest.mark.parametrize("error", [Thin.error, ZeroDivisionError()])
def test_a_record_that_the_source_cannot_show_is_not_taken_for_gone(worlds, error):
    kind = type("Thin", (Thin,), {"error": error})
    world = many(worlds, source=kind)
    world.go()
    world.put(12, mail="!")
    world.put(13, family="Changed")
    assert until_found(world, work=world.scan) in FIVE
    world.go()
    assert world.waiting() == [("rejected", "record.poison")]
    assert world.there()["u0013"]["family"] == "Changed"
    assert world.there()[BAD]["active"] is not False


def test_a_record_that_the_target_refuses_to_look_for_is_rejected_alone(worlds):
    class Picky(MemoryAdapter):
        def find(self, stream, queries):
            if any("12" in str(query.value) for query in queries):
                raise Rejected("That is no filter.", code="there.filter")
            return super().find(stream, queries)

    world = many(worlds, target=Picky, flow={"match": ["userName"]})
    assert until_found(world, work=world.scan) in FIVE
    (waits,) = world.bridge.review("people")
    assert (waits.reason, waits.detail) == ("record.poison", "there.filter")
    assert delivered(world) == everybody(BAD)


def test_a_row_that_postgresql_refuses_is_left_out_and_no_bug_of_the_flow(
    tmp_path, at_once, ledger_server, monkeypatch
):
    monkeypatch.setattr("moatbridge.flow.recognising.storable", lambda _text: True)
    put_on(ledger_server, tmp_path)
    world = StillWorld(tmp_path, source=Named, count=30)
    world.hr.set("people", page=10)
    try:
        renamed(world, "\0", monkeypatch)
    finally:
        world.bridge.close()


class Named(MemoryAdapter):
    """One record has a name of its own."""

    bad = ""

    def scan(self, stream, partition, after):
        for batch in super().scan(stream, partition, after):
            changes = [
                each._replace(ref=each.ref._replace(name=f"n{self.bad}"))
                if each.ref.key == BAD
                else each
                for each in batch.changes
            ]
            yield replace(batch, changes=changes)


def renamed(world, bad, monkeypatch):
    """A record that is linked gets a name that the ledger refuses."""
    world.go()
    assert set(world.there()) == everybody()
    monkeypatch.setattr(Named, "bad", bad)
    for number in (11, 12, 13):
        world.put(number, family="Changed")
    assert until_found(world, work=world.scan) in FIVE
    assert world.waiting() == [("rejected", "record.poison")]
    assert delivered(world) == everybody()
    changed = {
        uid for uid, each in world.there().items() if each["family"] == "Changed"
    }
    assert changed == {"u0011", "u0013"}
    assert world.value("SELECT bug FROM flow") is None


def test_a_check_of_the_guard_that_fails_holds_that_record_alone(worlds, monkeypatch):
    from moatbridge.guard import record_rules

    def fails(outgoing, *_rest):
        if outgoing.entity["userName"] == BAD:
            raise ZeroDivisionError
        return ()

    checks = {**record_rules.RECORD_CHECKS, "privileged": fails}
    judge = sys.modules["moatbridge.guard.judging"]
    monkeypatch.setattr(judge, "checks_for", lambda *_: checks)
    world = many(worlds)
    assert [one for one in world.go() if one.error] == []
    assert world.waiting() == [("held", "guard-bug")]
    assert set(world.there()) == everybody(BAD)


@pytest.mark.parametrize("error", [KeyError("x"), AssertionError(), SystemExit(1)])
def test_whatever_a_translators_function_raises_costs_its_record_alone(worlds, error):
    import moatbridge as mb

    def given(record):
        if record["uid"] == BAD:
            raise error
        return record["given"]

    class Own(StillWorld):
        def config(self):
            config = super().config()
            table = {
                "userName": "uid",
                "name.givenName": mb.only_out(given, reads=("uid", "given")),
                "name.familyName": "family",
                "emails[type=work].value": "mail",
                "phoneNumbers[type=work].value": "phone",
            }
            people = {"translator": mb.Translator(mb.Person, table)}
            config["streams"]["hr/people"] = people
            return config

    world = worlds(count=30, kind=Own)
    assert [one for one in world.go() if one.error] == []
    assert world.waiting() == [("rejected", "translate.bug")]
    assert set(world.there()) == everybody(BAD)


def test_a_person_who_has_it_read_again_does_not_stop_the_flow(worlds):
    world = many(worlds, source=Thin)
    world.go()
    world.put(12, mail="!")
    until_found(world, work=world.scan)
    world.go()
    (waits,) = world.bridge.review("people")
    world.bridge.decide("people", waits.item, "replay", actor="me")
    world.put(13, family="Changed")
    assert until_found(world, work=world.scan) in FIVE
    assert [one for one in world.drain() if one.error] == []
    assert world.waiting() == [("rejected", "record.poison")]
    assert world.there()["u0013"]["family"] == "Changed"


@pytest.mark.parametrize("bad", ["\0", "\ud800", "x" * 600])
def test_a_reply_whose_key_cannot_be_kept_costs_no_other_reply(tmp_path, bad):
    class Strange(Social):
        def changes(self, stream, after):
            for batch in super().changes(stream, after):
                changes = [
                    each._replace(ref=Ref(bad)) if each.ref.key == "r1" else each
                    for each in batch.changes
                ]
                yield replace(batch, changes=changes)

    world = DecisionWorld(tmp_path, social=Strange)
    try:
        world.reply("r1", "approve", to="4712")
        world.reply("r2", "approve")
        world.run()
        assert world.decided() == [("4711", "Accept", "a.lovelace", None)]
        waiting = world.bridge.review("decisions")
        assert [one.reason for one in waiting] == ["record.key"]
    finally:
        world.close()


def test_what_is_told_once_is_not_lost_beside_poison_and_follows_in_order(
    tmp_path, at_once
):
    world = ToldWorld(tmp_path)
    try:
        for number in range(20):
            world.put(number)
        world.put(3, family="Newer")
        poison = world.hr.ref_of(world.hr.stream("people"), {"uid": BAD})
        world.say(Change(poison, data=[1]))
        world.put(3, only=("family",), family="Newest")
        assert until_found(world, work=world.told) in FIVE
        world.drain()
        assert set(world.there()) == {f"u{n:04}" for n in range(20)} - {BAD}
        assert world.one(3)["family"] == "Newest"
        assert world.waiting() == [("rejected", "record.poison")]
        world.tell(12)
        world.drain()
        assert (world.waiting(), BAD in world.there()) == ([], True)
    finally:
        world.bridge.close()
