"""Fixed width: places, lengths, record types, children, round trips."""

import io
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as relaxed
from hypothesis import strategies as st

from moatbridge.errors import ConfigurationError
from moatbridge_sftp.formats import field_table, format_class, settings

FIXED = format_class("fixed")
COLUMNS = [
    {"name": "ID", "start": 1, "length": 5},
    {"name": "NAME", "start": 6, "length": 8},
    {"name": "PAY", "start": 14, "length": 7},
    {"name": "DAY", "start": 21, "length": 8},
]
FIELDS = {
    "ID": "text",
    "NAME": "text",
    "PAY": {"type": "decimal", "implied": 2},
    "DAY": {"type": "date", "pattern": "YYYYMMDD", "nulls": ["00000000"]},
}


def read(data, fields, start=None, **table):
    config, specs = settings(FIXED, table), field_table(fields)
    FIXED.check(specs, config)
    chunks = list(FIXED().read(io.BytesIO(data), specs, config, start))
    records = [record for chunk in chunks for record in chunk.records]
    return records, [each for chunk in chunks for each in chunk.bad], chunks


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_places_count_from_one_and_values_are_typed(end):
    data = end.join(
        ["00042Anna    001234520000131", "0004 Bernd   -00010000000000", ""]
    )
    records, bad, _ = read(data.encode(), FIELDS, columns=COLUMNS)
    assert bad == []
    assert records == [
        {
            "ID": "00042",
            "NAME": "Anna",
            "PAY": Decimal("123.45"),
            "DAY": date(2000, 1, 31),
        },
        {"ID": "0004", "NAME": "Bernd", "PAY": Decimal("-1.00"), "DAY": None},
    ]


def test_files_without_line_ends_are_cut_by_length():
    row = "00042Müller  001234520000131".encode("cp273")
    table = {
        "columns": COLUMNS,
        "newline": "none",
        "record_length": 28,
        "encoding": "cp273",
    }
    records, bad, chunks = read(row * 3, FIELDS, **table)
    assert ([each["NAME"] for each in records], bad) == (["Müller"] * 3, [])
    assert chunks[-1].position.offset == 84
    records, bad, _ = read(row * 2 + row[:9], FIELDS, **table)
    assert (len(records), [each.reason for each in bad]) == (2, ["length"])


def test_lengths_are_checked():
    short, long = b"00042Anna\n", b"00042Anna    001234520000131 more\n"
    assert [b.reason for b in read(short, FIELDS, columns=COLUMNS)[1]] == ["length"]
    assert read(long, FIELDS, columns=COLUMNS)[1] == []
    assert (
        read(long, FIELDS, columns=COLUMNS, record_length=28)[1][0].reason == "length"
    )
    records, _, _ = read(short, FIELDS, columns=COLUMNS, short_lines="pad")
    assert records == [{"ID": "00042", "NAME": "Anna", "PAY": None, "DAY": None}]


def test_bytes_and_characters_are_not_mixed_up():
    line = "00042Jörg    001234520000131\n".encode()
    assert read(line, FIELDS, columns=COLUMNS)[1][0].reason == "encoding"
    records, _, _ = read(line, FIELDS, columns=COLUMNS, unit="chars")
    assert records[0]["NAME"] == "Jörg"
    with pytest.raises(ConfigurationError):
        read(line, FIELDS, columns=COLUMNS, encoding="shift_jis")


TYPES = {
    "columns": [],
    "tag": {"start": 1, "length": 1},
    "types": {
        "H": {"role": "ignore"},
        "D": {
            "role": "detail",
            "columns": [{"name": "ID", "start": 2, "length": 3}],
        },
        "A": {
            "role": "child",
            "under": "addresses",
            "columns": [{"name": "CITY", "start": 2, "length": 6}],
        },
        "T": {"role": "ignore"},
    },
}
TYPED = {"ID": {"type": "integer"}, "addresses": "json"}


def test_children_are_nested_under_their_parent():
    data = b"H2020\nD001\nAGraz  \nALinz  \nD002\nT0002\n"
    records, bad, _ = read(data, TYPED, **TYPES)
    assert bad == []
    assert records == [
        {"ID": 1, "addresses": [{"CITY": "Graz"}, {"CITY": "Linz"}]},
        {"ID": 2, "addresses": []},
    ]


def test_an_unknown_tag_or_an_orphan_is_a_reject():
    records, bad, _ = read(b"AGraz  \nD001\nZ\nD0x2\nD003\n", TYPED, **TYPES)
    assert [each["ID"] for each in records] == [1, 3]
    assert [(each.number, each.reason) for each in bad] == [
        (1, "tag"),
        (3, "tag"),
        (4, "value"),
    ]


def test_resume_at_every_chunk_equals_an_unbroken_read():
    data = b"".join(
        b"D%03d\n" % (i % 1000) + b"AGraz  \n" * (i % 4) + b"D0x0\n" * (i % 90 == 0)
        for i in range(1500)
    )
    whole, bad, chunks = read(data, TYPED, **TYPES)
    assert (len(whole), len(bad)) == (1500, 17)
    seen = 0
    for chunk in chunks:
        seen += len(chunk.records)
        assert read(data, TYPED, chunk.position, **TYPES)[0] == whole[seen:]


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "ID": st.none() | st.text("0123456789", min_size=1, max_size=5),
                "NAME": st.none()
                | st.text("abcÄß'\", ", min_size=1, max_size=8).filter(
                    lambda text: text == text.rstrip()
                ),
                "PAY": st.none() | st.decimals(-9999, 99999, places=2),
                "DAY": st.none() | st.dates(),
            }
        ),
        max_size=6,
    ),
    st.sampled_from(
        [
            {"encoding": "cp1252"}, {"unit": "chars", "newline": "lf"},
            {"encoding": "cp273"}, {"encoding": "latin-1", "newline": "none"},
            {"encoding": "utf-16", "unit": "chars"},
        ]
    ),
)  # fmt: skip
@relaxed(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.too_slow])
def test_read_of_write_is_the_same(records, table):
    records = [each for each in records if any(v is not None for v in each.values())]
    table = {"columns": COLUMNS, "record_length": 28, **table}
    file = io.BytesIO()
    writer = FIXED().open_writer(file, field_table(FIELDS), settings(FIXED, table))
    refusals = writer.write(records)
    kept = [r for r, refusal in zip(records, refusals, strict=True) if refusal is None]
    assert read(file.getvalue(), FIELDS, **table)[:2] == (kept, [])


def test_a_value_wider_than_its_column_is_refused():
    file = io.BytesIO()
    table = settings(FIXED, {"columns": COLUMNS, "encoding": "cp1252"})
    writer = FIXED().open_writer(file, field_table(FIELDS), table)
    refusals = writer.write(
        [{"NAME": "much too long"}, {"NAME": "a\nb"}, {"NAME": "a "}, {"NAME": "Ł"}]
    )
    assert [each.field for each in refusals] == ["NAME"] * 4
    assert file.getvalue() == b""


@given(st.binary(max_size=60), st.integers(0, 200), st.booleans())
@relaxed(deadline=None, max_examples=150)
def test_mutated_input_gives_records_or_rejects(noise, place, typed):
    data = bytearray(b"H2020\nD001\nAGraz  \nD002\nT0002\n")
    place %= len(data)
    data[place : place + len(noise) // 2] = noise
    table = TYPES if typed else {"columns": COLUMNS}
    read(bytes(data), TYPED if typed else FIELDS, **table)


def test_discovery_cuts_at_common_blanks():
    head = b"".join(
        b"%05d  %-10s 20200%d01\n" % (i, b"Name%d" % i, i % 9 + 1) for i in range(9)
    )
    assert FIXED.sniff(head) > 0.5
    found = FIXED.suggest(head)
    assert [each["start"] for each in found["columns"]] == [1, 8, 19]
    fields = FIXED.fields(head, settings(FIXED, found))
    assert [spec.type for spec in fields.values()] == ["text", "text", "date"]
