"""A call that is refused as a whole is cut down to the guilty intents (delivery 23)."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flow.stillness import LOOKUP, REQUEST
from moatbridge.changes import Receipt
from moatbridge.errors import NotApplied, OutcomeUnknown, Rejected
from moatbridge.flow.sending import send
from moatbridge.ledger.parcels import Item, Parcel
from moatbridge.ledger.states import State
from moatbridge.resilience import crash
from moatbridge.testing import FlakyAdapter, MemoryAdapter, Schedule

ATOMIC = replace(REQUEST, atomic_batch=True, max_batch=64)


class Atomic(MemoryAdapter):
    """Applies a call wholly or not at all; some surnames it cannot hold."""

    calls = None
    by_receipts = False

    def write(self, stream, intents):
        self.calls.append([intent.key for intent in intents])
        if any((i.record or {}).get("family", "").startswith("Bad") for i in intents):
            if self.by_receipts:
                return [Receipt("rejected", code="memory.data") for _ in intents]
            raise Rejected("The batch is refused.", code="memory.data")
        return super().write(stream, intents)


def atomic(**more):
    return type("Atomic", (Atomic,), {"calls": [], **more})


@pytest.mark.parametrize("by_receipts", [False, True])
def test_the_guilty_one_is_found_and_all_others_arrive(worlds, by_receipts):
    target = atomic(by_receipts=by_receipts)
    world = worlds(target=target, traits=ATOMIC, count=64)
    world.put(41, family="Bad")
    world.go()
    assert world.states() == {"DONE": 63, "REJECTED": 1}
    assert world.waiting() == [("rejected", "memory.data")]
    assert set(world.there()) == set(world.here()) - {"u0041"}
    assert len(target.calls) - 1 <= 2 * math.log2(64) + 2
    assert world.social.doubled() == []


def test_each_part_is_sent_with_the_keys_of_the_whole(worlds):
    target = atomic()
    world = worlds(target=target, traits=ATOMIC, count=9)
    world.put(3, family="Bad")
    world.go()
    whole, *parts = target.calls
    for part in parts:
        at = whole.index(part[0])
        assert part == whole[at : at + len(part)], "the same keys in the same order"


def test_a_target_that_is_not_atomic_is_not_asked_again(worlds):
    target = atomic()
    traits = replace(ATOMIC, atomic_batch=False)
    world = worlds(target=target, traits=traits, count=6)
    world.put(3, family="Bad")
    world.go()
    assert world.states() == {"REJECTED": 6}
    assert len(target.calls) == 1


@pytest.mark.parametrize("traits", [ATOMIC, replace(LOOKUP, atomic_batch=True)])
@pytest.mark.parametrize("after", [2, 3, 5])
def test_a_process_that_dies_between_the_parts_doubles_nothing(worlds, traits, after):
    flow = {"match": ["externalId"]}
    world = worlds(target=atomic(), traits=traits, count=16, flow=flow)
    world.put(11, family="Bad")
    left = [after]

    def hook(name):
        if name == "send.half":
            left[0] -= 1
            if not left[0]:
                raise Killed

    crash.install(hook)
    with pytest.raises(Killed):
        world.go()
    crash.install(None)
    world.crash()
    for _ in range(4):
        world.drain()
        world.later(100)
    assert world.states() == {"DONE": 15, "REJECTED": 1}
    assert world.social.doubled() == []
    assert set(world.there()) == set(world.here()) - {"u0011"}


def test_what_was_not_called_yet_when_the_switch_went_on_is_sent_later(worlds):
    class Switching(Atomic):
        calls = []  # noqa: RUF012 - one list for this class

        def write(self, stream, intents):
            try:
                return super().write(stream, intents)
            finally:
                if len(self.calls) == 2:
                    world.bridge.switch_off("flow:people", "test")
                    world.bridge._kill._look()

    world = worlds(target=Switching, traits=ATOMIC, count=8)
    world.put(6, family="Bad")
    world.go()
    assert world.states() == {"DONE": 4, "READY": 4}
    world.bridge.switch_on("flow:people", "test")
    world.bridge._kill._look()
    world.later(2)
    world.drain()
    assert world.states() == {"DONE": 7, "REJECTED": 1}


@pytest.mark.parametrize("fault", ["short", "untyped"])
def test_receipts_that_do_not_fit_make_the_call_unknown_and_blame_the_adapter(
    worlds, fault
):
    target = FlakyAdapter.of(MemoryAdapter, Schedule({"write": [fault]}))
    world = worlds(target=target, traits=replace(REQUEST, max_batch=2))
    world.go()
    assert world.states() == {"UNKNOWN": 2, "DONE": 3}
    rows = world.bridge.ledger.db.read()
    with rows as tx:
        codes = {c for (c,) in tx.all("SELECT error FROM intent WHERE error<>''")}
    assert codes == {"adapter.bug"}


class Killed(BaseException):
    """What a SIGKILL is to one thread."""


class Target:
    """Refuses every call that holds a guilty position; counts the calls."""

    def __init__(self, guilty, troubles):
        self.guilty = guilty
        self.troubles = troubles
        self.calls = []

    def write(self, stream, intents):
        numbers = [int(intent.key) for intent in intents]
        self.calls.append(numbers)
        if len(self.calls) in self.troubles:
            raise self.troubles[len(self.calls)]
        if self.guilty.intersection(numbers):
            raise Rejected("no", code="x.data")
        return [Receipt("applied") for _ in intents]


def parcel_of(count):
    payload = (
        '{"op":"create","ref":null,"record":{},"owned":[],"before":null,'
        '"version":null,"base":null}'
    )
    items = [
        Item(
            n,
            n,
            b"",
            '["k",null]',
            "create",
            str(n),
            None,
            None,
            None,
            payload,
            None,
            None,
        )
        for n in range(count)
    ]
    parcel = Parcel(1, 1, 0, 0, State.IN_FLIGHT, count, 1, 1, 0.0, None, 0.0, 0.0, 0)
    return parcel, [(item, None) for item in items]


@given(
    st.integers(1, 200), st.sets(st.integers(0, 199), max_size=6), st.integers(2, 64)
)
@settings(max_examples=150, deadline=None)
def test_the_guilty_alone_are_refused_in_few_calls(count, guilty, size):
    parcel, items = parcel_of(count)
    target = Target(guilty, {})
    traits = replace(ATOMIC, max_batch=size)
    sent = send(target, "people", parcel, items, traits=traits, go_on=lambda: True)
    found = {p for p, (r, _c) in sent.receipts.items() if r.outcome == "rejected"}
    assert found == guilty & set(range(count))
    assert sent.started == set(range(count))
    usual = math.ceil(count / size)
    allowed = len(found) * (2 * math.ceil(math.log2(size)) + 2)
    assert len(target.calls) - usual <= allowed
    calls = [call for _pos, (_receipt, call) in sorted(sent.receipts.items())]
    assert calls == sorted(calls), "in the order of the records"


@given(
    st.integers(2, 40),
    st.sets(st.integers(0, 39), min_size=1, max_size=3),
    st.integers(1, 12),
    st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_a_call_in_doubt_stays_apart_from_the_calls_that_were_refused(
    count, guilty, at, unknown
):
    trouble = (
        OutcomeUnknown("?", code="x.lost") if unknown else NotApplied("no", code="x")
    )
    parcel, items = parcel_of(count)
    target = Target(guilty, {at: trouble})
    sent = send(target, "p", parcel, items, traits=ATOMIC, go_on=lambda: True)
    by_call = {}
    for pos, (receipt, call) in sent.receipts.items():
        by_call.setdefault(call, []).append((pos, receipt.outcome))
    for call, answered in by_call.items():
        numbers = target.calls[call]
        assert sorted(pos for pos, _outcome in answered) == numbers
        outcomes = {outcome for _pos, outcome in answered}
        assert len(outcomes) == 1
        assert outcomes != {"rejected"} or len(numbers) == 1
        assert ("unknown" in outcomes) is (unknown and call == at - 1)


@pytest.mark.parametrize("by_receipt", [False, True])
def test_review_names_the_field_for_which_the_target_refused(worlds, by_receipt):
    class Refusing(MemoryAdapter):
        def write(self, stream, intents):
            if by_receipt:
                code = "memory.read-back.data"
                return [Receipt("rejected", code=code, field="mail") for _ in intents]
            raise Rejected("No.", code="memory.read-back.data", field="mail")

    world = worlds(target=Refusing, traits=REQUEST, count=1)
    world.go()
    [item] = world.bridge.review("people")
    assert (item.reason, item.detail) == ("memory.read-back.data", "target: mail")
