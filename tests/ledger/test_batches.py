"""What is carried out as one statement on PostgreSQL does what its single statements do."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.ground import Ground
from moatbridge.ledger import batches
from moatbridge.ledger.states import State

INTENT = (
    "INSERT INTO intent(parcel_id, pos, k, ref, op, key, state) VALUES(?,?,?,?,?,?,?)"
)
MARK = (
    "INSERT INTO mark(side_id, k, fp, out_fp, link_id) VALUES(?,?,?,?,?) "
    "ON CONFLICT(side_id, k) DO UPDATE SET fp=excluded.fp, out_fp=excluded.out_fp, link_id=excluded.link_id"
)
LINK = "UPDATE link SET a_key=coalesce(?, a_key), a_ver=?, remove_at=?, state=2, base=NULL WHERE link_id=?"
OPEN = "INSERT INTO open(link_id, slot, parcel_id, pos) VALUES(?,0,?,?)"
AGAIN = "UPDATE link SET state=? WHERE link_id=? AND pair_id=?"


@pytest.mark.parametrize("sql", [INTENT, MARK, LINK, OPEN, AGAIN])
def test_plain_shapes_are_one_statement(sql):
    assert batches.batch(sql) is not None


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE link SET round=round+1 WHERE link_id=?",
        "UPDATE mark SET fp=? WHERE side_id=? AND k=? AND fp=?",
        "UPDATE link SET state=? WHERE link_id=? OR pair_id=?",
        "UPDATE elsewhere SET a=? WHERE b=?",
        "UPDATE link SET no_such=? WHERE link_id=?",
        "INSERT INTO guard_count(flow_id, n) VALUES(?,?) ON CONFLICT(flow_id) DO UPDATE SET n=guard_count.n+excluded.n",
        "INSERT INTO mark(side_id, k, link_id) VALUES(?,?,?) ON CONFLICT(side_id, k) DO UPDATE SET fp=excluded.fp",
        "DELETE FROM mark WHERE side_id=? AND k=?",
        "INSERT INTO intent(parcel_id) SELECT ? FROM parcel",
    ],
)
def test_everything_else_goes_one_by_one(sql):
    assert batches.batch(sql) is None


def test_types_of_rows_may_be_mixed_as_in_sqlite(place, tmp_path):
    ground = Ground(tmp_path, place)
    rows = [
        (1, n, bytes([n]), "r", "o", "k", State.DONE if n % 2 else None)
        for n in range(20)
    ]
    with ground.ledger.write() as tx:
        tx.many(INTENT, rows)
        tx.many(
            "INSERT INTO reject(flow_id, k, reason, created, last) VALUES(?,?,?,?,?)",
            [(1, bytes([n]), "ä'\\%?{}", n, n + 0.5) for n in range(20)],
        )
    found = ground.all(
        "SELECT parcel_id, pos, k, ref, op, key, state FROM intent ORDER BY pos"
    )
    assert found == [
        tuple(None if v is None else int(v) if isinstance(v, int) else v for v in row)
        for row in rows
    ]
    assert ground.all(
        "SELECT reason, created, last FROM reject ORDER BY created LIMIT 1"
    ) == [("ä'\\%?{}", 0.0, 0.5)]
    ground.close()


KEYS = st.integers(0, 12)
TEXTS = st.one_of(
    st.none(),
    st.text(
        st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5
    ),
)
BYTES = st.one_of(st.none(), st.binary(max_size=4))
ROWS = st.lists(
    st.tuples(KEYS, BYTES, TEXTS, st.one_of(st.none(), st.floats(-1e6, 1e6))),
    max_size=25,
)


@pytest.fixture(scope="module")
def both(tmp_path_factory, ledger_server):
    grounds = [
        Ground(tmp_path_factory.mktemp("one"), durability="normal"),
        Ground(tmp_path_factory.mktemp("two"), ledger_server.place()),
    ]
    yield grounds
    for ground in grounds:
        ground.close()


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ROWS, ROWS)
def test_both_databases_end_with_the_same_rows(both, first, second):
    """Also where a key comes twice in one batch: the later row wins, as one by one."""
    seen = []
    for ground in both:
        with ground.ledger.write() as tx:
            tx.run("DELETE FROM mark")
            tx.run("DELETE FROM link")
            tx.many(
                "INSERT INTO link(link_id, pair_id, state) VALUES(?,?,0)",
                [(n, 1) for n in range(13)],
            )
            for rows in (first, second):
                tx.many(MARK, [(7, bytes([k]), fp, fp, k) for k, fp, _t, _f in rows])
                tx.many(LINK, [(text, text, at, k) for k, _fp, text, at in rows])
                tx.many(AGAIN, [(State.HELD, k, k % 2) for k, _fp, _t, _f in rows])
        seen.append(
            [
                ground.all("SELECT k, fp, out_fp, link_id FROM mark ORDER BY link_id"),
                ground.all(
                    "SELECT link_id, a_key, a_ver, remove_at, state FROM link ORDER BY link_id"
                ),
            ]
        )
    assert seen[0] == seen[1]
