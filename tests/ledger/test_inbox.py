"""The inbox table: ids once, positions never reused, content no longer than needed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moatbridge.adapter import Received
from moatbridge.changes import Change, Ref, Reject
from moatbridge.ledger import inbox

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.text() | st.dates() | st.binary()
)
CHANGES = st.lists(
    st.builds(
        Change,
        st.builds(Ref, st.text(min_size=1) | st.tuples(st.text(), st.text())),
        st.sampled_from(["upsert", "delete"]),
        st.none() | st.dictionaries(st.text(), SCALARS),
        st.none() | st.text(),
        st.booleans(),
        st.tuples(st.text()),
    ),
    max_size=5,
)


def delivery(ident, *changes, system="hooks", rejects=()):
    received = Received(ident, changes={"people": changes}, rejects={"people": rejects})
    return inbox.Delivery(system, ident, "", inbox.freeze(received))


def keep(ground, *deliveries, scope="default"):
    with ground.ledger.write() as tx:
        return inbox.insert(tx, scope, deliveries)


def read(ground, seq=0, *, scope="default", system="hooks", limit=100):
    with ground.ledger.read() as tx:
        return inbox.after(tx, scope, system, "people", seq, limit)


def test_a_repeat_is_known_also_within_one_group(ground):
    assert list(keep(ground, delivery("a"), delivery("b"), delivery("a"))) == [
        True,
        True,
        False,
    ]
    assert list(keep(ground, delivery("b"), delivery("c"))) == [False, True]
    seqs = [one.seq for one in read(ground)[0]]
    assert len(seqs) == 3
    assert seqs == sorted(set(seqs))


def test_ids_belong_to_one_scope_and_system(ground):
    assert list(keep(ground, delivery("a"), delivery("a", system="other"))) == [
        True,
        True,
    ]
    assert list(keep(ground, delivery("a"), scope="tenant")) == [True]
    assert len(read(ground)[0]) == len(read(ground, scope="tenant")[0]) == 1


def test_a_position_is_never_reused(ground):
    keep(ground, delivery("a"), delivery("b"))
    with ground.ledger.write() as tx:
        inbox.prune(tx, "default", "hooks", read_to=2, keep_ids=-1)
    assert read(ground) == ([], 0)
    keep(ground, delivery("c"))
    assert [one.seq for one in read(ground)[0]] == [3]


def test_reading_goes_on_behind_what_is_not_for_this_stream(ground):
    keep(
        ground, inbox.Delivery("hooks", "x", "", "{}"), delivery("a", Change(Ref("1")))
    )
    assert read(ground, limit=1) == ([], 1)
    kept, end = read(ground, 1)
    assert ([c.ref for c in kept[0].changes], end) == ([Ref("1")], 2)


def test_content_goes_and_the_id_stays_until_its_time(ground):
    keep(ground, delivery("a"), delivery("b"))
    with ground.ledger.write() as tx:
        inbox.prune(tx, "default", "hooks", read_to=1, keep_ids=60)
        rows = tx.all("SELECT delivery_id, content IS NULL FROM inbox ORDER BY seq")
    assert rows == [("a", 1), ("b", 0)]
    assert list(keep(ground, delivery("a"))) == [False]


def test_a_dead_letter_keeps_its_delivery(ground):
    bad = delivery("a", rejects=[Reject("webhook.key", "data[3]", field="id")])
    keep(ground, bad, delivery("b"))
    (kept, _end) = read(ground, limit=1)
    place = kept[0].rejects[0].location
    assert place == "inbox/1/data[3]"
    with ground.ledger.write() as tx:
        tx.run(
            "INSERT INTO reject(flow_id, k, location, reason, created, last) VALUES(1, ?, ?, 'r', 0, 0)",
            b"1",
            place,
        )
        inbox.prune(tx, "default", "hooks", read_to=2, keep_ids=-1)
    assert [one.seq for one in read(ground)[0]] == [1]


def test_the_backlog_is_what_lies_behind_the_position(ground):
    keep(ground, *(delivery(str(n)) for n in range(5)))
    with ground.ledger.read() as tx:
        assert inbox.backlog(tx, "default", "hooks", 2).unread == 3
        assert inbox.backlog(tx, "default", "hooks", 5) == (0, 0.0)
        assert inbox.highest(tx, "default", "hooks") == 5
        assert inbox.highest(tx, "default", "other") == 0


@given(CHANGES)
def test_what_is_frozen_comes_back_the_same(changes):
    received = Received("x", changes={"people": changes}, missed=frozenset({"people"}))
    part = inbox.frozen.loads(inbox.freeze(received)).get("people")
    kept = inbox._kept(1, part)
    assert list(kept.changes) == changes
    assert kept.missed


def test_what_is_not_plain_data_is_the_adapters_bug():
    with pytest.raises(TypeError):
        delivery("a", Change(Ref("1"), data={"x": object()}))


def test_a_ledger_of_the_first_schema_gets_the_inbox(ground):
    with ground.ledger.write() as tx:
        tx.run("DROP TABLE inbox")
        tx.run("UPDATE meta SET value='1' WHERE name='schema'")
    new = ground.open()
    with new.write() as tx:
        assert list(inbox.insert(tx, "default", [delivery("a")])) == [True]
        assert tx.value("SELECT value FROM meta WHERE name='schema'") != "1"
    new.close()
