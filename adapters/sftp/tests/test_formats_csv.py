"""CSV: typed, exact byte positions, nothing swallowed, round trips."""

import io
import string
import tracemalloc
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import settings as relaxed
from hypothesis import strategies as st

from moatbridge.errors import ConfigurationError
from moatbridge_sftp.formats import (
    BadFile,
    Position,
    field_table,
    format_class,
    settings,
)

CSV = format_class("csv")


def read(data, fields, start=None, **table):
    chunks = list(
        CSV().read(io.BytesIO(data), field_table(fields), settings(CSV, table), start)
    )
    records = [record for chunk in chunks for record in chunk.records]
    bad = [each for chunk in chunks for each in chunk.bad]
    return records, bad, chunks


def test_cells_become_typed_values_and_empty_is_null():
    data = (
        b"PERSNR;NAME;EINTRITT;GEHALT;AKTIV\r\n00042;M\xfcller;01.02.2003;-1234,50;1\r\n"
        b"00043;;;;0\r\n"
    )
    fields = {
        "PERSNR": "text",
        "NAME": "text",
        "EINTRITT": {"type": "date", "pattern": "DD.MM.YYYY"},
        "GEHALT": {"type": "decimal", "decimal_sep": ","},
        "AKTIV": "boolean",
    }
    records, bad, _ = read(data, fields, delimiter=";", encoding="cp1252")
    assert bad == []
    assert records == [
        {
            "PERSNR": "00042",
            "NAME": "Müller",
            "EINTRITT": date(2003, 2, 1),
            "GEHALT": Decimal("-1234.50"),
            "AKTIV": True,
        },
        {
            "PERSNR": "00043",
            "NAME": None,
            "EINTRITT": None,
            "GEHALT": None,
            "AKTIV": False,
        },
    ]


@pytest.mark.parametrize(
    ("spec", "text", "value"),
    [
        ({"type": "decimal", "implied": 2}, "0001234", Decimal("12.34")),
        ({"type": "decimal", "sign": "trailing"}, "12.50-", Decimal("-12.50")),
        (
            {"type": "decimal", "thousands_sep": ".", "decimal_sep": ","},
            "1.234.567,89",
            Decimal("1234567.89"),
        ),
        ({"type": "integer", "sign": "trailing"}, "5-", -5),
        (
            {"type": "date", "pattern": "YYYYMMDD", "nulls": ["00000000"]},
            "00000000",
            None,
        ),
        ({"type": "date", "pattern": "DD-MON-YYYY"}, "07-Mar-1999", date(1999, 3, 7)),
        ({"type": "date", "pattern": "YYDDD"}, "68366", date(2068, 12, 31)),
        (
            {"type": "datetime", "pattern": "DD.MM.YYYY HH:MM:SS"},
            "07.03.1999 11:12:13",
            datetime(1999, 3, 7, 11, 12, 13),  # noqa: DTZ001 - it has none
        ),
        (
            {"type": "datetime"},
            "1999-03-07T11:12:13Z",
            datetime(1999, 3, 7, 11, 12, 13, tzinfo=UTC),
        ),
        ({"type": "binary"}, "AAE=", b"\x00\x01"),
        ({"type": "binary", "pattern": "hex"}, "00ff", b"\x00\xff"),
        ({"type": "boolean", "true": "J", "false": "N"}, "j", True),
        ({"type": "text", "trim": True}, "  a ", "a"),
        ({"type": "text"}, "  a ", "  a "),
    ],
)
def test_each_type_reads_its_spellings(spec, text, value):
    records, bad, _ = read(f'X,Y\n"{text}",1\n'.encode(), {"X": spec})
    assert bad == []
    assert records == [{"X": value}]


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("integer", "1_0"), ("integer", "٣"), ("integer", "1.0"), ("integer", "9" * 4301),
        ("decimal", "NaN"), ("decimal", "1e5"), ("decimal", "Infinity"), ("decimal", "1_0"),
        ("decimal", "1,5"), ("date", "2020-W01-1"), ("date", "20200101"), ("date", "2020-02-30"),
        ({"type": "date", "pattern": "DD.MM.YYYY"}, "1.2.2003 "),
        ({"type": "date", "pattern": "DD.MM.YYYY"}, "+1.02.2003"),
        ({"type": "decimal", "thousands_sep": ","}, "1,23,456"),
        ("boolean", "maybe"), ("binary", "A"), ("datetime", "2020-01-01T25:00"),
        ({"type": "text", "required": True}, ""),
    ],
)  # fmt: skip
def test_what_is_not_of_the_type_is_a_reject_with_its_field(spec, text):
    data = f'X,Y\nok,1\n"{text}",2\n'.encode()
    records, bad, _ = read(data, {"X": spec, "Y": "integer"})
    last = bad[-1]
    assert (last.number, last.field) == (2, "X")
    assert last.reason == ("required" if not text else "value")
    assert last.raw == f'"{text}",2\n'.encode()
    assert data[last.offset :] == last.raw
    assert all(record["Y"] != 2 for record in records)


def test_a_bad_repr_shows_no_content():
    _, bad, chunks = read(b"X\nsecret\n", {"X": "integer"})
    assert "secret" not in repr(bad) + repr(chunks)


def test_an_unclosed_quote_costs_one_line_only():
    data = b'A,B\n1,x\n2,"y\n3,z\n4,w\n'
    records, bad, _ = read(data, {"A": "text", "B": "text"})
    assert [each["A"] for each in records] == ["1", "3", "4"]
    assert [(each.number, each.reason, each.raw) for each in bad] == [
        (2, "quote", b'2,"y\n')
    ]


def test_a_quote_that_runs_over_a_thousand_lines_costs_one_line_only():
    rest = b"".join(b"%d,z\n" % i for i in range(2000))
    records, bad, _ = read(b'A,B\n0,"y\n' + rest + b'9,"end"\n', {"A": "text"})
    assert len(records) == 2001
    assert [(each.number, each.reason) for each in bad] == [(1, "length")]


def test_text_behind_a_closing_quote_is_rejected_and_the_reader_goes_on():
    records, bad, _ = read(b'A,B\n1,"b"x\n2,c\n', {"A": "text", "B": "text"})
    assert records == [{"A": "2", "B": "c"}]
    assert [(each.number, each.reason) for each in bad] == [(1, "quote")]


def test_quoted_newlines_and_strange_line_separators_are_kept():
    text = "a\r\nb\u2028c\x85d\x1ce"
    data = f'A,B\n"{text}",1\n2,2\n'.encode()
    records, bad, chunks = read(data, {"A": "text", "B": "text"})
    assert (records[0]["A"], bad) == (text, [])
    assert chunks[-1].position == Position(2, len(data))


def test_only_the_record_with_a_broken_character_is_rejected():
    data = b"A,B\n1,\xc3\xa4\n2,\xff\n3,ok\n"
    records, bad, _ = read(data, {"A": "text", "B": "text"})
    assert [each["A"] for each in records] == ["1", "3"]
    assert [(each.reason, each.raw) for each in bad] == [("encoding", b"2,\xff\n")]


@pytest.mark.parametrize(
    ("row", "short", "good"),
    [
        (b"1,2,3\n", "reject", False),
        (b"1\n", "reject", False),
        (b"1\n", "empty", True),
        (b"1,2,3\n", "empty", False),
    ],
)
def test_too_many_or_few_cells(row, short, good):
    records, bad, _ = read(b"A,B\n" + row, {"A": "text", "B": "text"}, short_rows=short)
    assert (len(records), len(bad)) == ((1, 0) if good else (0, 1))
    assert good or bad[0].reason == "cells"


def test_blank_lines_are_skipped_and_not_counted():
    data = b"A,B\n\n1,2\n\r\n\n3,4\n5\n\n"
    records, bad, chunks = read(data, {"A": "text", "B": "text"})
    assert [each["A"] for each in records] == ["1", "3"]
    assert [each.number for each in bad] == [3]
    assert [n for chunk in chunks for n in chunk.numbers] == [1, 2]
    assert chunks[-1].position.record == 3


def test_a_bom_never_ends_in_the_first_header():
    for name in ("utf-8", "utf-8-sig", "cp1252"):
        records, _, _ = read(b"\xef\xbb\xbfA,B\n1,2\n", {"A": "text"}, encoding=name)
        assert records == [{"A": "1"}]


def test_a_spreadsheets_sep_line_is_understood():
    records, bad, _ = read(b"sep=;\r\nA;B\r\n1;2\r\n", {"B": "text"})
    assert (records, bad) == ([{"B": "2"}], [])


def test_the_header_may_differ_in_case_space_and_order():
    form, config = CSV(), settings(CSV, {})
    data, fields = b" b ,X,a\n2,9,1\n", field_table(["A", "B"])
    chunks = list(form.read(io.BytesIO(data), fields, config))
    assert chunks[0].records == [{"A": "1", "B": "2"}]
    assert form.unknown(io.BytesIO(data), fields, config) == ("X",)


@pytest.mark.parametrize("header", [b"A,C\n", b"A,B,b\n", b"", b'"A,B\n'])
def test_a_header_that_lacks_or_doubles_a_column_makes_a_bad_file(header):
    with pytest.raises(BadFile) as caught:
        read(header + b"1,2\n" if header else b"", ["A", "B"])
    assert caught.value.reason == "header"


@pytest.mark.parametrize(
    ("name", "newline", "end"),
    [
        ("utf-8", "lf", b"\n"), ("cp1252", "crlf", b"\r\n"), ("utf-8", "cr", b"\r"),
        ("latin-1", "nel", b"\x85"), ("cp037", "auto", b"\x15"), ("cp037", "auto", b"\x25"),
        ("cp273", "nel", b"\x15"), ("cp1047", "lf", b"\x25"), ("cp1140", "auto", b"\x15"),
    ],
)  # fmt: skip
def test_line_ends_and_mainframe_encodings(name, newline, end):
    from moatbridge_sftp.formats.encodings import encoding

    encoding(name)
    rows = ["A;B", "1;Müller", "2;x"]
    data = end.join(row.encode(name) for row in rows) + end
    records, bad, chunks = read(
        data,
        {"A": "integer", "B": "text"},
        delimiter=";",
        encoding=name,
        newline=newline,
    )
    assert bad == []
    assert records == [{"A": 1, "B": "Müller"}, {"A": 2, "B": "x"}]
    assert chunks[-1].position == Position(2, len(data))


@pytest.mark.parametrize("name", ["utf-16", "utf-16-le", "utf-32"])
def test_encodings_that_cannot_be_cut_are_read_and_resumed(name):
    text = "A,B\n" + "".join(f"{i},ä\u0a0d\n" for i in range(1200))
    data = text.encode(name)
    records, bad, chunks = read(data, {"A": "integer", "B": "text"}, encoding=name)
    assert ([each["A"] for each in records], bad) == (list(range(1200)), [])
    again, _, _ = read(
        data, {"A": "integer", "B": "text"}, chunks[0].position, encoding=name
    )
    assert [each["A"] for each in again] == list(range(500, 1200))


def test_an_unknown_encoding_is_a_settings_error():
    with pytest.raises(ConfigurationError) as caught:
        settings(CSV, {"encoding": "ebcdic-klingon"})
    assert caught.value.code == "sftp.format"


def test_a_field_over_the_csv_limit_or_a_record_over_max_record_is_rejected():
    wide = b"x" * 140_000
    data = b"A,B\n1," + wide + b"\n2,b\n"
    records, bad, _ = read(data, ["A", "B"])
    assert ([each["A"] for each in records], len(bad)) == (["2"], 1)
    records, bad, _ = read(data, ["A", "B"], max_record=1000)
    assert ([each["A"] for each in records], bad[0].reason) == (["2"], "length")
    assert len(bad[0].raw) <= 1000


def test_wide_rows_end_a_chunk_early():
    data = b"A,B\n" + b"".join(b"%d,%s\n" % (i, b"x" * 50_000) for i in range(200))
    _, bad, chunks = read(data, ["A"])
    assert bad == []
    assert max(len(chunk.records) for chunk in chunks) <= 50
    assert sum(len(chunk.records) for chunk in chunks) == 200


def messy_file():
    rows = []
    for i in range(1700):
        rows.append(f'{i},"line\none",{i}.50')
        if i % 97 == 0:
            rows.append("")
        if i % 131 == 0:
            rows.append(f"{i},x,not a number")
        if i % 251 == 0:
            rows.append(f'{i},"y"z,1')
        if i % 499 == 0:
            rows.append(f'{i},"open,1')
    return ("A,B,C\n" + "\n".join(rows)).encode()


def test_resume_at_every_chunk_equals_an_unbroken_read():
    data, fields = messy_file(), {"A": "text", "B": "text", "C": "decimal"}
    whole, bad, chunks = read(data, fields)
    assert len(chunks) > 3
    seen_records, seen_bad = 0, 0
    for chunk in chunks:
        seen_records += len(chunk.records)
        seen_bad += len(chunk.bad)
        rest, rest_bad, _ = read(data, fields, chunk.position)
        assert rest == whole[seen_records:]
        assert rest_bad == bad[seen_bad:]
    for each in bad:
        assert data[each.offset : each.offset + len(each.raw)] == each.raw


@given(
    st.binary(max_size=300), st.integers(0, 200), st.sampled_from(["utf-8", "cp037"])
)
@relaxed(deadline=None, max_examples=200)
def test_mutated_input_raises_only_bad_file(noise, place, name):
    data = bytearray(b'A,B,C\n1,"x\ny",2.50\n2,b,3\n3,c,4\n')
    place %= len(data)
    data[place : place + len(noise) // 2] = noise
    fields = {"A": "text", "B": "text", "C": "decimal"}
    try:
        _, bad, chunks = read(bytes(data), fields, encoding=name)
    except BadFile:
        return
    numbers = sorted(
        [n for chunk in chunks for n in chunk.numbers] + [each.number for each in bad]
    )
    assert numbers == list(range(1, len(numbers) + 1))


def test_field_names_never_become_code():
    evil = "'];__import__('os').abort();['"
    records, bad, _ = read(
        f'"{evil}",B\n1,2\n'.encode(), {evil: "integer", "B": "text"}
    )
    assert (records, bad) == ([{evil: 1, "B": "2"}], [])


@pytest.mark.parametrize("pattern", ["DD.MM", "YYYYQQ", "YYYY-MM-DD HH", "DD.DD.YYYY"])
def test_a_pattern_that_is_no_date_is_a_settings_error(pattern):
    with pytest.raises(ValueError, match="pattern"):
        field_table({"X": {"type": "date", "pattern": pattern}})


def test_discovery_sees_delimiter_encoding_header_and_types():
    rows = "PERSNR;NAME;AB;GEHALT;N\r\n" + "".join(
        f"{i:05d};Müller {i};{i % 28 + 1:02d}.02.2003;{i},50;{'X' * i}\r\n"
        for i in range(1, 40)
    )
    head = rows.encode("cp1252")
    assert CSV.sniff(head) > 0.8
    found = CSV.suggest(head)
    assert found == {"delimiter": ";", "encoding": "cp1252"}
    fields = CSV.fields(head, settings(CSV, found))
    assert [spec.type for spec in fields.values()] == [
        "text", "text", "date", "decimal", "text",
    ]  # fmt: skip
    assert fields["AB"].pattern == "DD.MM.YYYY"
    assert fields["GEHALT"].decimal_sep == ","
    assert CSV.sniff(b"\x00\x01" + string.ascii_letters.encode()) < 0.5


def test_memory_stays_flat_whatever_the_size():
    row = b"%d;Anna Beispiel;some text that fills the row;12.50\n"
    data = b"A;B;C;D\n" + b"".join(row % i for i in range(120_000))
    file, fields = io.BytesIO(data), field_table({"A": "integer", "D": "decimal"})
    tracemalloc.start()
    count = 0
    for chunk in CSV().read(file, fields, settings(CSV, {"delimiter": ";"})):
        count += len(chunk.records)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 120_000
    assert peak < 3 << 20
