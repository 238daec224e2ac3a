"""Seen bits and what a pass did not see (delivery 35, 41)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.ground import Ground
from moatbridge.ledger import marks, scans
from moatbridge.ledger.scans import CHUNK_LINKS, Bits
from moatbridge.ledger.states import LinkState

LINKS = st.sets(st.integers(1, 3 * CHUNK_LINKS), max_size=30)


def opened(ground):
    with ground.ledger.write() as tx:
        generation = scans.begin(
            tx, ground.row.flow_id, link_high=marks.highest(tx), server="s", query="q"
        )
        return scans.get(tx, ground.row.flow_id, generation)


def links(ground, ids, state=LinkState.LIVE):
    with ground.ledger.write() as tx:
        tx.many(
            "INSERT INTO link(link_id, pair_id, a_key, b_key, state) VALUES(?,?,?,?,?)",
            [(i, ground.row.pair_id, f"a{i}", f"b{i}", state) for i in ids],
        )
        tx.run(
            "UPDATE meta SET value=? WHERE name='next_link'",
            str(max(ids, default=0) + 1),
        )


def missing(ground, scan, limit=1000):
    found, after = [], 0
    while after is not None:
        with ground.ledger.read() as tx:
            some, after = scans.missing(
                tx,
                ground.row.flow_id,
                scan,
                ground.row.pair_id,
                after=after,
                limit=limit,
            )
        found += some
    return found


@settings(max_examples=30, deadline=None, derandomize=True)
@given(LINKS, LINKS, LINKS, st.integers(1, CHUNK_LINKS))
def test_missing_is_exactly_what_no_partition_saw(
    tmp_path_factory, known, one, other, limit
):
    ground = Ground(tmp_path_factory.mktemp("scan"), durability="normal")
    links(ground, known)
    scan = opened(ground)
    for part, seen in (("p1", one), ("p2", other)):
        bits = Bits(ground.row.flow_id, scan.generation, part)
        for link_id in seen:
            bits.add(link_id)
        with ground.ledger.write() as tx:
            bits.save(tx)
    assert missing(ground, scan, limit) == sorted(known - one - other)
    ground.close()


@given(st.lists(st.integers(0, 3 * CHUNK_LINKS)))
def test_a_bit_is_set_once_and_stays(ids):
    bits = Bits(1, 1, "p")
    assert [bits.add(i) for i in ids] == [ids.index(i) == n for n, i in enumerate(ids)]
    assert all(bits.has(i) for i in ids)
    assert not bits.has(3 * CHUNK_LINKS + 1)


def test_a_resumed_partition_reads_its_bits_back_and_adds_to_them(ground):
    scan = opened(ground)
    for link_id in (3, 9):
        bits = Bits(ground.row.flow_id, scan.generation, "p")
        with ground.ledger.write() as tx:
            bits.load(tx)
            bits.add(link_id)
            bits.save(tx)
    links(ground, [3, 6, 9])
    assert missing(ground, scan._replace(link_high=9)) == [6]


def test_records_younger_than_the_pass_and_records_not_alive_are_not_missing(ground):
    links(ground, [1, 2])
    scan = opened(ground)
    links(ground, [7])
    links(ground, [8], LinkState.DISABLED)
    assert missing(ground, scan) == [1, 2]


def save_and_die(bits, tx):
    bits.save(tx)
    raise AssertionError


def test_a_rolled_back_commit_leaves_bits_and_cursor_together(ground):
    """Bits that were not saved are saved with the next commit of the same slice."""
    links(ground, [1])
    scan = opened(ground)
    bits = Bits(ground.row.flow_id, scan.generation, "lane/0")
    bits.add(1)
    with (
        pytest.raises(AssertionError),
        ground.ledger.step(ground.lease, cursor={"at": 1}) as tx,
    ):
        save_and_die(bits, tx)
    assert missing(ground, scan) == [1]
    assert ground.value("SELECT cursor FROM partition WHERE part='lane/0'") is None
    with ground.ledger.step(ground.lease, cursor={"at": 1}) as tx:
        bits.save(tx)
    assert missing(ground, scan) == []


def test_a_finished_generation_drops_its_bits(ground):
    scan = opened(ground)
    bits = Bits(ground.row.flow_id, scan.generation, "p")
    bits.add(1)
    with ground.ledger.write() as tx:
        bits.save(tx)
        scans.finish(tx, ground.row.flow_id, scan.generation, "complete")
        assert scans.current(tx, ground.row.flow_id) is None
    assert ground.value("SELECT count(*) FROM seen") == 0


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(st.integers(1, 3 * CHUNK_LINKS) | st.integers(1, 9))))
def test_many_bits_at_once_are_what_one_after_the_other_is(batches):
    one, many, new = (Bits(1, 1, "p") for _ in range(3))
    for batch in batches:
        before = [one.has(link_id) for link_id in batch]
        fresh = len(set(batch)) == len(batch) and not any(before)
        assert new.add_new(batch) == fresh
        for link_id in batch:
            one.add(link_id)
        many.update(batch)
        if not fresh:
            new.update(batch)
        for other in (many, new):
            assert {n: c for n, c in other._chunks.items() if any(c)} == one._chunks
            assert other._dirty == one._dirty


def test_none_of_the_bits_is_set_where_one_was_set_before():
    bits = Bits(1, 1, "p")
    bits.add(5)
    assert not bits.add_new([4, CHUNK_LINKS + 1, 5])
    assert [bits.has(i) for i in (4, 5, CHUNK_LINKS + 1)] == [False, True, False]


def test_rows_of_marks_are_what_a_look_up_finds(ground):
    side = ground.row.source_side
    known = [(bytes([n // 256, n % 256]), b"f", None, n) for n in range(1200)]
    with ground.ledger.write() as tx:
        marks.put(tx, side, known)
        marks.put(tx, ground.row.target_side, [(b"other", b"f", b"o", 7)])
    ks = [row[0] for row in known[::-1]] + [b"nobody", b"other"]
    with ground.ledger.read() as tx:
        found = {row[0]: marks.Mark(*row[1:]) for row in marks.found_rows(tx, side, ks)}
        assert found == marks.lookup(tx, side, ks)
        assert len(found) == 1200
        assert marks.found_rows(tx, side, []) == []


@pytest.mark.parametrize("unseen", [(), (1,), (8, 9, 700), range(100, 800)])
def test_what_is_missing_among_links_without_gaps(ground, unseen):
    """Whether few or many are missing, pending ones and other pairs' left out."""
    links(ground, range(1, 1001))
    with ground.ledger.write() as tx:
        tx.run("UPDATE link SET state=? WHERE link_id=9", LinkState.PENDING)
        tx.run("UPDATE link SET pair_id=pair_id+1 WHERE link_id=700")
    scan = opened(ground)
    bits = Bits(ground.row.flow_id, scan.generation, "p")
    bits.update([i for i in range(1, 1001) if i not in unseen])
    with ground.ledger.write() as tx:
        bits.save(tx)
    for limit in (999, 64):
        assert missing(ground, scan, limit) == [i for i in unseen if i not in (9, 700)]
