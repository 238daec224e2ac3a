"""A create makes a row or finds its own; it never changes one."""

from __future__ import annotations

import threading
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from moatbridge.changes import Ref
from moatbridge.testing.stage import intent
from moatbridge_sql._encode import encode
from moatbridge_sql._sameness import same
from moatbridge_sql._schema import Column

ACCOUNTS = ["login", "name", "rights"]


def accounts(db: Any, *rows: tuple[str, str, str], key: str = "primary key") -> str:
    table = db.name("a")
    db.sql(
        f"create table {table}(login varchar(20) not null {key}, name varchar(30), rights varchar(10) default 'none')"
    )
    if rows:
        db.sql(f"insert into {table} values (?, ?, ?)", *rows)
    return table


def opened(db: Any, table: str, **more: Any) -> Any:
    return db.open(table, ACCOUNTS, writable=ACCOUNTS, **more)


def create(login: str, name: str = "Eve", rights: str = "none", **more: Any) -> Any:
    return intent(
        "create", None, {"login": login, "name": name, "rights": rights}, **more
    )


def outcomes(receipts: Any) -> list[tuple[str, str]]:
    return [(receipt.outcome, receipt.code) for receipt in receipts]


def stored(db: Any, table: str) -> list[Any]:
    return db.sql(f"select login, name, rights from {table} order by login")


def statements(adapter: Any, work: Any) -> tuple[Any, list[str]]:
    said: list[str] = []
    connection = adapter._database._connection
    event = (connection, "before_cursor_execute")

    def hear(_c: Any, _cursor: Any, text: str, *_more: Any) -> None:
        if not text.startswith(("SAVEPOINT", "RELEASE", "SET CONSTRAINTS", "BEGIN")):
            said.append(text)

    sa.event.listen(*event, hear)
    try:
        return work(), said
    finally:
        sa.event.remove(*event, hear)


def test_a_create_never_overwrites_an_account_with_the_same_login(db: Any) -> None:
    """A login that a person chose for themselves is no proof of whose row it is."""
    table = accounts(db, ("admin", "The administrator", "all"))
    adapter = opened(db, table)
    for attempt in (1, 2):
        batch = [create("admin", attempt=attempt), create("bert", attempt=attempt)]
        receipts = adapter.write("people", batch)
        assert outcomes(receipts) == [("rejected", "sql.conflict"), ("applied", "")]
        assert receipts[0].ref is None, "nothing to link to"
        assert stored(db, table) == [
            ("admin", "The administrator", "all"),
            ("bert", "Eve", "none"),
        ]


def test_only_what_is_sent_is_compared(db: Any) -> None:
    table = accounts(db, ("anna", "Anna", "all"))
    adapter = db.open(table, ACCOUNTS, writable=["login", "name"])
    found = adapter.write(
        "people",
        [
            intent("create", None, {"login": "anna", "name": "Anna"}),
            intent("create", None, {"login": "anna", "name": None}),
        ],
    )
    assert outcomes(found) == [("applied", ""), ("rejected", "sql.conflict")]
    assert found[0].ref == Ref("anna")
    assert stored(db, table) == [("anna", "Anna", "all")]


def test_letter_case_makes_another_row(db: Any) -> None:
    """MariaDB finds 'anna' under 'Anna'; that does not make it ours."""
    table = accounts(db, ("anna", "Eve", "none"))
    receipts = opened(db, table).write("people", [create("Anna")])
    assert receipts[0].outcome == ("rejected" if db.kind == "mariadb" else "applied")
    assert ("anna", "Eve", "none") in stored(db, table)


def test_the_row_of_another_external_id_is_left_alone(db: Any) -> None:
    table = accounts(db, ("ext-1", "Mine", "none"), key="unique")
    adapter = opened(db, table, key=["login"], external_id="login")
    batch = [create("ext-1", "New"), create("EXT-1", "Other")]
    receipts = adapter.write("people", batch[:1])
    assert outcomes(receipts) == [("applied", "")], "brought up to date: it is ours"
    folded = db.kind == "mariadb"
    second = adapter.write("people", batch[1:])[0]
    assert second.outcome == ("rejected" if folded else "applied")
    assert ("ext-1", "New", "none") in stored(db, table)


def test_two_people_who_claim_one_login_in_one_batch(db: Any) -> None:
    table = accounts(db)
    receipts = opened(db, table).write(
        "people", [create("x", "First"), create("x", "Second")]
    )
    assert outcomes(receipts) == [("applied", ""), ("rejected", "sql.conflict")]
    assert stored(db, table) == [("x", "First", "none")]


def test_conflicts_cost_no_round_trips(refined: Any) -> None:
    """A thousand taken logins: no halving, no statement a row.

    The block that would have been one statement is tried first (MariaDB has none).
    """
    taken = [(f"u{n:04}", "Theirs", "all") for n in range(0, 1000, 2)]
    table = accounts(refined, *taken)
    adapter = opened(refined, table)
    batch = [create(f"u{n:04}") for n in range(1000)]
    receipts, said = statements(adapter, lambda: adapter.write("people", batch))
    assert [r.outcome for r in receipts] == ["rejected", "applied"] * 500
    assert len(said) == {"postgresql": 3, "mariadb": 3, "sqlite": 4}[refined.kind]
    again, _ = statements(adapter, lambda: adapter.write("people", batch))
    assert outcomes(again) == outcomes(receipts)
    assert [row for row in stored(refined, table) if row[1] == "Theirs"] == taken


def test_creating_needs_no_right_to_change_rows(pg: Any) -> None:
    table = accounts(pg, ("admin", "The administrator", "all"))
    pg.sql(f"revoke update, delete on {table} from writer")
    receipts = opened(pg, table).write("people", [create("admin"), create("b")])
    assert outcomes(receipts) == [("rejected", "sql.conflict"), ("applied", "")]


def test_a_value_that_cannot_be_read_is_not_ours(pg: Any) -> None:
    table = pg.name("a")
    pg.sql(f"create table {table}(nr integer primary key, d date)")
    pg.sql(f"insert into {table} values (1, 'infinity'), (2, '2024-01-01')")
    adapter = pg.open(table, ["nr", "d"], writable=["nr", "d"])
    receipts = adapter.write(
        "people",
        [intent("create", None, {"nr": nr, "d": "2024-01-01"}) for nr in (1, 2, 3)],
    )
    assert [r.outcome for r in receipts] == ["rejected", "applied", "applied"]
    assert pg.sql(f"select d::text from {table} where nr = 1") == [("infinity",)]


def test_a_trigger_that_rewrites_keys_confuses_nobody(pg: Any) -> None:
    table = accounts(pg, ("admin", "The administrator", "all"))
    pg.sql(
        f"create function low{table}() returns trigger language plpgsql as $$ begin new.login = lower(new.login); return new; end $$;"
        f"create trigger t before insert on {table} for each row execute function low{table}()"
    )
    receipts = opened(pg, table).write(
        "people", [create("Anna"), create("Admin"), create("Bert")]
    )
    assert outcomes(receipts) == [
        ("applied", ""),
        ("rejected", "sql.conflict"),
        ("applied", ""),
    ]
    assert stored(pg, table) == [
        ("admin", "The administrator", "all"),
        ("anna", "Eve", "none"),
        ("bert", "Eve", "none"),
    ]


@pytest.mark.parametrize("kind", ["pg", "my"])
def test_two_writers_of_one_login_make_one_row(
    kind: str, request: pytest.FixtureRequest
) -> None:
    """The second waits for the first one's commit, and then sees its row."""
    db = request.getfixturevalue(kind)
    table = accounts(db)
    holder = db.connect()
    cursor = holder.cursor()
    cursor.execute("begin")
    cursor.execute(f"insert into {table} values ('x', 'Theirs', 'all')")
    adapter, found = opened(db, table), []
    thread = threading.Thread(
        target=lambda: found.extend(adapter.write("people", [create("x")]))
    )
    thread.start()
    waiting = {
        "pg": "select count(*) from pg_stat_activity where wait_event_type = 'Lock'",
        "my": "select cast(variable_value as int) from information_schema.global_status where variable_name = 'innodb_row_lock_current_waits'",
    }[kind]
    while thread.is_alive() and db.sql(waiting) == [(0,)]:
        pass
    cursor.execute("commit")
    thread.join(10)
    holder.close()
    assert outcomes(found) == [("rejected", "sql.conflict")]
    assert stored(db, table) == [("x", "Theirs", "all")]


def test_a_repeated_create_finds_its_row_in_every_type(refined: Any) -> None:
    """What a column rounds, cuts off or spells otherwise is still what we sent."""
    stamp, wide = {
        "postgresql": ("timestamp(0)", "jsonb"),
        "mariadb": ("datetime", "json"),
        "sqlite": ("timestamp", "json"),
    }[refined.kind]
    table = refined.name("a")
    refined.sql(
        f"create table {table}(nr integer primary key, c char(6), n decimal(9,2), f float, d date, t time, ts {stamp}, j {wide}, b {'bytea' if refined.kind == 'postgresql' else 'blob'})"
    )
    names = ["nr", "c", "n", "f", "d", "t", "ts", "j", "b"]
    adapter = refined.open(table, names, writable=names, types={"j": "json"})
    record = {
        "nr": 1,
        "c": "ab",
        "n": Decimal("10.5"),
        "f": 0.1,
        "d": "2024-02-29",
        "t": "08:30:00",
        "ts": "2024-05-01T08:00:00.400000",
        "j": {"b": 1, "a": [True, None]},
        "b": b"\x00\x01",
    }
    for _ in range(2):
        receipts = adapter.write("people", [intent("create", None, record)])
        assert outcomes(receipts) == [("applied", "")]
    others = {"c": "x", "n": Decimal(9), "f": 0.2, "d": "2024-03-01", "t": "09:00:00", "ts": "2024-05-01T09:00:00", "j": {"b": True}, "b": b""}  # fmt: skip
    before = refined.sql(f"select * from {table}")
    for name, value in others.items():
        found = adapter.write(
            "people", [intent("create", None, {**record, name: value})]
        )
        assert outcomes(found) == [("rejected", "sql.conflict")], name
    assert refined.sql(f"select * from {table}") == before


def test_arrays_are_compared_item_by_item(pg: Any) -> None:
    table = pg.name("a")
    pg.sql(f"create table {table}(nr integer primary key, a text[])")
    adapter = pg.open(table, ["nr", "a"], writable=["nr", "a"])

    def write(value: Any) -> Any:
        return outcomes(
            adapter.write("people", [intent("create", None, {"nr": 1, "a": value})])
        )

    assert [write(["x", None]) for _ in range(2)] == [[("applied", "")]] * 2
    assert [write(v) for v in (["x"], ["x", "y"], None)] == [
        [("rejected", "sql.conflict")]
    ] * 3


# --- pure ------------------------------------------------------------------------

VALUES = {
    "text": st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",))),
    "int": st.integers(-(2**63), 2**63 - 1),
    "bool": st.booleans(),
    "date": st.dates(),
    "datetime": st.datetimes(),
    "bytes": st.binary(),
    "uuid": st.uuids().map(str),
    "decimal": st.decimals(allow_nan=False, allow_infinity=False, places=2),
}


@given(
    st.sampled_from(sorted(VALUES)).flatmap(
        lambda k: st.tuples(st.just(k), VALUES[k], VALUES[k])
    )
)
def test_a_value_is_the_same_as_itself_and_as_no_other(found: Any) -> None:
    kind, one, other = found
    column = Column("x", kind)
    assert same(column, encode(column, one), one)
    if kind != "datetime":
        assert same(column, encode(column, one), other) == (one == other)
    assert not same(column, encode(column, one), None)
    assert not same(column, None, one)


@pytest.mark.parametrize(
    ("kind", "sent", "stored", "expected"),
    [
        ("text", "Anna", "anna", False),
        ("text", "a", "a ", False),
        ("char", "a", "a     ", True),
        ("text", "5", 5, True),
        ("text", "x", b"x", False),
        ("decimal", Decimal("10.505"), Decimal("10.51"), True),
        ("decimal", Decimal("10.505"), Decimal("10.52"), False),
        ("decimal", Decimal("10.50"), 10.5, True),
        ("float", 0.1, 0.10000000149, True),
        ("float", 0.1, 0.11, False),
        ("datetime", datetime(2024, 1, 1, 0, 0, 0, 600000), datetime(2024, 1, 1, 0, 0, 1), True),  # noqa: DTZ001 - naive on purpose
        ("datetime", datetime(2024, 1, 1, 0, 0, 0, 1234), datetime(2024, 1, 1, 0, 0, 0, 1000), True),  # noqa: DTZ001 - as above
        ("datetime", datetime(2024, 1, 1, 0, 0, 2), datetime(2024, 1, 1, 0, 0, 1), False),  # noqa: DTZ001 - as above
        ("datetime", datetime(2024, 1, 1), "2024-01-01 00:00:00", True),  # noqa: DTZ001 - as above
        ("date", date(9999, 12, 31), date(9999, 12, 31), True),
        ("json", '{"a": 1, "b": 2}', {"b": 2, "a": 1}, True),
        ("json", '{"a": 1}', {"a": True}, False),
        ("json", '"x"', "x", True),
        ("int", 5, "five", False),
        ("bool", True, b"\x01", True),
    ],
)  # fmt: skip
def test_sameness(kind: Any, sent: Any, stored: Any, *, expected: bool) -> None:
    assert same(Column("x", kind, scale=2), sent, stored) is expected


def test_text_that_arrives_as_bytes_is_decoded() -> None:
    column = Column("x", "text")
    assert same(column, "Jürgen", "Jürgen".encode("latin-1"), "latin-1")
    assert not same(column, "Jürgen", b"Jurgen", "latin-1")
