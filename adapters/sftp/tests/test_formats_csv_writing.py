"""CSV written: read(write(x)) is x, and what would not come back is refused."""

import io
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as relaxed
from hypothesis import strategies as st

from moatbridge_sftp.formats import (
    field_table,
    format_class,
    settings,
)

CSV = format_class("csv")
NAIVE = datetime(2020, 1, 1)  # noqa: DTZ001 - files hold such times


def read(data, fields, start=None, **table):
    chunks = list(
        CSV().read(io.BytesIO(data), field_table(fields), settings(CSV, table), start)
    )
    records = [record for chunk in chunks for record in chunk.records]
    bad = [each for chunk in chunks for each in chunk.bad]
    return records, bad, chunks


def written(records, fields, **table):
    file = io.BytesIO()
    writer = CSV().open_writer(file, field_table(fields), settings(CSV, table))
    refusals = writer.write(records)
    writer.close()
    return file.getvalue(), refusals


cells = st.one_of(
    st.none(),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12),
    st.text(" \"'\n\r;,=+-@\t\\\u2028a", min_size=1, max_size=8),
)
typed_records = st.fixed_dictionaries(
    {
        "text": cells,
        "number": st.none() | st.integers(-(10**20), 10**20),
        "money": st.none() | st.decimals(-(10**9), 10**9, places=2, allow_nan=False),
        "day": st.none() | st.dates(date(1, 1, 1)),
        "moment": st.none() | st.datetimes(),
        "flag": st.none() | st.booleans(),
        "blob": st.none() | st.binary(min_size=1, max_size=8),
        "code": cells,
    }
)
TYPED = {
    "text": "text",
    "number": {"type": "integer", "sign": "trailing"},
    "money": {"type": "decimal", "decimal_sep": ",", "implied": 2},
    "day": {"type": "date", "pattern": "DD.MM.YYYY"},
    "moment": {"type": "datetime"},
    "flag": {"type": "boolean", "true": "J", "false": "N"},
    "blob": {"type": "binary", "pattern": "hex"},
    "code": "text",
}
tables = st.fixed_dictionaries(
    {
        "delimiter": st.sampled_from([",", ";", "\t", "|"]),
        "quote": st.sampled_from(['"', "'"]),
        "escape": st.sampled_from([None, "\\"]),
        "newline": st.sampled_from(["auto", "lf", "crlf", "cr"]),
        "quoting": st.sampled_from(["minimal", "all"]),
        "formula_guard": st.sampled_from(["off", "escape"]),
        "encoding": st.sampled_from(["utf-8", "utf-16-le", "gb18030", "utf-8-sig"]),
        "header": st.booleans(),
    }
)


@given(st.lists(typed_records, max_size=8), tables)
@relaxed(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_read_of_write_is_the_same_for_every_option(records, table):
    if not table["header"]:
        table["columns"] = list(TYPED)
    data, refusals = written(records, TYPED, **table)
    kept = [r for r, refusal in zip(records, refusals, strict=True) if refusal is None]
    back, bad, _ = read(data, TYPED, **table)
    assert (back, bad) == (kept, [])
    for refusal in filter(None, refusals):
        assert refusal.field in TYPED


def test_a_formula_is_escaped_and_restored_and_numbers_are_left_alone():
    records = [{"X": text} for text in ("=1+1", "-5", "+43 1 234", "'=x", "@a", "'y")]
    data, _ = written(records, ["X"], formula_guard="escape", newline="lf")
    assert data == b"X\n'=1+1\n-5\n+43 1 234\n''=x\n'@a\n'y\n"
    assert read(data, ["X"], formula_guard="escape")[0] == records
    _, refusals = written(records, ["X"], formula_guard="reject")
    assert [bool(each) for each in refusals] == [True, False, False, True, True, False]


def test_full_width_signs_and_line_feeds_are_guarded_as_the_plain_ones_are():
    texts = ("\uff1d1+1", "\uff0bx", "\uff0dx", "\uff20x", "\n=1+1")
    records = [{"X": text} for text in texts]
    data, _ = written(records, ["X"], formula_guard="escape", newline="lf")
    assert data.decode().count("'") == len(texts)
    assert read(data, ["X"], formula_guard="escape")[0] == records


def test_what_an_encoding_cannot_carry_is_refused_with_its_code_point():
    data, refusals = written(
        [{"X": "Łódź"}, {"X": "ok"}], ["X"], encoding="cp1252", newline="lf"
    )
    assert refusals[0] is not None
    assert refusals[0].field == "X"
    assert "U+0141" in refusals[0].reason
    assert "Ł" not in refusals[0].reason
    assert data == b"X\nok\n"


@pytest.mark.parametrize(
    ("spec", "value"),
    [
        ("integer", "1"), ("integer", True), ("text", 1), ("date", NAIVE),
        ("decimal", Decimal("NaN")), ({"type": "decimal", "implied": 2}, Decimal("0.001")),
        ({"type": "text", "nulls": ["NULL"]}, "NULL"), ({"type": "text", "required": True}, None),
        ({"type": "date", "pattern": "DD.MM.YY"}, date(1950, 1, 1)),
        ({"type": "datetime", "pattern": "YYYYMMDDHHMI"}, NAIVE.replace(second=1)),
        ({"type": "datetime", "zone": "Europe/Vienna"}, NAIVE),
        (
            {"type": "datetime", "zone": "Europe/Vienna"},
            datetime(2024, 10, 27, 1, 30, tzinfo=UTC),
        ),
        ("binary", "x"), ("boolean", 1),
    ],
)  # fmt: skip
def test_a_writer_refuses_what_would_not_come_back(spec, value):
    _, refusals = written([{"X": value}], {"X": spec})
    assert refusals[0] is not None
    assert refusals[0].field == "X"


def test_times_of_a_zone_come_back_with_it():
    spec = {"type": "datetime", "pattern": "YYYY-MM-DD HH:MI", "zone": "Europe/Vienna"}
    moment = datetime(2024, 7, 1, 10, 0, tzinfo=UTC)
    data, refusals = written([{"X": moment}], {"X": spec}, newline="lf")
    assert (data, refusals) == (b"X\n2024-07-01 12:00\n", [None])
    assert read(data, {"X": spec})[0] == [{"X": moment}]
