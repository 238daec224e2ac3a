"""What cannot be read afresh stops neither the others nor the end of a run (scale 18)."""

from __future__ import annotations

import pytest

from flow.poison_world import BAD, many
from moatbridge.errors import NotApplied
from moatbridge.flow.afresh import TRIES
from moatbridge.ledger import flows, runs
from moatbridge.ledger.store import ValueRefused
from moatbridge.testing import MemoryAdapter

pytestmark = pytest.mark.usefixtures("no_breaker")


class Detail(MemoryAdapter):
    """Lists are fine; the pages of these records answer with an error for ever."""

    bad = frozenset()
    error = NotApplied("The server failed.", code="here.five-hundred")

    def fetch(self, stream, refs):
        if any(ref.key in self.bad for ref in refs):
            raise self.error
        return super().fetch(stream, refs)


@pytest.fixture
def failing(monkeypatch):
    def fail(*keys, error=Detail.error):
        monkeypatch.setattr(Detail, "bad", frozenset(keys))
        monkeypatch.setattr(Detail, "error", error)

    return fail


def ask_again(world, *keys):
    """These records are asked for, as when a reference of theirs is resolved."""
    with world.bridge.ledger.write() as tx:
        found = [
            tx.value("SELECT link_id FROM link WHERE a_key LIKE ?", f"%{key}%")
            for key in keys
        ]
        runs.live(tx, 1)
        flows.ask_again(tx, [(1, link_id) for link_id in found], "reference")


def control(world):
    """One slice of control after what it waited for; the code of what ended it."""
    world.later(700)
    with world.bridge.ledger.write() as tx:
        tx.run("UPDATE partition SET not_before=0, woken=0 WHERE kind='control'")
    try:
        found = world.drain("control")
    except (ValueRefused, UnicodeEncodeError) as error:
        return type(error).__name__
    return next((one.error.code for one in found if one.error), None)


def states(world):
    with world.bridge.ledger.read() as tx:
        return {s for (s,) in tx.all("SELECT state FROM run WHERE kind='pass'")}


def due(world):
    return world.value("SELECT count(*) FROM again WHERE due=1")


def test_runs_end_while_a_record_cannot_be_read_afresh(worlds, failing):
    world = many(worlds, source=Detail, flow={"settle_when": "delivered"})
    world.go()
    failing(BAD)
    ask_again(world, BAD)
    world.put(13, family="Changed")
    results = world.go()
    assert {one.error.code for one in results if one.error} == {"here.five-hundred"}
    assert world.there()["u0013"]["family"] == "Changed"
    assert states(world) == {"done"}
    for _ in range(TRIES):  # until then it might be what the source must still have
        control(world)
    assert world.value("SELECT count(*) FROM unsettled") == 0


def test_after_five_tries_a_record_that_cannot_be_read_afresh_is_rejected(
    worlds, failing
):
    world = many(worlds, source=Detail)
    world.go()
    failing(BAD)
    ask_again(world, BAD)
    codes = [control(world) for _ in range(TRIES + 1)]
    assert codes == ["here.five-hundred"] * TRIES + [None]
    (waits,) = world.bridge.review("people")
    assert (waits.reason, waits.detail) == ("record.poison", "here.five-hundred")
    assert due(world) == 0
    failing()
    world.go()  # the list has it, so what was asked for is not lost
    assert (world.waiting(), states(world)) == ([], {"done"})
    assert world.same()


def test_others_are_read_afresh_at_once_where_one_fails(worlds, failing):
    world = many(worlds, source=Detail)
    world.go()
    failing(BAD)
    keys = [f"u{n:04}" for n in range(5, 25)]
    for number in range(5, 25):
        world.put(number, family="Changed")
    ask_again(world, *keys)
    assert control(world) == "here.five-hundred"
    assert due(world) == 1
    world.drain("lane")
    changed = {u for u, each in world.there().items() if each["family"] == "Changed"}
    assert changed == set(keys) - {BAD}


def test_a_source_that_fails_for_all_rejects_nobody(worlds, failing):
    world = many(worlds, source=Detail)
    world.go()
    keys = [f"u{n:04}" for n in range(5, 25)]
    failing(*keys)
    ask_again(world, *keys)
    for _ in range(TRIES + 1):
        assert control(world) == "here.five-hundred"
    assert (world.waiting(), due(world)) == ([], 20)
    failing()
    assert control(world) is None
    assert due(world) == 0


def test_a_source_that_is_away_uses_up_no_tries_of_a_record(worlds, failing):
    world = many(worlds, source=Detail)
    world.go()
    failing(BAD, error=NotApplied("Gone.", code="here.unreachable"))
    ask_again(world, BAD)
    for _ in range(TRIES + 2):
        assert control(world) == "here.unreachable"
    assert world.value("SELECT tries FROM again") == 0
    assert world.waiting() == []


def test_what_the_ledger_refuses_afresh_is_one_reject_and_no_bug_of_the_flow(
    worlds, monkeypatch
):
    from moatbridge.flow import afresh

    real = afresh.write

    def write(tx, route, found, *rest):
        if any(BAD in str(one.ref) for one in found.upserts):
            raise ValueRefused
        real(tx, route, found, *rest)

    monkeypatch.setattr(afresh, "write", write)
    world = many(worlds)
    world.go()
    world.put(13, family="Changed")
    ask_again(world, BAD, "u0013")
    assert [control(world) for _ in range(TRIES)] == ["ValueRefused"] * TRIES
    assert control(world) is None
    assert world.waiting() == [("rejected", "record.poison")]
    assert world.value("SELECT bug FROM flow") is None
    world.drain("lane")
    assert world.there()["u0013"]["family"] == "Changed"
