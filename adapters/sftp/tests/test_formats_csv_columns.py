"""Rows that are typed by column say what rows typed cell by cell say."""

from __future__ import annotations

import csv
import io

from hypothesis import example, given
from hypothesis import settings as relaxed
from hypothesis import strategies as st

from moatbridge_sftp.formats.delimited import CsvConfig, CsvFormat
from moatbridge_sftp.formats.fields import field_table
from moatbridge_sftp.formats.rows import Failure, Table, judge

CELLS = st.sampled_from(
    [
        "", " ", "1", "42", " 7 ", "-3", "+5", "1.5", "-0.10", "1,5", "1_000", "1e5", "nan",
        "٣", "²", "1\n", "1\n2", "\n", "007", "9" * 30, "9" * 4400, "2024-02-29", "2024-02-30",
        "20240229", "2024-W09-4", " 2024-02-29 ", "29.02.2024", "true", "FALSE", "0", "x", "-",
    ]
)  # fmt: skip
CLEAN = {"n": "17", "p": "-12.50", "d": "2024-02-29", "b": "true", "t": "x", "u": "4"}
SPECS = st.fixed_dictionaries(
    {},
    optional={"nulls": st.sampled_from([(), ("0", "x")]), "required": st.booleans()},
)
KINDS = {"n": "integer", "p": "decimal", "d": "date", "b": "boolean", "t": "text"}
MORE = {
    "p": st.sampled_from(
        [{}, {"decimal_sep": ","}, {"implied": 2}, {"sign": "trailing"}]
    ),
    "n": st.sampled_from([{}, {"thousands_sep": "_"}, {"sign": "trailing"}]),
    "d": st.sampled_from([{}, {"pattern": "DD.MM.YYYY"}]),
}


@st.composite
def tables(draw):
    fields = {
        name: {"type": kind, **draw(SPECS), **draw(MORE.get(name, st.just({})))}
        for name, kind in KINDS.items()
    }
    fields["u"] = {"type": "decimal", "from": "n"}  # one column may fill two fields
    spot = draw(st.sampled_from([*KINDS, ""]))
    rows = []
    for _ in range(draw(st.integers(1, 5))):
        row = [draw(CELLS) if name == spot else CLEAN[name] for name in KINDS]
        rows.append(row[: draw(st.sampled_from([5, 5, 5, 5, 4, 6, 0]))])
    return fields, rows


def said(values):
    return [(list(each), repr(each)) for each in values]


@relaxed(deadline=None, max_examples=600)
@given(tables())
@example(({name: {"type": kind} for name, kind in KINDS.items()}, [["1"] * 6, []]))
def test_a_block_says_what_each_of_its_rows_says(drawn):
    fields, rows = drawn
    specs = field_table(fields)
    places = {name: list(KINDS).index("n" if name == "u" else name) for name in specs}
    table = Table(specs, places, len(KINDS))
    records: list[dict[str, object]] = []
    failures: list[Failure] = []
    assert table.rows(Reader(rows), 50, records, failures) == len(rows)
    judged = [judge(table, row, pads=False) for row in rows]
    good = [each for each in judged if isinstance(each, dict)]
    faulty = [at for at, each in enumerate(judged, 1) if not isinstance(each, dict)]
    # What the generated function will not take is judged again, and may be good.
    again = [f.ordinal for f in failures if judged[f.ordinal - 1].__class__ is dict]
    assert {*faulty} <= {f.ordinal for f in failures}
    taken = [
        e for at, e in enumerate(judged, 1) if isinstance(e, dict) and at not in again
    ]
    assert said(records) == said(taken)
    assert len(records) + len(again) == len(good)
    assert all(f.line == f.ordinal and f.cells is rows[f.ordinal - 1] for f in failures)


class Reader:
    """Rows as ``csv.reader`` gives them, each of one line."""

    def __init__(self, rows):
        self._rows = iter(rows)
        self.line_num = 0

    def __iter__(self):
        return self

    def __next__(self):
        row = next(self._rows)
        self.line_num += 1
        return row


def test_a_file_with_faults_in_typed_columns_is_read_alike_whatever_the_block():
    lines = ["n,p,d,b,t"]
    for at in range(1, 200):
        odd = {0: "x", 1: "", 2: "1e3"}.get(at % 60, str(at))
        lines.append(f'{odd},{at}.5,2024-01-{at % 28 + 1:02},true,"t{at}"')
        if at % 70 == 0:
            lines.append("")
    fields = field_table({name: {"type": kind} for name, kind in KINDS.items()})
    text = "\r\n".join(lines).encode()
    chunks = list(CsvFormat().read(io.BytesIO(text), fields, CsvConfig()))
    records = [record for chunk in chunks for record in chunk.records]
    numbers = [number for chunk in chunks for number in chunk.numbers]
    bad = [each for chunk in chunks for each in chunk.bad]
    assert [each.number for each in bad] == [2, 60, 62, 120, 122, 180, 182]
    assert [each.raw for each in bad] == [
        line.encode() + b"\r\n" for line in lines if line.startswith(("x,", "1e3,"))
    ]
    kept = [row for row in csv.DictReader(lines) if row["n"] not in {"x", "1e3"}]
    assert [record["t"] for record in records] == [row["t"] for row in kept]
    assert [record["n"] for record in records] == [
        int(row["n"]) if row["n"] else None for row in kept
    ]
    assert numbers == [int(record["t"][1:]) for record in records]


def test_days_that_never_repeat_are_read_without_being_kept():
    from moatbridge_sftp.formats.columns import column_reader
    from moatbridge_sftp.formats.values import cell_reader

    (spec,) = field_table({"d": {"type": "date"}}).values()
    column = column_reader(spec, cell_reader(spec))
    assert column is not None
    days = [f"{year:04}-01-{day:02}" for year in range(1, 400) for day in range(1, 29)]
    assert [each.isoformat() for each in column(days)] == days
    assert column([" " * 100 + "2024-02-29"])[0].isoformat() == "2024-02-29"
    (cell,) = [c.cell_contents for c in column.__closure__]
    assert len(cell) <= 4096
    assert all(len(each) <= 40 for each in cell)
