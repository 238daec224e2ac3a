"""Two generated functions per stream that type rows: straight-line code, no loop.

One takes a block of rows and has its typed columns made by `columns`. Whatever it
stumbles over is typed row by row by the other, which knows which row is at fault.

Why generate: an interpreter of field rules costs several times as much for every row of
every file. Why it is safe: the source holds our own identifiers, numbers, and the
`repr` of field names whose exact type is ``str``; converters are bound by name. No text
of a configuration or of a file can become code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn

from moatbridge_sftp.formats.columns import Column, column_reader
from moatbridge_sftp.formats.values import (
    FAULTY,
    INLINE_NAMES,
    Read,
    Required,
    cell_reader,
    inline,
)

if TYPE_CHECKING:
    from moatbridge_sftp.formats.fields import FieldSpec

FAULTS: Final = FAULTY


class Failure(NamedTuple):
    """A row that could not be typed: its ordinal in the call, cells, last line."""

    ordinal: int
    cells: Any
    line: int


Rows = Callable[[Any, int, list[dict[str, Any]], list[Failure]], int]
"""``rows(reader, count, records, failures)``: types up to ``count`` rows of a
``csv.reader`` and returns how many it took. The line of a failure is right if none of
the rows spans lines."""


class Fault(ValueError):
    """One field of a row is at fault."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field
        self.reason = reason


class Table:
    """How the cells of one file become records.

    Args:
        fields: Field name -> spec.
        places: Field name -> index of its cell.
        width: Number of cells in a row.
        guarded: Text cells may carry a formula guard's quote.
    """

    def __init__(
        self,
        fields: Mapping[str, FieldSpec],
        places: Mapping[str, int],
        width: int,
        *,
        guarded: bool = False,
    ) -> None:
        self.width = width
        self._readers = [
            (name, places[name], cell_reader(spec, guarded=guarded))
            for name, spec in fields.items()
        ]
        how = {name: _expression(each, guarded) for name, each in fields.items()}
        columns = {
            number: (place, column)
            for number, (name, place, read) in enumerate(self._readers)
            if (column := column_reader(fields[name], read)) is not None
        }
        self.rows: Rows = _generated(self._readers, how, columns, width)

    def record(self, cells: Sequence[str]) -> dict[str, Any]:
        """The record of one row, field by field.

        Raises:
            Fault: Naming the field.
        """
        record: dict[str, Any] = {}
        for name, place, read in self._readers:
            try:
                record[name] = read(cells[place])
            except Required:
                raise Fault(name, "required") from None
            except FAULTS:
                raise Fault(name, "value") from None
        return record


def _expression(spec: FieldSpec, guarded: bool) -> str:
    if spec.type == "text":
        asks = spec.trim or spec.nulls or spec.required or guarded
        return "{k}({c})" if asks else "{c} or None"
    return inline(spec) or "{k}({c})"


def _generated(
    readers: Sequence[tuple[str, int, Read]],
    how: Mapping[str, str],
    columns: Mapping[int, tuple[int, Column]],
    width: int,
) -> Rows:
    names: dict[str, Any] = {
        **INLINE_NAMES, "FAULTS": FAULTS, "islice": islice, "Failure": Failure,
    }  # fmt: skip
    names |= {f"column{number:d}": column for number, (_, column) in columns.items()}
    used = {place for _, place, _ in readers}
    targets = "".join(f"c{i}, " if i in used else "_, " for i in range(width))
    entries, together = [], []
    for number, (name, place, read) in enumerate(readers):
        if name.__class__ is not str:
            _refuse()
        names[f"k{number:d}"] = read
        expression = how[name].format(c=f"c{place:d}", k=f"k{number:d}")
        entries.append(f"{name!r}: {expression}")
        made = f"v{number:d}" if number in columns else expression
        together.append(f"{name!r}: {made}")
    source = _one_by_one(targets, entries)
    places = {number: place for number, (place, _) in columns.items()}
    source += _together(targets, together, places) if columns else _alone()
    code = compile(source, "<moatbridge rows>", "exec", dont_inherit=True)
    exec(code, names)  # noqa: S102 - see the module's docstring
    rows: Rows = names["rows"]
    return rows


def _one_by_one(targets: str, entries: Sequence[str]) -> str:
    return (
        "def each(block, reader, before, records, failures):\n"
        "    n, add = 0, records.append\n"
        "    for cells in block:\n"
        "        n += 1\n"
        "        try:\n"
        f"            {targets} = cells\n"
        f"            add({{{', '.join(entries)}}})\n"
        "        except FAULTS:\n"
        "            line = reader.line_num if before is None else before + n\n"
        "            failures.append(Failure(n, cells, line))\n"
        "    return n\n"
    )


def _alone() -> str:
    return (
        "def rows(reader, count, records, failures):\n"
        "    return each(islice(reader, count), reader, None, records, failures)\n"
    )


def _together(targets: str, entries: Sequence[str], places: Mapping[int, int]) -> str:
    makes = "".join(
        f"        v{number:d} = column{number:d}([row[{place:d}] for row in block])\n"
        for number, place in places.items()
    )
    values = ", ".join(f"v{number:d}" for number in places)
    return (
        "def rows(reader, count, records, failures):\n"
        "    before, block = reader.line_num, list(islice(reader, count))\n"
        "    try:\n"
        f"{makes}"
        f"        records += [{{{', '.join(entries)}}}\n"
        f"            for ({targets}), {values} in zip(block, {values})]\n"
        "    except (*FAULTS, IndexError):\n"
        "        each(block, reader, before, records, failures)\n"
        "    return len(block)\n"
    )


def _refuse() -> NoReturn:
    message = "a field name is plain text"
    raise TypeError(message)


def judge(table: Table, cells: Sequence[str], *, pads: bool) -> dict[str, Any] | Fault:
    """The record of a row that the generated function would not take, or why not."""
    if pads and len(cells) < table.width:
        cells = [*cells, *[""] * (table.width - len(cells))]
    if len(cells) != table.width:
        return Fault("", "cells")
    try:
        return table.record(cells)
    except Fault as fault:
        return fault
