"""What is no record's fault rejects none (scale 18)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flow.poison_world import BAD, Thin, many, row, until_found
from moatbridge.errors import NotApplied, Rejected
from moatbridge.flow.ending import TRIES
from moatbridge.testing import MemoryAdapter

pytestmark = pytest.mark.usefixtures("no_breaker")


class DriverError(Exception):
    """What a driver calls a connection that broke off."""


MAY_PASS = [
    NotApplied("The server failed.", code="here.five-hundred"),
    DriverError("broken pipe"),
    BrokenPipeError(),
]
"""Failures that the next call may not meet, whatever record it asks for."""


class Flaky(Thin):
    """Fails for a while, whenever it is asked for one record; otherwise it is well."""

    fails = False
    error = MAY_PASS[0]

    def fetch(self, stream, refs):
        if self.fails and any(ref.key == BAD for ref in refs):
            raise self.error
        return super().fetch(stream, refs)

    def changes(self, stream, after):
        """What is gone is told as it was on its way: it changed, then it went."""
        for batch in super().changes(stream, after):
            changes = []
            for each in batch.changes:
                if each.op == "delete":
                    changes.append(each._replace(op="upsert"))
                changes.append(each)
            yield replace(batch, changes=changes)


@pytest.fixture(params=MAY_PASS, ids=lambda error: type(error).__name__)
def flaky(request):
    """A source that can be told to be flaky, by one such failure."""
    yield type("Flaky", (Flaky,), {"error": request.param})
    Flaky.fails = False


@pytest.mark.parametrize("gone", [False, True])
def test_a_live_feed_that_is_flaky_for_a_while_loses_no_change_and_no_delete(
    worlds, flaky, gone
):
    world = many(worlds, source=flaky)
    world.go()
    Flaky.fails = True
    world.put(11, family="Changed")
    if gone:
        world.remove(12)
    else:
        world.put(12, family="Changed")
    assert until_found(world, work=world.live, tries=8) == 8
    assert world.waiting() == []
    Flaky.fails = False
    world.later(700)
    assert [one for one in world.live() if one.error] == []
    world.drain()
    assert (world.waiting(), world.same()) == ([], True)


def test_a_record_that_fails_alone_but_may_pass_is_blocked_never_dropped(
    worlds, flaky, caplog
):
    world = many(worlds, source=flaky)
    world.go()
    Flaky.fails = True
    until_found(world, work=world.scan, tries=TRIES + 5)
    assert (row(world)[:2], world.waiting()) == (("blocked", TRIES), [])
    assert "blocked after 20 tries" in caplog.text


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
