"""Scan, fetch and find on real databases, refined and generic."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moatbridge.adapter import Partition, Query
from moatbridge.changes import Absent, OutOfScope, Record, Ref
from moatbridge.errors import ConfigurationError, CursorTooOld, Rejected

HOSTILE = [
    "E-Mail",
    'we"ird',
    "we`ird",
    "semi;colon",
    "per%cent",
    "%(x)s",
    "a.b",
    "select",
    "Ümlaut",
    "c0",
    ":x",
    "?",
]


def quoted(db: Any, name: str) -> str:
    mark = "`" if db.kind == "mariadb" else '"'
    return mark + name.replace(mark, mark * 2) + mark


def people(db: Any, count: int) -> str:
    """A table with ``count`` rows, nr 1, 2 ..."""
    table = db.name("p")
    db.sql(
        f"create table {table}(nr integer primary key, login varchar(40), aktiv char(1), weg integer not null default 0)"
    )
    if count:
        db.sql(
            f"insert into {table}(nr, login, aktiv) values (?, ?, ?)",
            *((n, f"u{n}", "N" if n % 5 == 0 else "J") for n in range(1, count + 1)),
        )
    return table


def listen(adapter: Any, said: list[str]) -> None:
    """Note every statement, sent with SQLAlchemy or without."""
    database = adapter._database
    if hasattr(database, "_connection"):
        sa.event.listen(
            database._connection,
            "before_cursor_execute",
            lambda *a: said.append(a[2]),
        )
    else:
        database._raw.set_trace_callback(said.append)


def test_scan_is_keyset_pages_and_one_more_statement(db: Any) -> None:
    table = people(db, 20)
    adapter = db.open(table, ["nr", "login"])
    said: list[str] = []
    listen(adapter, said)
    batches = db.scan(adapter)
    assert [len(batch.changes) for batch in batches] == [5, 5, 5, 5, 0]
    assert len(said) == 5
    assert not [
        text for text in said if "OFFSET" in text.replace("LIMIT ? OFFSET ?", "")
    ]  # SQLite's spelling of LIMIT
    assert [batch.complete for batch in batches] == [False] * 4 + [True]


def test_rows_that_come_and_go_during_a_scan(db: Any) -> None:
    """Deleted ahead: not seen. Inserted ahead: seen. Nothing twice."""
    table = people(db, 12)
    adapter = db.open(table, ["nr"])
    pages = adapter.scan("people", Partition(), None)
    seen = [change.data["nr"] for change in next(pages).changes]
    db.sql(f"delete from {table} where nr in (2, 8)")
    db.sql(f"insert into {table}(nr) values (99)")
    seen += [change.data["nr"] for batch in pages for change in batch.changes]
    assert seen == [1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 99]


def test_a_key_changed_behind_the_reader_is_confirmed_by_fetch(db: Any) -> None:
    table = people(db, 12)
    adapter = db.open(table, ["nr", "login"])
    pages = adapter.scan("people", Partition(), None)
    seen = {change.ref.id for change in next(pages).changes}
    db.sql(f"update {table} set nr = 0 where nr = 12")
    seen |= {change.ref.id for batch in pages for change in batch.changes}
    assert "12" not in seen
    assert "0" not in seen
    gone, moved = adapter.fetch("people", [Ref("12"), Ref("0")])
    assert isinstance(gone, Absent)
    assert isinstance(moved, Record)


def test_where_and_deleted_limit_the_stream_and_fetch_tells_out_of_scope(
    db: Any,
) -> None:
    table = people(db, 10)
    db.sql(f"update {table} set weg = 1 where nr = 3")
    adapter = db.open(
        table,
        ["nr", "login"],
        where=[{"column": "aktiv", "op": "=", "value": "J"}],
        deleted={"column": "weg", "value": 1},
    )
    assert [row["nr"] for row in db.records(adapter)] == [1, 2, 4, 6, 7, 8, 9]
    found = adapter.fetch(
        "people", [Ref("5"), Ref("3"), Ref("77"), Ref("4"), Ref("x"), Ref(("4", "4"))]
    )
    assert [type(answer) for answer in found] == [
        OutOfScope,
        OutOfScope,
        Absent,
        Record,
        Absent,
        Absent,
    ]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"op": "!=", "value": "u1"}, ["a%b", "aXb", "u2"]),
        ({"op": "<", "value": "b"}, ["a%b", "aXb"]),
        ({"op": ">=", "value": "u1"}, ["u1", "u2"]),
        ({"op": "in", "value": ["u1", "aXb", "' or 1=1"]}, ["aXb", "u1"]),
        ({"op": "starts-with", "value": "a%"}, ["a%b"]),
        ({"op": "is-null"}, [None]),
        ({"op": "not-null"}, ["a%b", "aXb", "u1", "u2"]),
    ],
)
def test_where_operators(
    refined: Any, condition: dict[str, Any], expected: list[Any]
) -> None:
    table = refined.name("w")
    refined.sql(f"create table {table}(nr integer primary key, t varchar(20))")
    refined.sql(
        f"insert into {table} values (?, ?)",
        *enumerate(["u1", "u2", "a%b", "aXb", None]),
    )
    adapter = refined.open(table, ["t"], where=[{"column": "t", **condition}])
    assert sorted((row["t"] for row in refined.records(adapter)), key=str) == sorted(
        expected, key=str
    )


def test_find_by_one_column_is_exact(db: Any) -> None:
    table = people(db, 7)
    adapter = db.open(table, ["nr", "login"])
    hits = adapter.find(
        "people",
        [
            Query("login", "u3"),
            Query("nr", "4"),
            Query("nr", "four"),
            Query("login", "u"),
        ],
    )
    assert [[record.data["nr"] for record in records] for records in hits] == [
        [3],
        [4],
        [],
        [],
    ]
    with pytest.raises(ConfigurationError, match=r"sql\.no-field"):
        adapter.find("people", [Query("aktiv", "J")])


def test_hostile_names_are_quoted_exactly(db: Any) -> None:
    names = [name for name in HOSTILE if not (name == "%(x)s" and db.kind == "mariadb")]
    table = db.name("h") + '"; drop table x; --%s'
    columns = ", ".join(f"{quoted(db, name)} varchar(9)" for name in names)
    spelled = quoted(db, table)
    db.sql(f"create table {spelled}(id integer primary key, {columns})")
    escaped = spelled.replace("%", "%%") if db.roles else spelled
    db.sql(f"insert into {escaped}(id) values (?)", (2,), (3,))
    adapter = db.open(table, ["id", *names], writable=["id", *names], page_size=1)
    from moatbridge.testing.stage import intent

    receipts = adapter.write(
        "people",
        [
            intent(
                "create",
                None,
                {"id": 1, **{name: f"v{i}" for i, name in enumerate(names)}},
            ),
            intent("update", Ref("2"), {names[0]: "w"}),
            intent("create", None, {"id": 3, **dict.fromkeys(names, "theirs")}),
        ],
    )
    assert [receipt.outcome for receipt in receipts] == [
        "applied",
        "applied",
        "rejected",
    ]
    first, second, _ = db.records(adapter)
    assert first == {"id": 1, **{name: f"v{i}" for i, name in enumerate(names)}}
    assert second[names[0]] == "w"


def test_a_name_that_is_not_there_is_an_error_with_a_suggestion(db: Any) -> None:
    table = people(db, 0)
    with pytest.raises(
        ConfigurationError, match=r"sql\.schema-changed.*did you mean 'login'"
    ):
        db.open(table, ["logn"])
    with pytest.raises(ConfigurationError, match=r"sql\.schema-changed"):
        db.open(table + "x", ["login"])
    adapter = db.open(table.upper() if db.kind != "mariadb" else table, ["LOGIN", "Nr"])
    assert [field.name for field in adapter.streams()[0].fields] == ["login", "nr"]


def test_a_table_without_a_key_needs_one_in_the_configuration(db: Any) -> None:
    table = db.name("k")
    db.sql(f"create table {table}(a varchar(9) not null, b varchar(9))")
    with pytest.raises(ConfigurationError, match=r"sql\.no-key"):
        db.open(table, ["a"])


def test_duplicate_keys_of_a_view_are_rejects_also_across_pages(db: Any) -> None:
    table, view = db.name("d"), db.name("v")
    db.sql(f"create table {table}(id integer primary key, nr integer)")
    rows = [1, 2, 2, 3, 4, 5, 5, 5, 5, 6, 7, 8]
    db.sql(f"insert into {table} values (?, ?)", *enumerate(rows))
    db.sql(f"create view {view} as select nr from {table}")
    adapter = db.open(view, ["nr"], key=["nr"], page_size=3)
    batches = db.scan(adapter)
    good = [change.data["nr"] for batch in batches for change in batch.changes]
    bad = {reject.ref.id for batch in batches for reject in batch.rejects}
    assert good == [1, 3, 4, 6, 7, 8]
    assert bad == {"2", "5"}
    assert any("two rows share a key" in text for text in adapter.probe().warnings)


def test_split_covers_all_keys_once(db: Any) -> None:
    table = people(db, 23)
    adapter = db.open(table, ["nr"])
    parts = adapter.split("people", 4)
    assert len(parts) == 4
    db.sql(f"insert into {table}(nr) values (?)", (-7,), (999,))
    seen = [
        c.data["nr"]
        for part in parts
        for batch in adapter.scan("people", part, None)
        for c in batch.changes
    ]
    assert sorted(seen) == [-7, *range(1, 24), 999]
    with pytest.raises(CursorTooOld):
        list(adapter.scan("people", Partition("0", [1, "x; drop"]), None))


def test_the_query_fingerprint_follows_what_is_read(refined: Any) -> None:
    table = people(refined, 1)
    one = refined.open(table, ["nr", "login"]).streams()[0].query
    same = refined.open(table, ["nr", "login"]).streams()[0].query
    fewer = refined.open(table, ["nr"]).streams()[0].query
    limited = (
        refined.open(
            table, ["nr", "login"], where=[{"column": "nr", "op": ">", "value": 3}]
        )
        .streams()[0]
        .query
    )
    assert one == same
    assert len({one, fewer, limited}) == 3


def test_wide_rows_make_smaller_pages(refined: Any) -> None:
    """A page is held under 8 MiB, whatever its limit says."""
    table = refined.name("big")
    kind = "longtext" if refined.kind == "mariadb" else "text"
    refined.sql(f"create table {table}(nr integer primary key, t {kind})")
    refined.sql(
        f"insert into {table} values (?, ?)", *((n, "x" * 900_000) for n in range(40))
    )
    adapter = refined.open(table, ["nr", "t"], page_size=30)
    sizes = [len(batch.changes) for batch in refined.scan(adapter)]
    assert sum(sizes) == 40
    assert max(sizes[1:]) * 900_000 <= 8 << 20


def test_a_value_over_the_limit_is_a_reject(refined: Any) -> None:
    table = refined.name("big")
    kind = "longtext" if refined.kind == "mariadb" else "text"
    refined.sql(f"create table {table}(nr integer primary key, t {kind})")
    refined.sql(
        f"insert into {table} values (?, ?)", (1, "ok"), (2, "x" * 200), (3, "ü" * 60)
    )
    adapter = refined.open(table, ["nr", "t"], max_value_bytes=100)
    (batch,) = refined.scan(adapter)
    assert [change.data["nr"] for change in batch.changes] == [1]
    assert [
        (reject.reason, reject.field, reject.ref.id) for reject in batch.rejects
    ] == [("sql.value.too-large", "t", n) for n in ("2", "3")]


KEYS = st.lists(
    st.tuples(st.integers(-3, 3), st.text("abAB ~é", max_size=3).map(str.strip), st.decimals("-2", "2", places=1)),
    unique_by=lambda key: (key[0], key[1].casefold(), key[2]), max_size=17,
)  # fmt: skip


@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(keys=KEYS, size=st.integers(1, 6))
def test_pages_over_compound_keys_equal_one_ordered_select(
    db: Any, keys: list[Any], size: int
) -> None:
    table = db.name("c")
    db.sql(
        f"create table {table}(a integer not null, b varchar(9) not null, c decimal(5,1) not null, primary key (a, b, c))"
    )
    if db.kind == "mariadb":  # é counts as e there: one key
        keys = [key for key in keys if "é" not in key[1]]
    if keys:
        db.sql(
            f"insert into {table} values (?, ?, ?)",
            *((a, b, str(c)) for a, b, c in keys),
        )
    adapter = db.open(table, ["a", "b", "c"], page_size=size)
    whole = db.sql(f"select a, b, c from {table} order by a, b, c")
    batches = db.scan(adapter)
    seen = [
        (row["a"], row["b"], row["c"])
        for batch in batches
        for row in (change.data for change in batch.changes)
    ]
    assert seen == [(a, b, Decimal(str(c))) for a, b, c in whole]
    refs = [change.ref for batch in batches for change in batch.changes]
    assert len({ref.key for ref in refs}) == len(refs)
    assert [type(answer) for answer in adapter.fetch("people", refs)] == [Record] * len(
        refs
    )
    db.close()
    db.sql(f"drop table {table}")


def test_a_server_that_repeats_a_unique_key_fails_the_scan(lite: Any) -> None:
    """The declared order of a text key without type is broken on purpose."""
    from moatbridge_sql._database import Page
    from moatbridge_sql._rows import PageReader

    table = people(lite, 2)
    adapter = lite.open(table, ["nr"])
    reader = PageReader(adapter._readers["people"], unique=True)
    reader.decode(Page([(1,), (2,)]))
    with pytest.raises(Rejected, match=r"sql\.order"):
        reader.decode(Page([(2,), (3,)]))


def test_dates_and_char_make_canonical_refs(refined: Any) -> None:
    table = refined.name("k")
    refined.sql(
        f"create table {table}(code char(8) not null, tag date not null, x integer, primary key (code, tag))"
    )
    refined.sql(f"insert into {table} values (?, ?, 1)", ("100001", "2024-02-29"))
    adapter = refined.open(table, ["code", "tag", "x"])
    (batch,) = refined.scan(adapter)
    change = batch.changes[0]
    assert change.ref.id == ("100001", "2024-02-29")
    assert change.data == {"code": "100001", "tag": date(2024, 2, 29), "x": 1}
    assert adapter.fetch("people", [change.ref])[0].data == change.data
