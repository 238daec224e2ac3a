"""How the record that fails alone is looked for (scale 18)."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest

from moatbridge.changes import Change, Ref
from moatbridge.errors import ConfigurationError, NotApplied, OutcomeUnknown, Rejected
from moatbridge.flow.pieces import FEW, MOST
from moatbridge.flow.poison import Sieve
from moatbridge.ledger.poison import Known
from moatbridge.ledger.store import ValueRefused
from moatbridge.resilience.answers import BUG
from moatbridge.resilience.breaker import Breaker
from moatbridge.resilience.retry import Retry


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
        ({0}, 1, OutcomeUnknown),
        ({0}, 1, ConnectionResetError),
        ({0}, 500, MemoryError),
    ],
)
def test_what_is_no_record_s_fault_goes_on(bad, count, error):
    with pytest.raises(error):
        searched(bad, count, error)


@pytest.mark.parametrize("seed", range(20))
def test_a_source_that_fails_now_and_then_never_costs_a_healthy_record(seed):
    """Whichever calls fail: 40 of 100, whatever they ask for."""
    chance = random.Random(seed)

    def probe(_changes):
        if chance.random() < 0.4:
            raise NotApplied("No answer in time.", code="here.deadline")

    changes = [Change(Ref(str(number))) for number in range(100)]
    with suppress(NotApplied):
        good, poison = sieve().of_changes(changes, probe)
        assert (good, poison) == (changes, [])


def test_where_a_part_fails_in_passing_the_batch_is_taken_as_ever():
    """To search on would only ask a system more that fails now and then."""
    found, calls = searched({7}, 500, NotApplied)
    assert found == set()
    assert len(calls) <= 23


def test_what_a_record_does_to_an_adapter_is_no_failure_of_the_network():
    def let_out(cause):
        error = NotApplied("The adapter let it out.", code=BUG)
        error.__cause__ = cause
        return lambda _words: error

    assert searched({7}, 500, let_out(KeyError("x")))[0] == {7}
    assert searched({7}, 500, let_out(TimeoutError()))[0] == set()
    assert searched({7}, 500, let_out(None))[0] == set()


@pytest.mark.parametrize("error", [ValueError, Rejected, ValueRefused])
def test_what_is_refused_is_found_beside_what_is_known(error):
    assert searched({4, 300}, 500, error, known={4})[0] == {4, 300}


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


def of_a_target(count, bad, *, slices=60):
    """Slices until a record is found whose look-up alone fails, with a real breaker."""
    seconds = [0.0]
    breaker = Breaker("there", clock=lambda: seconds[0])
    retry = Retry(first_wait=0.0)

    def asked(units):
        breaker.enter()
        breaker.record(failed=bad in units)
        if bad in units:
            words = "The adapter let KeyError out."
            raise NotApplied(words, code=BUG) from KeyError()

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


def test_the_search_gets_by_the_breaker_that_the_failures_open():
    assert all(of_a_target(count, count // 2) for count in (50, 500))
