"""X12, EDIFACT and XLSX: separators, envelopes, counts, sheets."""

import io
import zipfile
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import settings as relaxed
from hypothesis import strategies as st

from moatbridge.errors import ConfigurationError
from moatbridge_sftp.formats import BadFile, field_table, format_class, settings

X12, EDIFACT, XLSX = map(format_class, ("x12", "edifact", "xlsx"))


def read(kind, data, fields, start=None, **table):
    config, specs = settings(kind, table), field_table(fields)
    kind.check(specs, config)
    chunks = list(kind().read(io.BytesIO(data), specs, config, start))
    records = [record for chunk in chunks for record in chunk.records]
    return records, [each for chunk in chunks for each in chunk.bad], chunks


def isa(element="*", component=":", end="~"):
    parts = [
        "ISA", "00", " " * 10, "00", " " * 10, "ZZ", "SENDER".ljust(15), "ZZ",
        "RECEIVER".ljust(15), "260121", "1200", "^", "00501", "000000905", "0", "P",
    ]  # fmt: skip
    return element.join(parts) + element + component + end


SETS = [
    "GS*PO*S*R*20260121*1200*7*X*005010",
    "ST*850*0001", "BEG*00*SA*PO-1**20260121", "N1*BY*Anna", "N1*ST*Bert",
    "PO1*1*5*EA*9.25**VN:x*A1", "PID*F****Nail", "PO1*2*7*EA*1.00**VN*A2", "SE*8*0001",
    "ST*997*0002", "AK1*PO*1", "SE*3*0002",
    "GE*2*7",
]  # fmt: skip
X12_FIELDS = {
    "po": {"from": "BEG03"},
    "day": {"from": "BEG05", "type": "date", "pattern": "YYYYMMDD"},
    "ship": {"from": "N1[ST]02"},
    "line": {"from": "PO101", "type": "integer"},
    "price": {"from": "PO104", "type": "decimal"},
    "part": {"from": "PO106-2"},
    "what": {"from": "PID05"},
}


def interchange(sets=SETS, end="~", number="000000905", groups=1):
    assert len(isa(end=end)) == 106
    return (isa(end=end) + end.join(sets) + f"{end}IEA*{groups}*{number}{end}").encode()


def test_x12_loops_become_records_with_their_head():
    records, bad, _ = read(X12, interchange(), X12_FIELDS, sets={"850": "PO1"})
    assert bad == []
    assert records[0] == {
        "po": "PO-1",
        "day": date(2026, 1, 21),
        "ship": "Bert",
        "line": 1,
        "price": Decimal("9.25"),
        "part": "x",
        "what": "Nail",
    }
    assert (records[1]["line"], records[1]["part"], records[1]["what"]) == (
        2,
        None,
        None,
    )
    assert X12.sniff(interchange()) > 0.9


def test_x12_without_sets_takes_each_message_as_one_record():
    records, _, _ = read(X12, interchange(), {"po": {"from": "BEG03"}})
    assert records == [{"po": "PO-1"}, {"po": None}]


@pytest.mark.parametrize("end", ["\n", "'", "\x1c"])
def test_x12_separators_come_from_the_isa_segment(end):
    records, _, _ = read(X12, interchange(end=end), X12_FIELDS, sets={"850": "PO1"})
    assert len(records) == 2
    two = interchange() + b"\r\n" + interchange()
    assert len(read(X12, two, X12_FIELDS, sets={"850": "PO1"})[0]) == 4


@pytest.mark.parametrize(
    "change",
    [
        ("SE*8*0001", "SE*9*0001"), ("SE*8*0001", "SE*8*0003"), ("GE*2*7", "GE*1*7"),
        ("GE*2*7", "GE*2*8"), ("IEA*1", "IEA*2"), ("IEA*1*000000905", "IEA*1*000000906"),
        ("PID*F****Nail~", ""), ("SE*8", "SE*x"), ("GE*2*7~", ""), ("ST*850", "XX*850"),
    ],
)  # fmt: skip
def test_an_x12_envelope_that_does_not_add_up_is_a_bad_file(change):
    data = interchange().decode()
    assert change[0] in data
    with pytest.raises(BadFile) as caught:
        read(X12, data.replace(*change).encode(), X12_FIELDS, sets={"850": "PO1"})
    assert caught.value.reason in {"envelope", "syntax"}


def test_every_prefix_of_an_interchange_is_a_bad_file():
    for kind, data in ((X12, interchange()), (EDIFACT, orders().encode())):
        for cut in range(len(data)):
            with pytest.raises(BadFile):
                read(kind, data[:cut], {"a": {"from": "BGM02"}})
        assert read(kind, data, {"a": {"from": "BGM02"}})[1] == []


def orders(count=1, una="", marks="+:'?"):
    element, component, end, release = marks
    body = []
    for i in range(1, count + 1):
        body += [
            f"UNH+{i}+ORDERS:D:96A:UN", f"BGM+220+PO{i}+9", "DTM+137:20260121:102",
            "NAD+BY+5412345000013::9", "NAD+ST+++O?'Neil ?+ Sons ?? Co?:",
            "LIN+1++A1:SA", "QTY+21:5", "LIN+2++A2:SA", "QTY+21:7.5", f"UNT+10+{i}",
        ]  # fmt: skip
    text = "UNB+UNOC:3+S+R+260121:1200+REF1'" + "'".join(body) + f"'UNZ+{count}+REF1'"
    table = str.maketrans("+:'?", element + component + end + release)
    return una + text.translate(table)


EDIFACT_FIELDS = {
    "po": {"from": "BGM02"},
    "day": {"from": "DTM[137]01-2", "type": "date", "pattern": "YYYYMMDD"},
    "ship": {"from": "NAD[ST]04"},
    "item": {"from": "LIN03"},
    "count": {"from": "QTY01-2", "type": "decimal"},
}


@pytest.mark.parametrize(
    ("una", "marks"), [("", "+:'?"), ("UNA:+.? '", "+:'?"), ("UNA*|.! ~", "|*~!")]
)
def test_edifact_messages_with_release_characters(una, marks):
    data = orders(una=una, marks=marks)
    table = {"sets": {"ORDERS": "LIN"}}
    records, bad, _ = read(EDIFACT, data.encode("latin-1"), EDIFACT_FIELDS, **table)
    assert bad == []
    kept = "O'Neil + Sons ? Co:".translate(str.maketrans("+:'?", marks))
    assert records == [
        {"po": "PO1", "day": date(2026, 1, 21), "ship": kept, "item": "A1", "count": 5},
        {"po": "PO1", "day": date(2026, 1, 21), "ship": kept, "item": "A2",
         "count": Decimal("7.5")},
    ]  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        ("UNT+10+1", "UNT+11+1"), ("UNT+10+1", "UNT+10+2"), ("UNZ+1", "UNZ+2"),
        ("UNZ+1+REF1", "UNZ+1+REF2"), ("QTY+21:5'", ""), ("UNB+", "UNX+"),
    ],
)  # fmt: skip
def test_an_edifact_interchange_that_does_not_add_up_is_a_bad_file(change):
    data = orders()
    assert change[0] in data
    with pytest.raises(BadFile) as caught:
        read(EDIFACT, data.replace(*change).encode(), EDIFACT_FIELDS)
    assert caught.value.reason in {"envelope", "syntax"}


def test_edi_resumes_by_record_number():
    data, table = orders(700).encode(), {"sets": {"ORDERS": "LIN"}}
    whole, _, chunks = read(EDIFACT, data, EDIFACT_FIELDS, **table)
    assert len(whole) == 1400
    again, _, _ = read(EDIFACT, data, EDIFACT_FIELDS, chunks[0].position, **table)
    assert again == whole[500:]


def test_a_message_without_the_records_segment_holds_no_record():
    for kind, data in ((X12, interchange()), (EDIFACT, orders().encode())):
        table = {"sets": {"850": "ZZZ", "ORDERS": "ZZZ"}}
        assert read(kind, data, {"a": {"from": "BGM02"}}, **table)[:2] == ([], [])


@pytest.mark.parametrize("source", ["BEG", "beg03", "BEG3", "N1[ST", "BEG03-", ""])
def test_a_source_that_is_no_element_is_a_settings_error(source):
    with pytest.raises((ConfigurationError, ValueError)):
        read(X12, interchange(), {"a": {"from": source}})


@given(st.binary(max_size=40), st.integers(0, 500), st.booleans())
@relaxed(deadline=None, max_examples=200)
def test_mutated_interchanges_raise_only_bad_file(noise, place, old):
    data = bytearray(interchange() if old else orders().encode())
    place %= len(data)
    data[place : place + len(noise) // 2] = noise
    try:
        read(
            X12 if old else EDIFACT, bytes(data), X12_FIELDS if old else EDIFACT_FIELDS
        )
    except BadFile:
        return


def workbook(rows, sheet="People", extra=()):
    """A minimal workbook (ECMA-376): inline strings, numbers, one date style."""
    cells = []
    for r, row in enumerate(rows, 1):
        inner = "".join(cell(value, f"{chr(65 + c)}{r}") for c, value in enumerate(row))
        cells.append(f'<row r="{r}">{inner}</row>')
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    rel = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"><Default Extension="xml" ContentType="application/xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" Type="{rel}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{rel}"><sheets><sheet name="{sheet}" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" Type="{rel}/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="r2" Type="{rel}/styles" Target="styles.xml"/></Relationships>',
        "xl/styles.xml": f'<styleSheet xmlns="{main}"><cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs></styleSheet>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{"".join(cells)}</sheetData></worksheet>',
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        for name, text in (*parts.items(), *extra):
            made.writestr(name, text)
    return file.getvalue()


def cell(value, place):
    if isinstance(value, str):
        return f'<c r="{place}" t="inlineStr"><is><t>{value}</t></is></c>'
    if isinstance(value, bool):
        return f'<c r="{place}" t="b"><v>{int(value)}</v></c>'
    if isinstance(value, date):
        days = (value - date(1899, 12, 30)).days
        return f'<c r="{place}" s="1"><v>{days}</v></c>'
    return f'<c r="{place}"><v>{value}</v></c>'


ROWS = [
    ["ID", "Name", "Pay", "Day", "Ok", "Other"],
    [4711, "Anna", 12.5, date(2020, 2, 29), True, "x"],
    ["0042", "Bert", "n/a", date(2020, 3, 1), False, "y"],
]
XLSX_FIELDS = {
    "ID": "text",
    "Name": "text",
    "Pay": "decimal",
    "Day": {"type": "date", "pattern": "DD.MM.YYYY"},
    "Ok": "boolean",
}


def test_a_sheet_is_read_with_codes_as_text_and_dates_by_cell_type():
    records, bad, _ = read(XLSX, workbook(ROWS), XLSX_FIELDS)
    assert records == [
        {"ID": "4711", "Name": "Anna", "Pay": Decimal("12.5"), "Day": date(2020, 2, 29),
         "Ok": True},
    ]  # fmt: skip
    assert [(each.number, each.field) for each in bad] == [(2, "Pay")]
    found = XLSX().unknown(
        io.BytesIO(workbook(ROWS)), field_table(XLSX_FIELDS), settings(XLSX, {})
    )
    assert found == ("Other",)


def test_a_workbook_that_is_damaged_or_a_bomb_is_a_bad_file():
    good = workbook(ROWS)
    with pytest.raises(BadFile):
        read(XLSX, good[: len(good) // 2], XLSX_FIELDS)
    with pytest.raises(BadFile):
        read(XLSX, b"no workbook", XLSX_FIELDS)
    with pytest.raises(BadFile) as caught:
        read(XLSX, workbook(ROWS, extra=[("xl/x.bin", bytes(30 << 20))]), XLSX_FIELDS)
    assert caught.value.reason == "unpack-ratio"
    with pytest.raises(BadFile) as caught:
        read(XLSX, good, XLSX_FIELDS, sheet="Nobody")
    assert caught.value.reason == "header"
    with pytest.raises(BadFile):
        read(XLSX, good, ["Missing"])
