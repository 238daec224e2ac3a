"""Cells of one column of a block of rows, turned into values together.

One look at all of them costs what a look at one does, so the commonest cells are made
in C; a column that is not clean throughout goes cell by cell. What no cell may be
raises one of `FAULTY`: the block is read row by row, which alone says what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from moatbridge_sftp.formats.fields import FieldSpec
    from moatbridge_sftp.formats.values import Read

Column = Callable[[list[str]], list[Any]]

_DECIMALS: Final = re.compile(r"(?:[+-]?[0-9]++(?:\.[0-9]++)?+\n)*+").fullmatch
_KNOWN: Final = 4096
"""Values kept of one column."""

_SHORT: Final = 40
"""Characters of a cell whose value is kept."""


def column_reader(spec: FieldSpec, read: Read) -> Column | None:
    """The function from a column's cells to their values; None: nothing is gained.

    Args:
        spec: The field.
        read: The reader of one cell.
    """
    if spec.type in {"date", "boolean"}:
        known = _Known(read)
        return lambda cells: list(map(known.__getitem__, cells))
    plain = not (spec.nulls or spec.thousands_sep or spec.sign == "trailing")
    pointed = plain and not spec.implied and spec.decimal_sep == "."
    if spec.type == "integer" and plain:
        return _integers(read)
    if spec.type == "decimal" and pointed:
        return _decimals(read)
    return None


def _integers(read: Read) -> Column:
    def column(cells: list[str]) -> list[Any]:
        joined = "".join(cells)
        if joined.isdecimal() and joined.isascii() and "" not in cells:
            return list(map(int, cells))
        return list(map(read, cells))

    return column


def _decimals(read: Read) -> Column:
    def column(cells: list[str]) -> list[Any]:
        joined = "\n".join(cells)
        # A cell of two lines looks like two cells here, and is no `Decimal`.
        if _DECIMALS(joined + "\n"):
            return list(map(Decimal, cells))
        return list(map(read, cells))

    return column


class _Known(dict[str, Any]):
    """Values of a column whose cells repeat: days of a few years, truth."""

    __slots__ = ("_read",)

    def __init__(self, read: Read) -> None:
        super().__init__()
        self._read = read

    def __missing__(self, cell: str) -> Any:
        """Read a cell; short ones are kept."""
        value = self._read(cell)
        if len(cell) <= _SHORT:
            if len(self) >= _KNOWN:
                self.clear()
            self[cell] = value
        return value
