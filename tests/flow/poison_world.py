"""Thirty people of whom one cannot be taken, and a flow that fails until it is found."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from moatbridge.errors import Rejected
from moatbridge.ledger.store import ValueRefused
from moatbridge.testing import MemoryAdapter

BAD = "u0012"
FIVE = {5, 6}
"""Failures; one more if the slice of the first of them had got on before."""


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

    error = Rejected("That cannot be shown.", code="here.no")

    def scan(self, stream, partition, after):
        yield from map(_thin, super().scan(stream, partition, after))

    def changes(self, stream, after):
        yield from map(_thin, super().changes(stream, after))

    def fetch(self, stream, refs):
        found = list(super().fetch(stream, refs))
        if any(getattr(each, "data", {}).get("mail") == "!" for each in found):
            raise self.error
        return found


def _thin(batch):
    changes = [each._replace(data=None) for each in batch.changes]
    return replace(batch, changes=changes)


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
