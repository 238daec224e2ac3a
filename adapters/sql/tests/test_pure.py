"""Keys, cursors, values and error maps: pure parts, by property."""

# ruff: noqa: DTZ001 - columns without a zone hold naive date-times

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moatbridge.changes import Ref
from moatbridge.errors import (
    ConfigurationError,
    CursorTooOld,
    MoatbridgeError,
    NotApplied,
    Rejected,
)
from moatbridge_sql import Condition, Deleted
from moatbridge_sql._cursors import (
    PollCursor,
    before,
    is_future,
    later,
    ranges,
    scan_cursor,
    scan_position,
)
from moatbridge_sql._encode import encode
from moatbridge_sql._faults import (
    Fault,
    by_mysql_number,
    by_sqlite_code,
    by_sqlstate,
    error_of,
)
from moatbridge_sql._keys import canonical, from_json, raw_key, ref_id, to_json
from moatbridge_sql._schema import Column, Selection, Table
from moatbridge_sql._types import type_rule
from moatbridge_sql._values import Rules, ValueFault, decoder

SAME_EVERY_TIME = settings(derandomize=True, deadline=None)
TEXT = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20
)
FINITE = st.decimals(
    allow_nan=False, allow_infinity=False, places=3, min_value=-(10**9), max_value=10**9
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "int": st.integers(-(2**63) + 1, 2**63 - 1),
    "decimal": FINITE,
    "text": TEXT,
    "date": st.dates(date(2, 1, 1), date(9998, 1, 1)),
    "time": st.times(),
    "datetime": st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1)),
    "zoned": st.datetimes(
        datetime(2, 1, 1), datetime(9998, 1, 1), timezones=st.just(UTC)
    ),
    "uuid": st.uuids().map(str),
    "bytes": st.binary(max_size=20),
    "bool": st.booleans(),
}


@st.composite
def column_values(draw: st.DrawFn) -> tuple[Column, Any, Any]:
    kind: Any = draw(st.sampled_from(sorted(VALUES)))
    return (
        Column("k", kind, bits=63 if kind == "int" else None),
        draw(VALUES[kind]),
        draw(VALUES[kind]),
    )


@SAME_EVERY_TIME
@given(column_values())
def test_key_text_is_injective_and_reads_back(case: tuple[Column, Any, Any]) -> None:
    column, one, other = case
    assert (canonical(column, one) == canonical(column, other)) == (one == other)
    (back,) = raw_key((column,), Ref(canonical(column, one))) or (None,)
    assert back == one


@SAME_EVERY_TIME
@given(st.lists(column_values(), min_size=2, max_size=4))
def test_compound_keys_read_back(cases: list[tuple[Column, Any, Any]]) -> None:
    columns = tuple(case[0] for case in cases)
    key = tuple(case[1] for case in cases)
    ref = Ref(ref_id(columns, key))
    assert raw_key(columns, Ref.from_key(ref.key)) == key
    assert raw_key(columns, Ref("x")) is None


def test_one_number_is_one_ref() -> None:
    exact, char = Column("k", "decimal", scale=0), Column("k", "char", padded=True)
    texts = {
        canonical(exact, 100001),
        canonical(exact, Decimal(100001)),
        canonical(exact, Decimal("1.00001E5")),
        canonical(exact, "100001 "),
        canonical(char, "100001 "),
        canonical(Column("k", "int"), 100001.0),
    }
    assert texts == {"100001"}
    assert canonical(Column("k", "uuid"), UUID(int=255)) == canonical(
        Column("k", "uuid"), UUID(int=255).bytes
    )


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("int", "1e3"),
        ("int", "٣"),
        ("int", "007"),
        ("int", "99999999999999999999"),
        ("int", ""),
        ("decimal", "NaN"),
        ("decimal", "x"),
        ("date", "gestern"),
        ("uuid", "x"),
        ("bytes", "0x"),
        ("text", "a\0b"),
        ("text", "\ud800"),
        ("bool", "yes"),
    ],
)
def test_ids_that_no_row_can_have(kind: Any, text: str) -> None:
    assert raw_key((Column("k", kind, bits=31),), Ref(text)) is None


@SAME_EVERY_TIME
@given(
    st.lists(
        st.one_of(
            *VALUES.values(),
            st.none(),
            st.floats(allow_nan=False, allow_infinity=False),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_scan_cursors_survive_json_exactly(key: list[Any]) -> None:
    cursor = json.loads(json.dumps(scan_cursor(tuple(key))))
    assert scan_position(cursor, len(key)) == tuple(key)


@SAME_EVERY_TIME
@given(
    st.one_of(st.none(), TEXT),
    st.one_of(st.none(), TEXT),
    st.one_of(st.none(), TEXT),
    st.lists(VALUES["decimal"], min_size=1, max_size=3),
)
def test_poll_cursors_survive_json_exactly(
    start: Any, newest: Any, text: Any, key: list[Any]
) -> None:
    cursor = PollCursor(start, newest, text, None if text is None else tuple(key))
    assert PollCursor.unpack(json.loads(json.dumps(cursor.pack())), len(key)) == cursor


@SAME_EVERY_TIME
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["mode", "start", "newest", "pos", "t", "n"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=8,
    )
)
def test_any_json_as_a_cursor_is_taken_or_refused_typed(cursor: Any) -> None:
    for read in (
        lambda: PollCursor.unpack(cursor, 1),
        lambda: scan_position(cursor, 1),
        lambda: from_json(cursor),
    ):
        try:
            read()
        except CursorTooOld:
            continue


@SAME_EVERY_TIME
@given(
    st.datetimes(datetime(1000, 1, 1), datetime(9000, 1, 1)),
    st.integers(0, 10**6),
    st.sampled_from([" ", "T"]),
    st.sampled_from(["", "Z", "+02:00"]),
)
def test_the_overlap_keeps_the_form_of_the_text(
    moment: datetime, seconds: int, separator: str, zone: str
) -> None:
    text = moment.isoformat(separator) + zone
    start = before(text, seconds)
    assert start is not None
    assert datetime.fromisoformat(text) - datetime.fromisoformat(start) == timedelta(
        seconds=seconds
    )
    assert start[10] == separator
    assert start.endswith(zone)
    assert later(start, text) == text


@SAME_EVERY_TIME
@given(st.integers(-(10**20), 10**20), st.integers(0, 10**6))
def test_the_overlap_of_numbers_is_exact(value: int, overlap: int) -> None:
    assert before(str(value), overlap) == str(value - overlap)


def test_overlap_of_what_is_no_time_starts_at_the_beginning() -> None:
    assert before("gestern", None) is None
    assert before(None, None) is None
    assert before("2024-03-01", None) == "2024-02-29"
    assert is_future("2024-01-02 00:00:00", "2024-01-01 10:00:00")
    assert not is_future("5", "2024-01-01 10:00:00")
    assert not is_future("2099-01-01", None)


@SAME_EVERY_TIME
@given(st.integers(-(10**6), 10**6), st.integers(0, 10**4), st.integers(2, 9))
def test_ranges_cover_every_number_once(low: int, width: int, wanted: int) -> None:
    found = [spec or [None, None] for _, spec in ranges(low, low + width, wanted)]
    assert len(found) <= wanted
    for number in (low - 1, low, low + width // 2, low + width, low + width + 1):
        assert (
            sum(
                (a is None or a <= number) and (b is None or number < b)
                for a, b in found
            )
            == 1
        )


@SAME_EVERY_TIME
@given(column_values())
def test_what_is_decoded_can_be_written(case: tuple[Column, Any, Any]) -> None:
    column, value, _ = case
    decode = decoder(column, Rules(loose=True, limit=10**6))
    seen = decode(value) if decode else value
    again = encode(column, seen)
    assert again == value
    if not isinstance(value, bytes | Decimal):
        shown = value.isoformat() if hasattr(value, "isoformat") else value
        assert encode(column, shown) == value


@SAME_EVERY_TIME
@given(
    st.sampled_from(
        [
            "int",
            "decimal",
            "float",
            "bool",
            "text",
            "char",
            "date",
            "time",
            "datetime",
            "zoned",
            "interval",
            "uuid",
            "bytes",
            "json",
            "array",
            "any",
        ]
    ),
    st.one_of(
        st.none(),
        st.text(max_size=5),
        st.binary(max_size=20),
        st.floats(),
        st.integers(),
        st.decimals(),
        st.dates(),
        st.times(),
        st.datetimes(),
        st.timedeltas(),
        st.lists(st.integers(), max_size=2),
        st.dictionaries(st.text(max_size=1), st.integers(), max_size=1),
        st.booleans(),
    ),
)
def test_any_value_is_converted_or_a_value_fault(kind: Any, value: Any) -> None:
    column = Column("c", kind)
    decode = decoder(column, Rules(loose=True))
    assert decode is not None
    for convert in (decode, lambda v: encode(column, v)):
        try:
            found = convert(value) if value is not None else None
        except ValueFault:
            continue
        if isinstance(found, float) and kind not in ("any", "json"):
            assert math.isfinite(found)


def test_dates_that_mean_never_need_nulls() -> None:
    column = Column("c", "date")
    for value in (date(9999, 12, 31), date(1, 1, 1), "0000-00-00"):
        with pytest.raises(ValueFault):
            decoder(column, Rules())(value)  # type: ignore[misc]
    nulled = decoder(column, Rules(nulls=("9999-12-31", "0000-00-00")))
    assert nulled is not None
    assert [
        nulled(date(9999, 12, 31)),
        nulled("0000-00-00"),
        nulled(date(2024, 1, 1)),
    ] == [None, None, date(2024, 1, 1)]


def test_type_rules_go_both_ways() -> None:
    flag, day = type_rule("bool:J/N", "f"), type_rule("date:%d.%m.%Y", "d")
    assert flag.decode
    assert flag.encode
    assert [
        flag.decode("J"),
        flag.decode("N "),
        flag.encode(1),
        flag.encode(0),
    ] == [1, 0, "J", "N"]
    assert day.decode
    assert day.encode
    assert day.decode("29.02.2024") == date(2024, 2, 29)
    assert day.encode(date(2024, 2, 29)) == "29.02.2024"
    for wrong in ("bool", "bool:J", "date:", "roman", "float:x"):
        with pytest.raises(ConfigurationError, match=r"sql\.types"):
            type_rule(wrong, "f")


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("08006", "unreachable"),
        ("53300", "unreachable"),
        ("57P01", "unreachable"),
        ("28P01", "auth"),
        ("3D000", "auth"),
        ("42501", "rights"),
        ("25006", "rights"),
        ("42P01", "schema"),
        ("42703", "schema"),
        ("57014", "busy"),
        ("55P03", "busy"),
        ("40P01", "busy"),
        ("40001", "busy"),
        ("53100", "full"),
        ("XX001", "corrupt"),
        ("22P02", "value"),
        ("23505", "constraint"),
        ("P0001", "rule"),
        ("99999", "unmapped"),
    ],
)
def test_sqlstates(state: str, kind: str) -> None:
    assert by_sqlstate(state) == kind


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (2002, "unreachable"),
        (2006, "unreachable"),
        (2013, "unreachable"),
        (1040, "unreachable"),
        (1045, "auth"),
        (1049, "auth"),
        (1142, "rights"),
        (1290, "rights"),
        (1792, "rights"),
        (1146, "schema"),
        (1054, "schema"),
        (1205, "busy"),
        (1213, "busy"),
        (1969, "busy"),
        (3024, "busy"),
        (1021, "full"),
        (1048, "constraint"),
        (1062, "constraint"),
        (1451, "constraint"),
        (1452, "constraint"),
        (3819, "constraint"),
        (4025, "constraint"),
        (1264, "value"),
        (1292, "value"),
        (1406, "value"),
        (1644, "rule"),
        (9999, "unmapped"),
    ],
)
def test_mysql_numbers(number: int, kind: str) -> None:
    assert by_mysql_number(number) == kind


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (5, "busy"),
        (261, "busy"),
        (8, "rights"),
        (11, "corrupt"),
        (26, "corrupt"),
        (13, "full"),
        (10, "full"),
        (2067, "constraint"),
        (1811, "rule"),
        (19, "constraint"),
        (20, "value"),
        (1, "unmapped"),
    ],
)
def test_sqlite_codes(code: int, kind: str) -> None:
    assert by_sqlite_code(code) == kind


@pytest.mark.parametrize(
    ("kind", "error", "code"),
    [
        ("unreachable", NotApplied, "sql.unreachable"),
        ("auth", ConfigurationError, "sql.auth"),
        ("tls", ConfigurationError, "net.tls.server"),
        ("rights", ConfigurationError, "sql.rights"),
        ("schema", ConfigurationError, "sql.schema-changed"),
        ("busy", NotApplied, "sql.busy"),
        ("full", NotApplied, "sql.full"),
        ("corrupt", ConfigurationError, "sql.corrupt"),
        ("constraint", Rejected, "sql.constraint"),
        ("value", Rejected, "sql.value"),
        ("rule", Rejected, "sql.rule"),
        ("unmapped", NotApplied, "sql.unmapped"),
    ],
)
def test_faults_become_public_errors(
    kind: Any, error: type[MoatbridgeError], code: str
) -> None:
    found = error_of(Fault(kind, "12345", constraint="uq_login"))
    assert type(found) is error
    assert found.code == code
    assert "12345, constraint uq_login" in str(found)
    waits = {"full": 60.0}  # when to try an unreachable one again, the core decides
    assert getattr(found, "retry_after", None) == waits.get(kind)


COLUMNS = (
    Column("PERS NR", "int", nullable=False, bits=31),
    Column("abt", "text", nullable=False, length=4),
    Column("E-Mail", "text", length=90),
    Column("weg", "char", length=1),
    Column("stand", "datetime"),
)
TABLE = Table("hr", "personal", COLUMNS, ("PERS NR", "abt"), (("PERS NR", "abt"),))


@pytest.mark.parametrize("name", ["mssql+pyodbc", "oracle+oracledb"])
def test_statements_for_servers_we_do_not_run(name: str) -> None:
    """Compiled against the dialect; the form is pinned, no server has seen it."""
    from sqlalchemy.dialects import mssql, oracle

    from moatbridge_sql import SqlConfig
    from moatbridge_sql._database import PagePlan
    from moatbridge_sql.engine._dialect import GenericDialect
    from moatbridge_sql.engine._statements import Statements

    dialect = mssql.dialect() if name.startswith("mssql") else oracle.dialect()
    config = SqlConfig(url=f"{name}://u@h/d", insecure_cleartext=True)
    selection = Selection(
        TABLE,
        ("E-Mail",),
        ("PERS NR", "abt"),
        (Condition(column="abt", op="!=", value="X"),),
        Deleted(column="weg", value="J"),
        cursor="stand",
    )
    statements = Statements(selection, GenericDialect(config, read_only=True))
    page = str(
        statements.page(PagePlan(selection, 10, after=(5, "A")), 10).compile(
            dialect=dialect
        )
    )
    q = ("[", "]") if name.startswith("mssql") else ('"', '"')
    key = f"hr.personal.{q[0]}PERS NR{q[1]}"
    assert f"{key} >= " in page
    assert f"({key} > " in page
    assert "OFFSET" not in page
    assert "ORDER BY" in page
    assert (
        ("TOP 10" in page or "TOP " in page)
        if name.startswith("mssql")
        else "FETCH FIRST" in page
    )
    poll = str(
        statements.page(
            PagePlan(selection, 10, poll=True, cursor_from="2024-01-01"), 10
        ).compile(dialect=dialect)
    )
    assert "CAST(" in poll
    assert "ORDER BY hr.personal.stand" in poll
    assert "OFFSET" not in page + poll
    assert to_json(time(1)) == {"h": "01:00:00"}


@pytest.mark.parametrize("digits", ["1e30", "12345678901234567890123456789012345678"])
def test_a_whole_number_may_have_more_digits_than_pythons_context(digits: str) -> None:
    column = Column("n", "decimal", scale=0)
    assert encode(column, digits) == Decimal(digits)
    with pytest.raises(ValueFault, match="not-an-integer"):
        encode(column, "12345678901234567890123456789012.5")
