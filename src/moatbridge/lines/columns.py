"""`Columns`: records as one line each, with something between the values. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moatbridge.changes import Reject
from moatbridge.errors import Rejected

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moatbridge.changes import Data


class Columns:
    """The values of a record in one line, always in this order.

    There is no escaping: a value that holds the separator is refused, never sent, since
    it would be read back as two.

    Args:
        names: The columns' names: fields, and what else stands in a line (a version).
        separator: What stands between two values.
    """

    def __init__(self, *names: str, separator: str) -> None:
        self.names: tuple[str, ...] = names
        self.separator: str = separator

    def row(self, line: str) -> Data | Reject:
        """The values of a line by name; a reject if their number is wrong."""
        values = line.split(self.separator)
        if len(values) != len(self.names):
            return Reject("lines.columns")
        return dict(zip(self.names, values, strict=True))

    def first(self, line: str) -> str:
        """The value of the first column, also of a line with too few or too many."""
        return line.partition(self.separator)[0]

    def line(self, row: Mapping[str, Any]) -> str:
        """The line of a record; what it lacks, and None, is an empty value.

        Raises:
            Rejected: ``lines.separator.data``: a value holds the separator.
        """
        found = [row.get(name) for name in self.names]
        values = ["" if value is None else str(value) for value in found]
        line = self.separator.join(values)
        # Not only "is it in a value": `a|` before `||` would move a separator.
        if line.split(self.separator) != values:
            msg = "A value holds what separates the columns; nothing was sent."
            raise Rejected(msg, code="lines.separator.data")
        return line
