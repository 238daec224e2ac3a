"""What a slice leaves behind when it fails is written whole, or not at all."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flow.stillness import REQUEST
from moatbridge.errors import CursorTooOld, NotApplied, OutcomeUnknown
from moatbridge.flow import ending
from moatbridge.ledger import audit, runs
from moatbridge.testing import MemoryAdapter


def away():
    return NotApplied("The ledger is away.", code="ledger.unavailable")


def once(monkeypatch, module, name, meant):
    """The next such statement finds the ledger gone; the ones after it do not."""
    whole, failed = getattr(module, name), []

    def statement(*args, **more):
        if not failed and meant(*args, **more):
            failed.append(name)
            raise away()
        return whole(*args, **more)

    monkeypatch.setattr(module, name, statement)
    return failed


def state_of(world, kind):
    with world.bridge.ledger.read() as tx:
        return tx.value("SELECT state FROM partition WHERE kind=?", kind)


class FailingAdapter(MemoryAdapter):
    """Cannot be scanned while it is told so, or has lost every position."""

    fails = False
    lost = False
    moves = False
    reads = 0

    def scan(self, stream, partition, after):
        if FailingAdapter.fails:
            raise OutcomeUnknown("The server hung up.", code="toy.hung-up")
        FailingAdapter.reads += 1
        for batch in super().scan(stream, partition, after):
            if FailingAdapter.moves:
                yield replace(batch, complete=False)
                raise CursorTooOld("The list moved.", code="toy.moved", reason="moved")
            yield batch

    def changes(self, stream, after):
        if after is not None and FailingAdapter.lost:
            raise CursorTooOld("The log was cut.", code="toy.cut")
        return super().changes(stream, after)


@pytest.fixture(autouse=True)
def _well():
    yield
    FailingAdapter.fails = FailingAdapter.lost = FailingAdapter.moves = False


def test_a_partition_is_never_blocked_without_a_word_in_the_audit(worlds, monkeypatch):
    monkeypatch.setattr(ending, "TRIES", 2)
    world = worlds(source=FailingAdapter, traits=REQUEST)
    FailingAdapter.fails = True
    failed = once(
        monkeypatch, audit, "record", lambda _tx, kind, **_m: kind == "blocked"
    )
    states = []
    world.scan()
    for _ in range(4):
        world.drain("scan")
        states += [state_of(world, "scan")] if failed else []
        world.later(700)
    words = world.value("SELECT count(*) FROM audit_in WHERE kind='blocked'")
    assert failed
    assert states[0] == "ready"  # the ledger was away: nothing of it is there
    assert states[-1] == "blocked"
    assert words == 1


def test_a_tail_never_ends_without_the_pass_that_begins_it_anew(worlds, monkeypatch):
    world = worlds(source=FailingAdapter, traits=REQUEST)
    world.go()
    world.live()
    world.put(1, family="Changed")
    FailingAdapter.lost = True
    failed = once(monkeypatch, runs, "begin", lambda *_a, **m: m["kind"] == "pass")
    world.live()
    assert failed
    assert state_of(world, "live") == "ready"
    world.later(31)
    world.live()
    assert state_of(world, "live") == "done"
    FailingAdapter.lost = False
    world.drain()
    assert world.same()
    assert state_of(world, "live") == "ready"


def test_a_list_that_always_moves_is_begun_anew_ever_less_often(worlds):
    world = worlds(source=FailingAdapter, traits=REQUEST)
    FailingAdapter.moves, FailingAdapter.reads = True, 0
    world.scan()
    for _ in range(120):
        world.drain("scan")
        world.later(30)
    assert 3 < FailingAdapter.reads < 30  # in an hour; once a second would be 3,600
    assert state_of(world, "scan") == "ready"
    FailingAdapter.moves = False
    world.later(700)
    world.drain("scan")
    assert state_of(world, "scan") == "done"


def test_the_rest_of_a_list_that_moved_is_not_asked_for_again_and_again(worlds):
    asked = []

    class Moved(MemoryAdapter):
        """Gives one page; what comes after it cannot be reached from there."""

        def scan(self, stream, partition, after):
            asked.append(after)
            if after is None and len(asked) > 2:
                yield from super().scan(stream, partition, None)
            elif after is None:
                yield next(iter(super().scan(stream, partition, None)))
                raise NotApplied("Away.", code="toy.away", retry_after=1)

    world = worlds(source=Moved, traits=REQUEST)
    world.hr.set("people", page=2)
    world.scan()
    for _ in range(4):
        world.later(700)
        world.drain("scan")
    assert [after is None for after in asked] == [True, False, True]
    assert state_of(world, "scan") == "done"


@pytest.mark.parametrize("retry_after", [None, 1.0])
def test_a_source_that_is_busy_in_mid_pass_ends_no_plan(
    worlds, monkeypatch, retry_after
):
    monkeypatch.setattr(ending, "_FIRST_BACKOFF", 0.1)
    turns = []

    class NowAndThen(MemoryAdapter):
        """Turns away every third request for a page."""

        def scan(self, stream, partition, after):
            for batch in super().scan(stream, partition, after):
                turns.append(len(turns))
                if len(turns) % 3 == 0:
                    raise NotApplied("Busy.", code="toy.busy", retry_after=retry_after)
                yield batch

    world = worlds(source=NowAndThen, count=12)
    world.hr.set("people", page=2)
    plan = world.bridge.plan("people")
    assert plan.counts == {"create": 12}
    assert len(turns) > 6


def test_a_source_that_gets_nowhere_is_told_at_once(worlds):
    world = worlds(source=FailingAdapter)
    FailingAdapter.fails = True
    with pytest.raises(NotApplied, match="hung up"):
        world.bridge.plan("people")
