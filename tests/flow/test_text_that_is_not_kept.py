"""Text that no database can hold, from a target and from a source (delivery 6, 22)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flow.stillness import REQUEST, StillWorld
from moatbridge.changes import Ref, Reject
from moatbridge.ledger.keys import MAX_KEY_BYTES
from moatbridge.testing import MemoryAdapter
from servers.places import put_on

BAD = ["\0", "\ud800"]


def target(change):
    """A target that changes each of its receipts, after the effect."""

    class Strange(MemoryAdapter):
        calls = 0

        def write(self, stream, intents):
            calls.append(len(intents))
            return [change(one) for one in super().write(stream, intents)]

    calls = []
    return Strange, calls


def source(change):
    """A source that changes its second record."""

    class Strange(MemoryAdapter):
        def scan(self, stream, partition, after):
            for batch in super().scan(stream, partition, after):
                changes = [
                    change(one) if one.ref.key.endswith(uid) else one
                    for one in batch.changes
                ]
                yield replace(batch, changes=changes)

    uid = "2"
    return Strange


@pytest.fixture
def settled(worlds):
    """Three people, passes and time until nothing moves."""

    def go(change):
        kind, calls = target(change)
        world = worlds(target=kind, count=3, traits=replace(REQUEST))
        for _ in range(3):
            world.go()
            world.later(4000)
        return world, calls

    return go


@pytest.mark.parametrize("bad", BAD)
def test_a_version_that_cannot_be_kept_is_replaced_and_the_write_counts(settled, bad):
    world, calls = settled(lambda one: replace(one, version=f"v{bad}"))
    assert (world.states(), world.waiting(), len(calls)) == ({"DONE": 3}, [], 1)
    assert world.value("SELECT max(b_ver) FROM link") == "v\ufffd"


@pytest.mark.parametrize("bad", BAD)
def test_a_name_that_cannot_be_kept_is_replaced_and_the_write_counts(settled, bad):
    named = lambda one: replace(one, ref=one.ref._replace(name=f"n{bad}"))  # noqa: E731
    world, calls = settled(named)
    assert (world.states(), world.waiting(), len(calls)) == ({"DONE": 3}, [], 1)
    assert world.value("SELECT max(b_name) FROM link") == "n\ufffd"


@pytest.mark.parametrize("bad", BAD)
def test_a_code_that_cannot_be_kept_is_replaced(settled, bad):
    refuse = lambda one: replace(one, outcome="rejected", code=f"memory.{bad}")  # noqa: E731
    world, calls = settled(refuse)
    assert world.states() == {"REJECTED": 3}
    assert world.waiting() == [("rejected", "memory.\ufffd")] * 3
    assert len(calls) == 1


@pytest.mark.parametrize("bad", BAD)
def test_a_write_whose_id_cannot_be_kept_waits_for_a_person_and_is_not_repeated(
    settled, bad
):
    lost = lambda one: replace(one, ref=Ref(f"{one.ref.key}{bad}"))  # noqa: E731
    world, calls = settled(lost)
    assert (world.states(), len(calls)) == ({"HELD": 3}, 1)
    assert world.waiting() == [("parked", "ref-unusable")] * 3
    assert world.value("SELECT count(*) FROM incident WHERE what='ref-unusable'") == 3


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("what", ["version", "name", "key"])
def test_a_source_record_with_text_that_cannot_be_kept_is_rejected_alone(
    worlds, what, bad
):
    def change(one):
        if what == "version":
            return one._replace(version=f"v{bad}")
        if what == "name":
            return one._replace(ref=one.ref._replace(name=f"n{bad}"))
        return one._replace(ref=Ref(f"{one.ref.key}{bad}"))

    world = worlds(source=source(change), count=3)
    world.go()
    assert world.states() == {"DONE": 2}
    code = "record.key" if what == "key" else "record.shape"
    assert world.waiting() == [("rejected", code)]


@pytest.mark.parametrize("key", ["\0", "\ud800", "x" * (MAX_KEY_BYTES + 1)])
def test_the_deletion_of_what_could_never_be_kept_stops_nothing(worlds, key):
    gone = lambda one: one._replace(ref=Ref(key), op="delete", data=None)  # noqa: E731
    world = worlds(source=source(gone), count=3)
    world.go()
    assert world.states() == {"DONE": 2}


@pytest.mark.parametrize("bad", BAD)
def test_a_thin_change_with_a_key_that_cannot_be_kept_is_rejected_alone(worlds, bad):
    thin = lambda one: one._replace(ref=Ref(bad), data=None)  # noqa: E731
    world = worlds(source=source(thin), count=3)
    world.go()
    assert world.states() == {"DONE": 2}
    assert world.waiting() == [("rejected", "record.key")]


@pytest.mark.parametrize("bad", BAD)
def test_a_reject_of_the_adapter_with_such_text_is_shown_without_it(worlds, bad):
    class Refusing(MemoryAdapter):
        def scan(self, stream, partition, after):
            reject = Reject(f"memory.{bad}", f"line {bad}", Ref(f"r{bad}"), f"f{bad}")
            for batch in super().scan(stream, partition, after):
                yield replace(batch, rejects=[reject] if batch.changes else [])

    world = worlds(source=Refusing, count=3)
    world.go()
    assert world.states() == {"DONE": 3}
    assert world.waiting() == [("rejected", "memory.\ufffd")]


@pytest.mark.parametrize("bad", BAD)
def test_on_postgresql_the_same_is_kept(tmp_path, at_once, ledger_server, bad):
    put_on(ledger_server, tmp_path)
    kind, calls = target(lambda one: replace(one, version=f"v{bad}"))
    strange = source(lambda one: one._replace(version=f"v{bad}"))
    world = StillWorld(tmp_path, count=3, source=strange, target=kind)
    try:
        world.go()
        world.later(4000)
        world.go()
        assert (world.states(), len(calls)) == ({"DONE": 2}, 1)
        assert world.waiting() == [("rejected", "record.shape")]
        assert world.value("SELECT max(b_ver) FROM link") == "v\ufffd"
    finally:
        world.bridge.close()
