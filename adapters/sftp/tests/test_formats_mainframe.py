"""Copybooks and the numbers of mainframes: packed, zoned, binary, varying records."""

import io
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import settings as relaxed
from hypothesis import strategies as st

from moatbridge.errors import ConfigurationError
from moatbridge_sftp.formats import BadFile, field_table, format_class, settings
from moatbridge_sftp.formats.copybook_parse import Item, parse
from moatbridge_sftp.formats.mainframe_numbers import number, packed

COPYBOOK = format_class("copybook")

TEXT = """
000100* A COMMENT
000200 01  EMPLOYEE-RECORD.
000300     05  EMP-ID            PIC 9(5).
000400     05  EMP-NAME          PIC X(10).
000500     05  SALARY            PIC S9(5)V99 COMP-3.
000600     05  BALANCE           PIC S9(4)V9.
000700     05  HEADS             PIC S9(4) COMP.
000800     05  DELTA             PIC S9(3) SIGN IS LEADING
000810                       SEPARATE CHARACTER.
000900     05  KIND              PIC X.
001000         88  IS-A          VALUE 'A.B'.
001100     05  DETAIL-A.
001200         10  CODE-A        PIC X(4).
001300     05  DETAIL-B REDEFINES DETAIL-A.
001400         10  AMOUNT-B      PIC S9(7) COMP-3.
001500     05  FILLER            PIC X(2) VALUE SPACES.
001600     05  PHONE OCCURS 2 TIMES INDEXED BY I.
001700         10  NUM           PIC 9(3).
"""
TABLE = {
    "text": TEXT,
    "redefines": {
        "DETAIL-A": {"field": "KIND", "value": "A"},
        "DETAIL-B": {"field": "KIND", "value": "B"},
    },
}
FIELDS = {
    "id": {"from": "EMP-ID"},
    "name": {"from": "EMP-NAME"},
    "salary": {"from": "SALARY", "type": "decimal"},
    "balance": {"from": "BALANCE", "type": "decimal"},
    "heads": {"from": "heads", "type": "integer"},
    "delta": {"from": "DELTA", "type": "integer"},
    "code": {"from": "CODE-A"},
    "amount": {"from": "DETAIL-B.AMOUNT-B", "type": "integer"},
    "phones": {"from": "PHONE", "type": "json"},
}


def row(i, kind="A", salary=b"\x12\x34\x56\x7c"):
    detail = "CODE".encode("cp037") if kind == "A" else b"\x00\x00\x12\x3d"
    return (
        f"{i:05d}{'Müller':<10}".encode("cp037")
        + salary
        + b"\xf0\xf0\xf1\xf2\xd3"
        + (-7).to_bytes(2, "big", signed=True)
        + "-012".encode("cp037")
        + kind.encode("cp037")
        + detail
        + "  123456".encode("cp037")
    )


def read(data, fields=FIELDS, start=None, **table):
    table = TABLE | table
    config, specs = settings(COPYBOOK, table), field_table(fields)
    COPYBOOK.check(specs, config)
    chunks = list(COPYBOOK().read(io.BytesIO(data), specs, config, start))
    records = [record for chunk in chunks for record in chunk.records]
    return records, [each for chunk in chunks for each in chunk.bad], chunks


def test_a_record_of_every_kind_of_item():
    records, bad, chunks = read(row(42) + row(43, "B"))
    assert bad == []
    assert records[0] == {
        "id": "00042",
        "name": "Müller",
        "salary": Decimal("12345.67"),
        "balance": Decimal("-12.3"),
        "heads": -7,
        "delta": -12,
        "code": "CODE",
        "amount": None,
        "phones": [{"NUM": 123}, {"NUM": 456}],
    }
    assert (records[1]["code"], records[1]["amount"]) == (None, -123)
    assert chunks[-1].position.offset == 2 * len(row(1))


def test_a_broken_number_is_a_reject_with_its_item():
    records, bad, _ = read(row(1) + row(2, salary=b"\x12\x3a\x56\x7c") + row(3))
    assert [each["id"] for each in records] == ["00001", "00003"]
    assert [(each.number, each.reason, each.field) for each in bad] == [
        (2, "value", "SALARY")
    ]


def test_what_is_not_asked_for_is_not_looked_at():
    records, bad, _ = read(row(1, salary=b"\xff" * 4), {"id": {"from": "EMP-ID"}})
    assert (records, bad) == ([{"id": "00001"}], [])


def test_a_file_sent_in_text_mode_is_a_bad_file_that_says_so():
    broken = row(2, salary=b"\x12\x0d\x0a\x7c")
    with pytest.raises(BadFile) as caught:
        read(broken * 30)
    assert caught.value.reason == "text-mode"
    with pytest.raises(BadFile) as caught:
        read(row(1) + b"\r\n" + row(2))
    assert caught.value.reason == "record-length"


def rdw(raw):
    return (len(raw) + 4).to_bytes(2, "big") + b"\0\0" + raw


VARYING = """
 01  R.
     05  N      PIC 9.
     05  T OCCURS 0 TO 5 TIMES DEPENDING ON N.
         10  V  PIC 99.
     05  LAST-ONE   PIC X.
"""
VARYING_FIELDS = {"n": {"from": "N", "type": "integer"}, "t": {"from": "T", "type": "json"},
                  "last": {"from": "LAST-ONE"}}  # fmt: skip


def varying(count):
    return (f"{count}" + "".join(f"{i:02d}" for i in range(count)) + "x").encode(
        "cp037"
    )


@pytest.mark.parametrize("records", ["fixed", "rdw", "bdw"])
def test_records_of_varying_length(records):
    raws = [varying(i % 6) for i in range(1300)]
    if records == "fixed":
        data = b"".join(raws)
    elif records == "rdw":
        data = b"".join(map(rdw, raws))
    else:
        blocks = [b"".join(map(rdw, raws[i : i + 7])) for i in range(0, len(raws), 7)]
        data = b"".join(map(rdw, blocks))
    table = {"text": VARYING, "records": records, "redefines": {}}
    found, bad, chunks = read(data, VARYING_FIELDS, **table)
    assert bad == []
    assert [each["n"] for each in found] == [i % 6 for i in range(1300)]
    assert found[3]["t"] == [{"V": 0}, {"V": 1}, {"V": 2}]
    assert {each["last"] for each in found} == {"x"}
    seen = 0
    for chunk in chunks:
        seen += len(chunk.records)
        assert read(data, VARYING_FIELDS, chunk.position, **table)[0] == found[seen:]
    for cut in (1, 3, 5):
        with pytest.raises(BadFile):
            read(data[:-cut], VARYING_FIELDS, **table)


def test_a_count_beyond_its_table_is_a_reject():
    data = rdw(varying(2)) + rdw("9x".encode("cp037")) + rdw(varying(0))
    table = {"text": VARYING, "records": "rdw", "redefines": {}}
    found, bad, _ = read(data, VARYING_FIELDS, **table)
    assert ([each["n"] for each in found], [each.number for each in bad]) == (
        [2, 0],
        [2],
    )


@given(
    st.integers(-(10**9) + 1, 10**9 - 1),
    st.integers(9, 18),
    st.booleans(),
    st.booleans(),
)
@relaxed(max_examples=200)
def test_zoned_packed_and_binary_numbers_read_back(value, digits, mainframe, separate):
    picture = Item(5, "N", digits + separate, digits, signed=True, separate=separate)
    assert (
        number(zone(value, digits, mainframe, separate), picture, mainframe=mainframe)
        == value
    )
    text = f"{abs(value):0{digits | 1}d}" + ("d" if value < 0 else "c")
    assert packed(bytes.fromhex(text)) == value
    binary = Item(5, "N", 8, digits, signed=True, usage="binary")
    assert (
        number(value.to_bytes(8, "big", signed=True), binary, mainframe=True) == value
    )


def zone(value, digits, mainframe, separate):
    """An encoder of our own, to hold the decoder against."""
    text = f"{abs(value):0{digits}d}"
    sign = "-" if value < 0 else "+"
    if separate:
        return (text + sign).encode("cp037" if mainframe else "ascii")
    last = int(text[-1])
    if mainframe:
        return text[:-1].encode("cp037") + bytes([(0xD0 if value < 0 else 0xC0) | last])
    return (text[:-1] + ("}JKLMNOPQR" if value < 0 else "{ABCDEFGHI")[last]).encode()


@pytest.mark.parametrize(
    ("raw", "item"),
    [
        (b"\xf1\xf2\xa3", Item(5, "N", 3, 3)), (b"\xf1\xff\xf3", Item(5, "N", 3, 3)),
        (b"\xf1\xf2\xd3", Item(5, "N", 3, 3)), (b"\xf1\xf2\x13", Item(5, "N", 3, 3, signed=True)),
        (b"\x12\x34", Item(5, "N", 2, 3, usage="packed")), (b"\x12\x3b", Item(5, "N", 2, 3, usage="packed")),
        (b"\x12\x3d", Item(5, "N", 2, 3, usage="packed")),
        (b"\x7f\xff", Item(5, "N", 2, 4, usage="binary", signed=True)),
    ],
)  # fmt: skip
def test_bytes_that_are_no_number_are_refused(raw, item):
    if raw == b"\xf1\xf2\xa3":
        assert number(raw, item, mainframe=True) == 123
        return
    with pytest.raises(ValueError, match=r"\w"):
        number(raw, item, mainframe=True)


@pytest.mark.parametrize(
    "text",
    [
        "", "01 R.", "01 R PIC Q.", "01 R. 05 A PIC X", "01 R. 05 A COMP-1.",
        "01 R. 05 A PIC X. 05 B REDEFINES C PIC X.", "77 A PIC X.", "01 R. 05 A PIC 9(19) COMP.",
        "01 R. 05 A PIC X(99999) PIC X(99999) WHAT.", "01 R. 05 A PIC 9(3)P.",
        "01 R. 05 A PIC X. 10 B PIC X.", "01 R. 05 A OCCURS X.", "01 R. 05 A PIC",
    ],
)  # fmt: skip
def test_a_copybook_that_is_not_understood_is_a_settings_error(text):
    with pytest.raises(ConfigurationError) as caught:
        settings(COPYBOOK, {"text": text})
    assert caught.value.code == "sftp.format"


def test_sizes_follow_the_picture():
    root = parse(
        "01 R. 05 A PIC 9(4) COMP. 05 B PIC S9(9) BINARY. 05 C PIC 9(10) COMP-5."
        " 05 D PIC S9(6) COMP-3. 05 E PIC ZZ9.99-. 05 F PIC S99."
    )
    assert [child.size for child in root.children] == [2, 4, 8, 4, 7, 2]


def test_a_field_that_is_not_in_the_copybook_is_a_settings_error():
    for name in ("NOBODY", "NUM.X"):
        with pytest.raises(ConfigurationError) as caught:
            read(b"", {name: "text"})
        assert caught.value.code == "sftp.fields"


def test_the_copybook_suggests_its_fields():
    fields = COPYBOOK.fields(b"", settings(COPYBOOK, TABLE))
    assert fields["EMP-ID"].type == "integer"
    assert fields["SALARY"].type == "decimal"
    assert fields["CODE-A"].source == "DETAIL-A.CODE-A"


@given(
    st.binary(max_size=60),
    st.integers(0, 200),
    st.sampled_from(["fixed", "rdw", "bdw"]),
)
@relaxed(deadline=None, max_examples=150)
def test_mutated_input_raises_only_bad_file(noise, place, kind):
    data = bytearray(
        rdw(rdw(varying(3)) + rdw(varying(5))) if kind != "fixed" else varying(4) * 3
    )
    place %= len(data)
    data[place : place + len(noise) // 2] = noise
    try:
        read(bytes(data), VARYING_FIELDS, text=VARYING, records=kind, redefines={})
    except BadFile:
        return


@given(st.text("0125 .ABPICXV9S()\n", max_size=60))
@relaxed(deadline=None)
def test_any_copybook_parses_or_is_refused(text):
    try:
        parse("01 R. 05 A PIC X. " + text)
    except ValueError:
        return
