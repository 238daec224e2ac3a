"""One record that fails whatever is tried is found and left out (scale 18)."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import replace

import pytest

from flow.decisions_world import DecisionWorld, Social
from flow.stillness import StillWorld
from flow.test_told_once import ToldWorld
from moatbridge.changes import Change, Ref
from moatbridge.errors import ConfigurationError, NotApplied, Rejected
from moatbridge.flow.ending import TRIES
from moatbridge.flow.poison import FEW, MOST, Sieve
from moatbridge.ledger.poison import Known
from moatbridge.ledger.store import ValueRefused
from moatbridge.resilience.breaker import Breaker
from moatbridge.resilience.retry import Retry
from moatbridge.testing import MemoryAdapter
from servers.places import put_on

BAD = "u0012"
_RECORD = Breaker.record
FIVE = {5, 6}
"""Failures; one more if the slice of the first of them had got on before."""


@pytest.fixture(autouse=True)
def no_breaker(monkeypatch):
    """Its time is not the ledger's, which is moved here; it has its own tests."""
    monkeypatch.setattr("moatbridge.resilience.breaker.Breaker.record", _ignore)


def _ignore(_self, *, failed):
    pass


class Broken(MemoryAdapter):
    """Tells no record but a list, where the record says that it is broken."""

    def scan(self, stream, partition, after):
        for batch in super().scan(stream, partition, after):
            yield self._told(batch)

    def changes(self, stream, after):
        for batch in super().changes(stream, after):
            yield self._told(batch)

    def _told(self, batch):
        changes = [
            each._replace(data=[1]) if (each.data or {}).get("mail") == "!" else each
            for each in batch.changes
        ]
        return replace(batch, changes=changes)


class Thin(MemoryAdapter):
    """Tells keys only; cannot say more of a record that is broken."""

    error = NotApplied("The server failed.", code="here.five-hundred")

    def scan(self, stream, partition, after):
        for batch in super().scan(stream, partition, after):
            changes = [each._replace(data=None) for each in batch.changes]
            yield replace(batch, changes=changes)

    def fetch(self, stream, refs):
        found = list(super().fetch(stream, refs))
        if any(getattr(each, "data", {}).get("mail") == "!" for each in found):
            raise self.error
        return found


def many(worlds, **settings):
    """Thirty people in pages of ten; the thirteenth is in the midst of the second."""
    world = worlds(count=30, **settings)
    world.hr.set("people", page=10)
    return world


def until_found(world, *, work=None, tries=9):
    """Let a partition fail; returns how often it did."""
    work, failed = work or world.drain, 0
    for _ in range(tries):
        results = []
        with suppress(AttributeError, UnicodeEncodeError, ValueRefused):
            results = work()
            if not any(result.error for result in results):
                return failed
        failed += 1
        world.later(700)
        work = world.drain if work == world.scan else work  # not another pass
    return failed


def delivered(world):
    """The pass that was staged is carried out."""
    world.go()
    return set(world.there())


def everybody(*but):
    return {f"u{n:04}" for n in range(30)} - set(but)


def row(world):
    with world.bridge.ledger.read() as tx:
        return tx.one(
            "SELECT state, tries, error FROM partition WHERE kind='scan' "
            "ORDER BY generation DESC"
        )


# --- what is wrong with one record --------------------------------------------------


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


@pytest.mark.parametrize(
    "error", [Thin.error, Rejected("No.", code="here.no"), ZeroDivisionError()]
)
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
    monkeypatch.setattr("moatbridge.flow.observe.storable", lambda _text: True)
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


# --- what is no record's fault -----------------------------------------------------------


def test_a_source_that_fails_in_the_midst_is_blocked_after_twenty_tries(worlds, caplog):
    """Also one that cannot go on where it was: what it told before is no progress."""

    class Breaks(MemoryAdapter):
        def scan(self, stream, partition, after):
            for batch in super().scan(stream, partition, None):
                if any(each.ref.key == BAD for each in batch.changes):
                    raise NotApplied("It broke off.", code="here.broke")
                yield replace(batch, cursor=None)

    world = many(worlds, source=Breaks)
    results = world.scan()
    for _ in range(TRIES + 5):
        world.later(700)
        results += world.drain("scan")
    assert row(world) == ("blocked", TRIES, "here.broke")
    assert "blocked after 20 tries (here.broke)" in caplog.text
    assert len([one for one in results if one.error]) == TRIES
    assert world.waiting() == []


def test_a_batch_of_which_every_record_fails_rejects_none(worlds):
    class Failing(MemoryAdapter):
        def find(self, stream, queries):
            raise Rejected("You may not search.", code="there.search")

    world = many(worlds, target=Failing, flow={"match": ["userName"]})
    assert until_found(world, work=world.scan, tries=8) == 8
    assert world.waiting() == []
    assert row(world) == ("ready", 8, "there.search")


def test_a_system_that_is_away_while_it_is_looked_for_rejects_nothing(worlds):
    class Away(MemoryAdapter):
        away = False

        def find(self, stream, queries):
            if Away.away:
                raise NotApplied("Nobody there.", code="there.unreachable")
            if any("12" in str(query.value) for query in queries):
                raise Rejected("That is no filter.", code="there.filter")
            return super().find(stream, queries)

    world = many(worlds, target=Away, flow={"match": ["userName"]})
    until_found(world, work=world.scan, tries=6)
    _state, tries, _error = row(world)
    Away.away = True
    assert until_found(world, tries=3) == 3
    assert (world.waiting(), row(world)) == ([], ("ready", tries, "there.unreachable"))
    Away.away = False
    assert until_found(world) == 0
    assert world.waiting() == [("rejected", "record.poison")]


@pytest.mark.parametrize("kind", ["live", "control", "lane"])
def test_looking_in_vain_is_no_failed_try(worlds, kind):
    """A quiet night does not use up the tries of a partition."""
    world = worlds(count=3)
    world.go()
    for _ in range(TRIES + 5):
        with world.bridge.ledger.write() as tx:
            tx.run("UPDATE partition SET not_before=0 WHERE kind=?", kind)
        assert [one.outcome for one in world.drain(kind)] == ["idle"]
    found = world.value("SELECT max(tries) FROM partition WHERE kind=?", kind)
    assert found == 0


# --- the search itself ------------------------------------------------------------------


def sieve(tries=6, keys=()):
    return Sieve(Known(tries, frozenset(keys)), opening=lambda: False)


def searched(bad, count, error=ValueError, *, tries=6, known=()):
    """What is found among numbers, and how many of them were tried how often."""
    calls = []

    def probe(units):
        calls.append(len(units))
        if bad.intersection(units):
            raise error("no")

    found = sieve(tries).sift(range(count), probe, set(known).__contains__)
    return {unit for unit, _error in found}, calls


@pytest.mark.parametrize(
    ("bad", "count"),
    [
        ({0}, 500),
        ({499}, 500),
        ({7, 8, 200, 371}, 500),
        (set(range(MOST)), 500),
        ({3}, 10),
        ({0}, 2),
        ({0}, 1),
        (set(range(FEW)), FEW),
        (set(), 500),
    ],
)
def test_exactly_those_that_fail_are_found(bad, count):
    assert searched(bad, count)[0] == bad


def test_the_search_costs_a_few_looks_at_each_record():
    _found, calls = searched({250}, 500)
    assert len(calls) < 60
    assert sum(calls) < 2 * 500


@pytest.mark.parametrize(
    ("bad", "count", "error"),
    [
        (set(range(MOST + 1)), 500, ValueError),
        (set(range(FEW + 1)), FEW + 1, ValueError),
        ({0}, 1, NotApplied),
        ({0}, 500, ConfigurationError),
        ({0}, 500, AssertionError),
    ],
)
def test_what_is_no_record_s_fault_goes_on(bad, count, error):
    with pytest.raises(error):
        searched(bad, count, error)


def test_before_five_tries_only_what_is_known_already_is_left_out():
    assert searched({4}, 10, tries=1, known={4})[0] == {4}
    with pytest.raises(ValueError, match="no"):
        searched({4, 5}, 10, tries=1, known={4})


def test_what_fails_only_once_is_no_poison():
    failures = iter([ValueError(), ValueError()])

    def probe(units):
        if 3 in units and (error := next(failures, None)):
            raise error

    assert sieve().sift(range(9), probe, lambda _unit: False) == []


# --- replies ------------------------------------------------------------------------------


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


# --- what is told once --------------------------------------------------------------------


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


# --- beside the breaker -------------------------------------------------------------------


def of_a_target(count, bad, *, slices=60):
    """Slices until a record is found whose look-up alone fails, with a real breaker."""
    seconds = [0.0]
    breaker = Breaker("there", clock=lambda: seconds[0])
    retry = Retry(first_wait=0.0)

    def asked(units):
        breaker.enter()
        breaker.record(failed=bad in units)
        if bad in units:
            raise NotApplied("It failed.", code="there.five-hundred")

    def probe(units):
        retry(lambda: asked(units))

    for number in range(1, slices):
        seconds[0] += 35
        with suppress(NotApplied):
            if number <= 5:
                probe(range(count))
            found = sieve(number).sift(range(count), probe, lambda _unit: False)
            assert [unit for unit, _error in found] == [bad]
            return number
    return None


@pytest.mark.usefixtures("real_breaker")
def test_the_search_gets_by_the_breaker_that_the_failures_open():
    assert all(of_a_target(count, count // 2) for count in (50, 500))


@pytest.fixture
def real_breaker(monkeypatch):
    monkeypatch.setattr(Breaker, "record", _RECORD)
