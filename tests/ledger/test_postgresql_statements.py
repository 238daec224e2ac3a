"""Statements as PostgreSQL takes them, and the same values from both databases."""

from __future__ import annotations

import pytest

from ledger.ground import Ground
from moatbridge.ledger.transactions import portable


@pytest.fixture
def place(ledger_server):
    return ledger_server.place()


@pytest.mark.parametrize(
    ("sql", "text", "lists"),
    [
        ("SELECT ? WHERE a=?", "SELECT %s WHERE a=%s", ()),
        (
            "SELECT '?', \"?\" WHERE a LIKE '5%' AND b='it''s ?' AND c=?",
            "SELECT '?', \"?\" WHERE a LIKE '5%%' AND b='it''s ?' AND c=%s",
            (),
        ),
        ("x % 2", "x %% 2", ()),
        ("k IN (?,?)", "k IN (%s,%s)", ()),
        ("a=? AND k IN (?,?,?,?,?) AND b=?", "a=%s AND k = ANY(%s) AND b=%s", ((1, 6),)),
        ("k NOT IN (?, ?, ?, ?, ?)", "k <> ALL(%s)", ((0, 5),)),
        ("INSERT INTO t(a) VALUES(?,?,?,?,?,?)", "INSERT INTO t(a) VALUES(%s,%s,%s,%s,%s,%s)", ()),
    ],
)  # fmt: skip
def test_a_statement_is_rewritten_once_for_the_driver(sql, text, lists):
    assert portable(sql) == (text, lists)


def test_long_lists_and_short_ones_give_the_same_rows(ground):
    with ground.ledger.write() as tx:
        tx.many(
            "INSERT INTO mark(side_id, k, link_id) VALUES(?,?,?)",
            [(7, bytes([n]), n) for n in range(50)],
        )
    for count in (1, 2, 5, 40):
        ks = [bytes([n]) for n in range(count)]
        holes = ",".join("?" * count)
        sql = f"SELECT link_id FROM mark WHERE side_id=? AND k IN ({holes}) AND link_id>=? ORDER BY 1"
        assert ground.all(sql, 7, *ks, 0) == [(n,) for n in range(count)]
        sql = sql.replace("IN (", "NOT IN (")
        assert len(ground.all(sql, 7, *ks, 0)) == 50 - count


def test_values_come_back_as_the_same_types_from_both(tmp_path, place):
    seen = []
    for made in (Ground(tmp_path), Ground(tmp_path, place)):
        with made.ledger.write() as tx:
            number = tx.insert(
                "INSERT INTO audit_in(at, kind, body) VALUES(?,?,?)",
                3,
                "kind",
                "ä % ? '",
            )
            tx.run("UPDATE partition SET records=5, woken=?", bool(number))
            row = tx.one(
                "SELECT sum(records), count(*), max(woken), coalesce(sum(rejects), 0), "
                "min(not_before), max(lease_until)>0, max(part) FROM partition"
            )
            rows = tx.all("SELECT at, kind, body FROM audit_in")
            many = tx.value("SELECT ?", b"\x00\xff")
        seen.append((number, [*map(repr, row)], [*map(tuple, rows)], type(many)))
        made.close()
    assert seen[0] == seen[1]
