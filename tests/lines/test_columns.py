"""`Columns`: what is written into a line is read back, or it was refused."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from moatbridge.changes import Reject
from moatbridge.errors import Rejected
from moatbridge.lines import Columns

NAMES = ("id", "name", "mail")


@given(
    st.tuples(*[st.text(alphabet="a|,;é\n ", max_size=4)] * 3),
    st.sampled_from(["|", "||", "\t", ", "]),
)
@example(("a|", "b", ""), "||")
def test_values_read_back_as_written_or_are_refused(values, separator):
    columns = Columns(*NAMES, separator=separator)
    record = dict(zip(NAMES, values, strict=True))
    try:
        line = columns.line(record)
    except Rejected as error:
        assert error.kind == "data"  # noqa: PT017 - either is fine
        assert any(mark in value for value in values for mark in separator)
        return
    assert columns.row(line) == record
    assert columns.first(line) == values[0]


def test_what_a_record_lacks_is_an_empty_value():
    assert Columns(*NAMES, separator="|").line({"id": 7, "mail": None}) == "7||"


@pytest.mark.parametrize("line", ["1|a", "1|a|b|c", ""])
def test_a_line_with_another_count_of_values_is_a_reject(line):
    columns = Columns(*NAMES, separator="|")
    assert columns.row(line) == Reject("lines.columns")
    assert columns.first(line) == line[:1]
