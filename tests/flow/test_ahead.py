"""A source that lets us wait is read ahead; one that does not is read in place."""

from __future__ import annotations

import threading
import time

import pytest

from moatbridge.changes import Batch
from moatbridge.flow.ahead import WAITED, read_ahead


class Source:
    """Batches, each read by which thread; as many of them wait as it is told."""

    def __init__(self, count=5, *, waiting=(), fails=None):
        self.count, self.waiting, self.fails = count, waiting, fails
        self.by = []
        self.asked = [threading.Event() for _ in range(count + 1)]
        self.closed = False

    def batches(self):
        try:
            for number in range(self.count):
                self.by.append(threading.current_thread().name)
                self.asked[number].set()
                if number == self.fails:
                    raise ConnectionError(number)
                if number in self.waiting:
                    time.sleep(20 * WAITED)  # a source that lets us wait
                yield Batch(cursor=number)
            self.asked[self.count].set()
        finally:
            self.closed = True


def here():
    return threading.current_thread().name


def test_what_is_not_waited_for_is_read_in_place(monkeypatch):
    monkeypatch.setattr("moatbridge.flow.ahead.WAITED", 60.0)  # however busy we are
    source = Source()
    with read_ahead(source.batches()) as ahead:
        assert [batch.cursor for batch in ahead] == [0, 1, 2, 3, 4]
    assert source.by == [here()] * 5
    assert source.closed


def test_once_a_batch_was_waited_for_the_next_is_read_while_it_is_used():
    source = Source(waiting={0})
    with read_ahead(source.batches()) as ahead:
        for number, batch in enumerate(ahead):
            assert batch.cursor == number
            assert source.asked[number + 1].wait(30)  # nobody asked for it yet
    assert source.by == [here(), *["moatbridge-read"] * 4]
    assert source.closed


@pytest.mark.parametrize("waiting", [(), (0,)], ids=["in place", "ahead"])
def test_an_error_comes_after_what_was_read_before_it(waiting):
    source, taken = Source(waiting=waiting, fails=2), []

    def take():
        with read_ahead(source.batches()) as ahead:
            for batch in ahead:
                taken.append(batch.cursor)  # noqa: PERF401 - what came before it

    with pytest.raises(ConnectionError):
        take()
    assert taken == [0, 1]
    assert source.closed


@pytest.mark.parametrize("waiting", [(), (0,)], ids=["in place", "ahead"])
def test_who_stops_early_ends_the_reading(waiting):
    source = Source(count=100, waiting=waiting)
    with read_ahead(source.batches()) as ahead:
        assert next(ahead).cursor == 0
    assert source.closed
    assert len(source.by) <= 2
    assert not [t for t in threading.enumerate() if t.name == "moatbridge-read"]
