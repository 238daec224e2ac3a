"""The fast roads give just what the slow ones give: by column, and row by row."""

# ruff: noqa: DTZ001, DTZ901 - columns without a zone hold naive date-times

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moatbridge.changes import Change, Receipt, Ref
from moatbridge.testing.stage import intent
from moatbridge_sql import SqlStreamConfig
from moatbridge_sql._blocks import BlockMaker
from moatbridge_sql._catalog import bind
from moatbridge_sql._columns import UNUSUAL, reader, records_of
from moatbridge_sql._database import Written
from moatbridge_sql._encode import encoder
from moatbridge_sql._encode_columns import column_encoder
from moatbridge_sql._intents import RowMaker, receipt_of
from moatbridge_sql._keys import canonical
from moatbridge_sql._rows import RowReader
from moatbridge_sql._schema import Column, Table
from moatbridge_sql._values import Rules, decoder

SAME_EVERY_TIME = settings(derandomize=True, deadline=None, max_examples=250)
KINDS: list[Any] = [
    "int", "decimal", "float", "bool", "text", "char", "date", "time", "datetime",
    "zoned", "interval", "uuid", "bytes", "json", "array", "any",
]  # fmt: skip
ODD = [
    None, 0, 1, 2, -(2**70), True, False, 0.0, -0.0, 1.0, 1.5, math.nan, math.inf,
    Decimal(0), Decimal("1.50"), Decimal("1E+3"), Decimal("NaN"), Decimal("Infinity"),
    "", " ", "x", "x  ", "ü" * 9, "l" * 60, "a\0b", "\x1e", "\x1f", "\ud800", "7", "-",
    "infinity", "2024-02-29", "2024-02-29T10:11:12.000123", "2024-02-29 10:11:12+02:00",
    "0001-01-01", "9999-12-31 00:00:00", "12:13", '{"a": 1}', b"", b"\xff", b"x" * 60,
    bytearray(b"y"), memoryview(b"z"), date(2024, 2, 29), date.min, date.max, time(1, 2),
    datetime(2024, 2, 29, 1), datetime(2024, 2, 29, tzinfo=UTC), datetime.min,
    datetime.max, timedelta(hours=3), timedelta(days=40), [1, None], ["a", UUID(int=5)],
    {"a": [1]}, UUID(int=1), "00000000-0000-0000-0000-00000000000F",
]  # fmt: skip
ODDITIES = (*UNUSUAL, TypeError, AttributeError)
"""What a column may raise when asked directly; pages and batches may not (below)."""
USUAL: dict[str, st.SearchStrategy[Any]] = {
    "int": st.integers(-(2**63), 2**63 - 1),
    "decimal": st.decimals(allow_nan=False, allow_infinity=False, places=2),
    "float": st.floats(allow_nan=False, allow_infinity=False),
    "bool": st.booleans(),
    "text": st.text(max_size=12),
    "char": st.text(max_size=8).map(lambda text: f"{text}  "),
    "date": st.dates(),
    "time": st.times(),
    "datetime": st.datetimes() | st.datetimes().map(str),
    "zoned": st.datetimes(timezones=st.just(UTC)),
    "uuid": st.uuids(),
    "bytes": st.binary(max_size=12),
}


EDGES: dict[str, list[Any]] = {
    "int": [0, True, 2**70, "7", Decimal(2), 1.5, None],
    "decimal": [Decimal("NaN"), Decimal("1.5"), Decimal(0), Decimal("Infinity"), 3, "4.5", "x", None],
    "float": [math.nan, math.inf, 0.0, 1, Decimal("1.5"), "x", None],
    "bool": [0, 1, 2, True, 1.0, b"\x01", None],
    "text": ["a\0b", "l" * 60, "ü" * 14, "", "\ud800", b"\xff", 5, True, None],
    "char": ["a\0b", "x ", "l" * 60, " " * 60, "", b"y", None],
    "date": [date.min, date.max, datetime(2024, 1, 1), "2024-02-30", "2024-02-29", None],
    "time": [timedelta(hours=3), timedelta(days=2), "12:13", None],
    "datetime": [datetime.min, datetime.max, datetime(9, 9, 9, tzinfo=UTC), "x", "2024-01-01", date(2024, 1, 1), None],
    "zoned": [datetime(2024, 1, 1), datetime.max, "2024-01-01T00:00:00Z", None],
    "uuid": [UUID(int=1), "00000000-0000-0000-0000-00000000000F", b"x" * 16, "x", None],
    "bytes": [b"x" * 60, bytearray(b"y"), memoryview(b"z"), "text", None],
}  # fmt: skip


def whole(kind: str, count: int) -> st.SearchStrategy[list[Any]]:
    """A column: mostly as it should be, at times with one or more odd values."""
    odd = st.sampled_from(ODD)
    edges = st.sampled_from(EDGES[kind]) if kind in EDGES else odd
    usual = USUAL.get(kind, odd)

    def of(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
        return st.lists(values, min_size=count, max_size=count)

    near = of(usual | edges)
    return st.one_of(of(usual), of(usual | st.none()), near, near, of(usual | odd))


@st.composite
def tables(draw: st.DrawFn, kinds: list[str]) -> list[tuple[Any, ...]]:
    count = draw(st.integers(0, 4))
    columns = [draw(whole(kind, count)) for kind in kinds]
    return list(zip(*columns, strict=True))


@st.composite
def pages(draw: st.DrawFn) -> Any:
    """A stream over up to four columns, with rows of what no driver should deliver."""
    key = draw(st.sampled_from(["int", "text", "char", "decimal", "uuid", "date"]))
    kinds = [key, *draw(st.lists(st.sampled_from(KINDS), max_size=3))]
    columns = tuple(
        Column(f"c{n}", kind, scale=draw(st.sampled_from([None, 0, 2])), padded=kind == "char", length=draw(st.sampled_from([None, 20])))
        for n, kind in enumerate(kinds)
    )  # fmt: skip
    names = tuple(column.name for column in columns)
    table = Table(None, "t", columns, ("c0",), (("c0",),))
    more: dict[str, Any] = {
        "trim": draw(st.booleans()),
        "empty_is_null": draw(st.booleans()),
        "max_value_bytes": draw(st.sampled_from([50, 1 << 20])),
        "nulls": draw(st.sampled_from([{}, {names[-1]: ("x", "9999-12-31", "1")}])),
        "types": draw(st.sampled_from([{}, {}, {names[-1]: "bool:7/-"}, {names[-1]: "int"}])),
    }  # fmt: skip
    if len(names) > 1 and draw(st.booleans()):
        more["name"] = names[-1]
    if draw(st.booleans()):
        more["version"] = names[-1]
    fields = names[draw(st.integers(0, len(names) - 1)) :]
    config = SqlStreamConfig(table="t", fields=fields, writable=names, **more)
    bound = bind("s", config, table)
    kinds_read = [table.column(name).kind for name in bound.selection.columns]
    return bound, draw(tables(kinds_read))


def told(value: Any) -> Any:
    """With types, so that 1, 1.0 and True differ, and zones."""
    if isinstance(value, dict):
        return {name: told(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [told(one) for one in value]
    return type(value), repr(value)


def outcome(work: Any) -> Any:
    try:
        return told(work())
    except ODDITIES:
        return "refused"  # and the page or batch goes row by row


@pytest.mark.parametrize("kind", KINDS)
@SAME_EVERY_TIME
@given(data=st.data())
def test_a_column_at_once_is_its_values_one_by_one(
    kind: str, data: st.DataObject
) -> None:
    """Reading and writing; what one refuses the other refuses."""
    draw = data.draw
    scale, length = draw(st.sampled_from([(None, None), (0, 20), (2, 9000)]))
    column = Column("c", kind, scale=scale, length=length)  # type: ignore[arg-type]
    zone = draw(st.sampled_from([None, ZoneInfo("Europe/Berlin")]))
    rules = Rules(
        trim=draw(st.booleans()), empty_is_null=draw(st.booleans()), zone=zone,
        limit=draw(st.sampled_from([50, 1 << 20])), loose=True,
        nulls=draw(st.sampled_from([(), ("x", "9999-12-31")])),
    )  # fmt: skip
    values = draw(st.integers(1, 3).flatmap(lambda count: whole(kind, count)))
    decode, encode = decoder(column, rules), encoder(column, zone)
    assert decode is not None
    roads = [
        (reader(column, rules, decode, ruled=False), decode),
        (column_encoder(column, zone, encode, ruled=False), encode),
    ]
    for at_once, one in roads:
        each = outcome(lambda: [None if v is None else one(v) for v in values])  # noqa: B023 - used at once
        assert outcome(lambda: list(at_once(values))) == each  # noqa: B023 - as above


@SAME_EVERY_TIME
@given(
    pages(),
    st.booleans(),
    st.sampled_from([None, ZoneInfo("Europe/Berlin")]),
    st.sampled_from([None, "latin-1"]),
)
def test_a_page_by_column_is_the_page_row_by_row(
    page: Any, loose: bool, zone: Any, codec: Any
) -> None:
    bound, rows = page
    answers = []
    for columnwise in (True, False):
        reader = RowReader(
            bound, loose=loose, zone=zone, codec=codec, columnwise=columnwise
        )
        good, bad = reader.changes(rows, "page 1", marked=False)
        answers.append((list(map(told, map(tuple, good))), bad))
    assert answers[0] == answers[1]


@st.composite
def batches(draw: st.DrawFn) -> Any:
    bound, rows = draw(pages())
    names = bound.selection.columns
    ops = draw(
        st.sampled_from([["create"], ["update"], ["create", "update", "delete"]])
    )
    few = draw(st.booleans())
    found = []
    for number, row in enumerate(rows):
        record = dict(zip(names, row, strict=True))
        op: Any = draw(st.sampled_from(ops))
        if op == "update" and draw(st.sampled_from([True, True, False])):
            record.pop("c0", None)
        if few and draw(st.booleans()):
            record.pop(draw(st.sampled_from(names)), None)
        key = draw(st.sampled_from([f"{number}", f"{number}", "1", "x", "2024-02-29"]))
        ref = Ref(draw(st.sampled_from([key, key, str(record.get("c0"))])))
        found.append(intent(op, None if op == "create" else ref, None if op == "delete" else record))  # fmt: skip
    return bound, found


@SAME_EVERY_TIME
@given(batches(), st.sampled_from([None, ZoneInfo("Europe/Berlin")]))
def test_blocks_hold_what_single_rows_hold(batch: Any, zone: Any) -> None:
    bound, intents = batch
    made = BlockMaker(bound, zone).blocks(intents)
    if made is None:
        return  # row by row: nothing is claimed
    rows = list(map(RowMaker(bound, zone).row, intents))
    assert not any(isinstance(row, Receipt) for row in rows), "one was refused"
    expected = sorted(
        repr((row.op, told({**row.match, **row.values}))) for row in rows
    )  # fmt: skip
    inside = [
        repr((block.op, told(dict(zip(block.columns, values, strict=True)))))
        for block in made.blocks
        for values in zip(*block.columns.values(), strict=True)
    ]
    assert sorted(inside) == expected
    for block in made.blocks:
        columns = [bound.table.column(name) for name in block.match]
        keys = zip(*(block.columns[name] for name in block.match), strict=True)
        ids = [tuple(map(canonical, columns, key)) for key in keys]
        assert ids == sorted(set(ids)), "in order, no key twice"
    assert len({ref.id for ref in made.refs}) == len(intents)
    single = [
        receipt_of(one, row, Written("applied"), bound)
        for one, row in zip(intents, rows, strict=True)
    ]
    assert made.receipts(known=True) == single


@SAME_EVERY_TIME
@given(st.lists(st.text(), min_size=1, max_size=5, unique=True), st.data())
def test_records_are_made_whatever_the_columns_are_called(
    names: list[str], data: st.DataObject
) -> None:
    row = st.tuples(*(st.integers() for _ in names))
    rows = data.draw(st.lists(row, max_size=3))
    assert records_of(names)(rows) == [dict(zip(names, row, strict=True)) for row in rows]  # fmt: skip


def test_changes_and_refs_have_the_fields_that_are_filled_by_place() -> None:
    """`_rows` and `_columns` make them by ``tuple.__new__``, which asks nobody."""
    assert Change._fields == ("ref", "op", "data", "version", "partial", "incomplete")
    assert Ref._fields == ("id", "name")


# --- on real servers -----------------------------------------------------------------

NAMES = ["nr", "t", "b", "f", "d", "m", "i", "n"]
WORDS = [None, "", " x ", "Müller", "\x1e", "a\x1fb", "\\N", "{a,b}", '"', "%s", "x" * 200]  # fmt: skip
NUMBERS = [None, 0, -1, 2**31 - 1, -(2**31)]
FRACTIONS = [None, 0.0, -0.0, 1.5, 1e300, -5e-324, 0.1]
EXACT = [None, Decimal(0), Decimal("12345678901234.56"), Decimal("-0.01")]
MOMENTS = [None, "2024-02-29T23:59:59.999999", "1900-01-01T00:00:00", "9998-12-31T00:00:00"]  # fmt: skip


def made(db: Any) -> str:
    table = db.name("col")
    words = {"postgresql": "text", "mariadb": "varchar(250)", "sqlite": "text"}[db.kind]
    moment = "datetime(6)" if db.kind == "mariadb" else "timestamp"
    db.sql(
        f"create table {table}(nr bigint primary key, t {words}, b boolean, "
        f"f double precision, d date, m {moment}, i integer, n numeric(16,2))"
    )
    return table


def people(numbers: Any, draw: Any) -> list[dict[str, Any]]:
    days = [None, "2024-02-29", "0002-01-01"]
    return [
        {
            "nr": nr, "t": draw(WORDS), "b": draw([None, True, False]),
            "f": draw(FRACTIONS), "d": draw(days), "m": draw(MOMENTS), "i": draw(NUMBERS),
            "n": draw(EXACT),
        }
        for nr in numbers
    ]  # fmt: skip


@settings(
    max_examples=4,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(data=st.data())
def test_both_roads_write_and_read_the_same(refined: Any, data: st.DataObject) -> None:
    """Creates, changes and refusals, with and without columns; then both ways back."""

    def draw(choices: list[Any]) -> Any:
        return data.draw(st.sampled_from(choices))

    first = people(range(8), draw)
    second = people(range(12), draw)
    if draw([True, False]):
        second[3]["n"] = Decimal(10) ** 20  # too large for the column
    found = []
    for columnwise in (True, False):
        table = made(refined)
        opened = {"writable": NAMES, "columnwise": columnwise, "page_size": 100}
        create = refined.open(table, NAMES, **opened)
        receipts = [create.write("people", [intent("create", None, r) for r in first])]
        receipts += [
            create.write(
                "people", [intent("update", Ref(str(r["nr"])), r) for r in second]
            ),
            create.write("people", [intent("create", None, r) for r in second]),
        ]
        own = refined.open(table, NAMES, **opened, external_id="nr")
        receipts += [own.write("people", [intent("create", None, r) for r in second])]
        scans = [
            told([tuple(change) for batch in refined.scan(adapter) for change in batch.changes])
            for adapter in (own, refined.open(table, NAMES, columnwise=False))
        ]  # fmt: skip
        assert scans[0] == scans[1]
        found.append((receipts, scans[0]))
        refined.close()
        refined.sql(f"drop table {table}")
    assert found[0] == found[1]


def test_binary_pages_hold_what_text_pages_hold(pg: Any) -> None:
    table = pg.name("bin")
    pg.sql(
        f"create table {table}(nr bigint primary key, s smallint, n numeric, f float8, "
        "r real, t text, v varchar(9), c char(5), d date, m timestamp, z timestamptz, "
        "u uuid, y bytea, b boolean)"
    )
    rows = [
        (1, 7, "1.50", 0.1, 0.1, "ü", "v", "c", "2024-02-29", "2024-02-29 01:02:03.000004", "2024-02-29 01:02:03+05", str(UUID(int=9)), b"\x00\xff", True),
        (2, *[None] * 13),
        (3, -1, "1e-20", -0.0, 3e38, "", "", "", "0002-01-01", "9998-12-31", "1900-01-01 00:00:00+00", str(UUID(int=0)), b"", False),
        (4, 0, "123456789012345678901234567890.123", 5e-324, 1, "x", "x", "x", "infinity", "2024-01-01", "2024-01-01 00:00:00+00", None, None, None),
        (5, 0, "NaN", math.nan, 1, "x", "x", "x", "2024-01-01", "2024-01-01", "2024-01-01 00:00:00+00", None, None, None),
    ]  # fmt: skip
    pg.sql(f"insert into {table} values ({', '.join('?' * 14)})", *rows)
    fields = ["nr", "s", "n", "f", "t", "v", "c", "d", "m", "z", "u", "y", "b"]
    found = []
    for more in ({"page_size": 2}, {"page_size": 2, "columnwise": False}):
        adapter = pg.open(table, fields, **more)
        batches = pg.scan(adapter)
        changes = [tuple(change) for batch in batches for change in batch.changes]
        rejects = [r for batch in batches for r in batch.rejects]
        found.append((told(changes), rejects))
        texts = pg.open(table, [*fields, "r"], **more)  # one column has no binary form
        plain = [change.data for batch in pg.scan(texts) for change in batch.changes]
        assert [row.pop("r") for row in plain] == [pytest.approx(0.1), None, 3e38]
        assert told(plain) == told([change[2] for change in changes])
    assert found[0] == found[1]
    assert [(r.ref.id, r.field) for r in found[0][1]] == [("4", "d"), ("5", "n")]


def counted(adapter: Any, work: Any) -> list[str]:
    import sqlalchemy as sa

    said: list[str] = []

    def hear(_c: Any, _cursor: Any, text: str, *_more: Any) -> None:
        if not text.startswith(("SET CONSTRAINTS", "BEGIN")):
            said.append(text)

    event = (adapter._database._connection, "before_cursor_execute", hear)
    sa.event.listen(*event)
    try:
        work()
    finally:
        sa.event.remove(*event)
    return said


@pytest.mark.parametrize("kind", ["pg", "lite"])
def test_a_thousand_rows_are_one_statement(
    kind: str, request: pytest.FixtureRequest
) -> None:
    """New ones, changed ones (PostgreSQL counts them first), known ones."""
    db = request.getfixturevalue(kind)
    table = made(db)
    adapter = db.open(table, NAMES, writable=NAMES)
    records = people(range(1000), lambda choices: choices[-1])
    new = [intent("create", None, record) for record in records]
    changed = [intent("update", Ref(str(r["nr"])), {"t": "new"}) for r in records]
    own = db.open(table, NAMES, writable=NAMES, external_id="nr")
    assert len(counted(adapter, lambda: adapter.write("people", new))) == 1
    updates = counted(adapter, lambda: adapter.write("people", changed))
    assert len(updates) == (2 if kind == "pg" else 1)
    assert len(counted(own, lambda: own.write("people", new))) == 1
    assert db.sql(f"select count(*) from {table} where t = ?", ("x" * 200,)) == [(1000,)]  # fmt: skip


def test_a_row_that_is_refused_leaves_nothing_of_its_block(refined: Any) -> None:
    """The block is taken back, and row by row only the bad one is rejected."""
    table = made(refined)
    refined.sql(f"create unique index {table}_i on {table}(i)")
    adapter = refined.open(table, NAMES, writable=NAMES)
    batch = [intent("create", None, {"nr": n, "i": 1 if n == 7 else n}) for n in range(9)]  # fmt: skip
    receipts = adapter.write("people", batch)
    assert [r.outcome for r in receipts].count("rejected") == 1
    assert receipts[7].outcome == "rejected"
    assert len(refined.sql(f"select nr from {table}")) == 8
    gone = [intent("update", Ref(str(n)), {"t": "x"}) for n in (1, 99)]
    assert [r.code for r in adapter.write("people", gone)] == ["", "sql.gone"]
    assert refined.sql(f"select t from {table} where nr = 1") == [("x",)]


@pytest.mark.parametrize("columnwise", [True, False])
def test_an_update_whose_key_is_another_rows_is_refused(
    refined: Any, columnwise: bool
) -> None:
    """The record says row 2, the ref row 1: neither is written, row 3 is."""
    table = made(refined)
    refined.sql(f"insert into {table}(nr) values (?)", (1,), (2,), (3,))
    adapter = refined.open(table, NAMES, writable=NAMES, columnwise=columnwise)
    batch = [
        intent("update", Ref("1"), {"nr": 2, "t": "x"}),
        intent("update", Ref("3"), {"nr": 3, "t": "x"}),
    ]
    receipts = adapter.write("people", batch)
    assert [r.code for r in receipts] == ["sql.key.data", ""]
    assert refined.sql(f"select nr from {table} where t = 'x'") == [(3,)]


PLAIN = {
    "nr": ("bigint primary key", 1, 2), "s": ("smallint", 7, None),
    "n": ("numeric(16,2)", Decimal("1.50"), Decimal(-2)), "w": ("numeric(9,0)", 4, 5),
    "f": ("double precision", 0.1, None), "b": ("boolean", True, False),
    "t": ("text", "Müller", None), "v": ("varchar(9)", "v", ""), "c": ("char(5)", "c", "d"),
    "d": ("date", date(2024, 2, 29), None), "h": ("time", time(1, 2), None),
    "m": ("timestamp", datetime(2024, 2, 29, 1, 2, 3, 4), datetime(2024, 2, 28, 1, 2, 3, 5)),
    "y": ("{bytes}", b"\x00\xff", None),
}  # fmt: skip
"""Column -> its type and two plain values."""
POSTGRES = {
    "z": ("timestamptz", datetime(2024, 2, 29, tzinfo=UTC), None),
    "i": ("interval", "P1DT2S", None), "j": ("jsonb", {"a": [1]}, None),
    "u": ("uuid", str(UUID(int=9)), None),
}  # fmt: skip


@pytest.mark.parametrize("kind", ["pg", "lite"])
def test_plain_rows_of_every_kind_never_go_row_by_row(
    kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error in the fast code must not only make it slow."""
    db = request.getfixturevalue(kind)
    table, columns = db.name("plain"), PLAIN | (POSTGRES if kind == "pg" else {})
    made_of = ", ".join(f"{name} {type_}" for name, (type_, *_) in columns.items())
    made_of = made_of.format(bytes="bytea" if kind == "pg" else "blob")
    if kind == "pg":  # arrays are read by column, but written row by row
        made_of += ", a text[] default '{x,y}'"
    db.sql(f"create table {table}({made_of})")
    first, second = (
        {name: values[at] for name, values in columns.items()} for at in (1, 2)
    )
    fields = [*columns, "a"] if kind == "pg" else list(columns)
    slow = db.open(table, fields, columnwise=False)

    def row_by_row(*_: Any, **__: Any) -> Any:
        raise AssertionError("went row by row")

    fast = db.open(table, fields, writable=list(columns))
    with monkeypatch.context() as patch:
        patch.setattr(RowMaker, "row", row_by_row)
        patch.setattr(RowReader, "rows", row_by_row)
        created = [intent("create", None, record) for record in (first, second)]
        changed = [
            intent("update", Ref(key), {**record, "nr": int(key)})
            for key, record in (("1", second), ("2", first))
        ]
        for batch in (created, changed):
            assert {r.outcome for r in fast.write("people", batch)} == {"applied"}
        found = db.records(fast)
    assert told(found) == told(db.records(slow))
    assert [row["t"] for row in found] == [None, "Müller"]
    assert [row["m"] for row in found] == [second["m"], first["m"]]
