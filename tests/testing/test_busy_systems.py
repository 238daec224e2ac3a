"""A good adapter on a system that is busy now and then passes the whole suite."""

from __future__ import annotations

import itertools
import secrets

import pytest

from moatbridge.changes import Batch, Change, Receipt, Ref
from moatbridge.errors import NotApplied
from moatbridge.testing import AdapterConformance, MemoryAdapter, MemorySystem, patience
from moatbridge.testing.patience import Patient, patiently
from servers.memory_wire import MemoryServer
from testing.memory_harness import PEOPLE, MemoryHarness
from testing.wire_adapter import WireAdapter, WireHarness

EVERY = 10


class BusyMemory(MemoryAdapter):
    """Each tenth page, question or record is turned away, with a time to wait."""

    def scan(self, stream, partition, after):
        for batch in super().scan(stream, partition, after):
            self.ask()
            yield batch

    def changes(self, stream, after):
        for batch in super().changes(stream, after):
            self.ask()
            yield batch

    def fetch(self, stream, refs):
        self.ask()
        return super().fetch(stream, refs)

    def find(self, stream, queries):
        self.ask()
        return super().find(stream, queries)

    def probe(self):
        self.ask()
        return super().probe()

    def write(self, stream, intents):
        return [self.one(stream, intent) for intent in intents]

    def one(self, stream, intent):
        try:
            self.ask()
        except NotApplied as error:
            wait = error.retry_after
            return Receipt("not_applied", retry_after=wait, code=error.code)
        return super().write(stream, [intent])[0]

    def ask(self):
        asked = self.system.__dict__.setdefault("asked", itertools.count(1))
        if next(asked) % EVERY == 0:
            raise NotApplied("Busy.", code="memory.busy", retry_after=0.001)


class TestMemoryThatIsBusy(AdapterConformance):
    adapter = BusyMemory
    features = frozenset(
        {"partitions", "deletes", "keyed", "conditional", "slots", "rejects"}
    )

    @pytest.fixture
    def harness(self):
        return MemoryHarness(kind=BusyMemory)


class TestWireThatIsBusy(AdapterConformance):
    """Names no time to wait, so each time a new connection is made."""

    adapter = WireAdapter
    features = frozenset(
        {"network", "credentials", "keyed", "slots", "busy", "short_pages"}
    )

    @pytest.fixture
    def harness(self):
        system, password = MemorySystem([PEOPLE]), secrets.token_hex(12)
        with MemoryServer(system, password, every=EVERY) as server:
            yield WireHarness(system, server, password)


def busy():
    return NotApplied("Busy.", code="x.busy", retry_after=0.0)


def test_patience_has_an_end():
    calls = itertools.count(1)

    def never():
        next(calls)
        raise busy()

    with pytest.raises(NotApplied):
        patiently(never)
    assert next(calls) == patience.TRIES + 1


def test_a_wait_that_is_asked_for_is_capped(monkeypatch):
    waited = []

    class Event:
        def wait(self, seconds):
            waited.append(seconds)

    monkeypatch.setattr(patience.threading, "Event", Event)
    patience.wait(0, 3600.0)
    patience.wait(20, None)
    assert waited == [patience.LONGEST, 0.1]


class Stubborn:
    """Answers what it is told to, in turn."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []
        self.closed = 0

    def close(self):
        self.closed += 1

    def traits(self, stream):
        return MemoryAdapter.traits

    def write(self, stream, intents):
        self.asked.append(list(intents))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def scan(self, stream, partition, after):
        self.asked.append(after)
        for each in self.answers.pop(0):
            if isinstance(each, Exception):
                raise each
            yield each


DONE, LATE = Receipt("applied"), Receipt("not_applied", code="x.busy", retry_after=0.0)


def test_only_the_records_that_were_not_applied_are_sent_again():
    stale = Receipt("not_applied", code="x.stale")
    rejected = Receipt("rejected", code="x.data")
    unknown = Receipt("unknown", code="x.lost")
    real = Stubborn([DONE, LATE, stale, rejected, unknown, LATE], [LATE, DONE], [DONE])
    traits = type("Traits", (), {"atomic_batch": False})
    real.traits = lambda _stream: traits
    receipts = Patient(lambda: real).write("people", [1, 2, 3, 4, 5, 6])
    assert real.asked == [[1, 2, 3, 4, 5, 6], [2, 6], [2]]
    assert receipts == [DONE, DONE, stale, rejected, unknown, DONE]


def test_an_unknown_outcome_is_never_asked_again():
    unknown = [Receipt("unknown", code="x.lost")]
    real = Stubborn(unknown)
    assert Patient(lambda: real).write("people", [1]) == unknown


def test_an_atomic_batch_turned_down_for_one_record_is_not_sent_in_parts():
    rejected = Receipt("rejected", code="x.data")
    real = Stubborn([LATE, rejected])
    real.traits = lambda _stream: type("Traits", (), {"atomic_batch": True})
    assert Patient(lambda: real).write("people", [1, 2]) == [LATE, rejected]


def page(number, cursor, complete=False):
    change = Change(Ref(str(number)), "upsert", {"n": number})
    return Batch([change], cursor, (), complete)


def test_a_pass_goes_on_from_its_last_cursor():
    one, two = page(1, {"n": 1}), page(2, {"n": 2}, complete=True)
    real = Stubborn([one, busy()], [busy()], [two])
    assert list(Patient(lambda: real).scan("people", None, None)) == [one, two]
    assert real.asked == [None, {"n": 1}, {"n": 1}]


def test_what_came_since_the_cursor_moved_does_not_come_twice():
    one, two, three = page(1, None), page(2, None), page(3, None, complete=True)
    real = Stubborn([one, two, busy()], [one, two, three])
    assert list(Patient(lambda: real).scan("people", None, None)) == [one, two, three]


def test_a_connection_that_failed_is_not_used_again_and_a_busy_one_is():
    made = []

    def opened():
        broken = NotApplied("Cut.", code="x.broken")
        made.append(Stubborn(broken if not made else [DONE]))
        return made[-1]

    Patient(opened).write("people", [1])
    assert [each.closed for each in made] == [1, 0]
    kept = Stubborn(busy(), [DONE])
    Patient(lambda: kept).write("people", [1])
    assert kept.closed == 0
