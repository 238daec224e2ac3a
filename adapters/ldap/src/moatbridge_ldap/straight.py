"""One generated function per layout: from an entry's bytes to a change, or an `Entry`.

Why generate: an interpreter of columns costs several times as much for every entry of
every scan. Why it is safe: the source holds our own identifiers, numbers, and the
`repr` of field names, whose exact type is ``str``; decoders are bound by name. No text
of a configuration or of a server can become code.

`Shape` decodes the same, column by column, and stays the judge: whatever is not plain
here (no id, a value that cannot be decoded) is left to it.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from moatbridge.changes import Change, Ref
from moatbridge_ldap import values
from moatbridge_ldap.shape import BadValue
from moatbridge_ldap.wire import layout as layouts
from moatbridge_ldap.wire.layout import HEAD, Layouts
from moatbridge_ldap.wire.messages import Names
from moatbridge_ldap.wire.port import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moatbridge_ldap.shape import Column, Shape
    from moatbridge_ldap.wire.layout import Cell, Layout

MOST_REQUESTS: Final = 16


class Learned:
    """The layouts of one stream, for each way in which its entries are asked for.

    Args:
        shape: Of the stream; ``shape.fast`` off: there are none.
    """

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._entries: dict[tuple[str, ...], Layouts] = {}

    @cached_property
    def changes(self) -> Layouts | None:
        """For a scan: entries straight to changes."""
        shape = self._shape
        if not shape.fast:
            return None
        textual = [c.name for c in shape.columns if c.codec.decode is values.text]
        if shape.id_name.lower() != "objectguid":
            textual.append(shape.id_name)
        return Layouts(
            Names(shape.attributes), lambda layout: changes(shape, layout),
            frozenset(textual),
        )  # fmt: skip

    def entries(self, names: Sequence[str]) -> Layouts | None:
        """For whoever wants these attributes as bytes: entries as `Entry`."""
        if not self._shape.fast:
            return None
        key = tuple(names)
        if key not in self._entries and len(self._entries) < MOST_REQUESTS:
            self._entries[key] = Layouts(Names(key), entries)
        return self._entries.get(key)


def changes(shape: Shape, layout: Layout) -> Callable[..., Change | None]:
    """The function that makes a change of the groups of a match."""
    code = _Code(layout)
    cells = {cell.name: cell for cell in layout.cells}
    ident = cells.get(shape.id_name)
    version = cells.get(shape.version_name) if shape.version_name else None
    if ident is None or ident.listed or (version is not None and version.listed):
        return lambda *_: None
    fields = [f"{shape.dn_field!r}: name"] if shape.dn_field is not None else []
    fields += [
        f"{column.name!r}: {_field(code, shape, column, cells.get(column.name))}"
        for column in shape.columns
    ]
    stamp = "None"
    if version is not None:
        known = code.group(version)
        stamp = f"{code.only(version)}.decode('ascii', 'replace') if {known} else None"
    made: Callable[..., Change | None] = code.make(
        [
            f"if not {code.group(ident)}: return None",
            *code.checks,
            "name = g3[1:].decode()",
            f"ref = new(Ref, ({_ident(code, shape, ident)}, name))",
            f"data = {{{', '.join(fields)}}}",
            f"return new(Change, (ref, 'upsert', data, {stamp}, False, ()))",
        ]
    )
    return made


def entries(layout: Layout) -> Callable[..., Entry]:
    """The function that makes an `Entry` of the groups of a match."""
    code = _Code(layout)
    held = [
        f"if {code.group(cell)}: held[{cell.name!r}] = {code.listed(cell)}"
        for cell in layout.cells
        if cell.name is not None
    ]
    made: Callable[..., Entry] = code.make(
        [
            "held = {}",
            *code.checks,
            *held,
            "return new(Entry, (g3[1:].decode(), held, None, none))",
        ]
    )
    return made


class _Code:
    """One function being written, of the groups of a layout; ``names``: its globals."""

    def __init__(self, layout: Layout) -> None:
        self._places = {cell: f"g{at}" for at, cell in enumerate(layout.cells, HEAD)}
        self._arguments = ", ".join(f"g{at}" for at in range(HEAD + len(layout.cells)))
        self.names: dict[str, Any] = {
            "new": tuple.__new__, "Ref": Ref, "Change": Change, "Entry": Entry,
            "values": layouts.values, "none": {},
        }  # fmt: skip

    @property
    def checks(self) -> list[str]:
        """Look into what nobody asked for, so that it is well formed too."""
        return [
            f"if {group}: values({group}, {cell.skip})"
            for cell, group in self._places.items()
            if cell.listed and cell.name is None
        ]

    def group(self, cell: Cell) -> str:
        """The argument that holds this cell; None where the entry lacks it."""
        return self._places[cell]

    def only(self, cell: Cell) -> str:
        """The one value, as bytes."""
        return f"{self.group(cell)}[{cell.skip}:]"

    def listed(self, cell: Cell) -> str:
        """All values, as bytes."""
        if cell.listed:
            return f"values({self.group(cell)}, {cell.skip})"
        return f"[{self.only(cell)}]"

    def bound(self, value: Any) -> str:
        """The name of a new global that holds the value."""
        name = f"k{len(self.names)}"
        self.names[name] = value
        return name

    def make(self, lines: list[str]) -> Any:
        """Compile, and return the function."""
        source = "\n    ".join([f"def make({self._arguments}):", *lines]) + "\n"
        code = compile(source, "<moatbridge ldap>", "exec", dont_inherit=True)
        exec(code, self.names)  # noqa: S102 - see the module's docstring
        return self.names["make"]


def _ident(code: _Code, shape: Shape, cell: Cell) -> str:
    """The id as canonical text."""
    if shape.id_name.lower() == "objectguid":
        return f"{code.bound(shape.id_text)}({code.only(cell)})"
    return f"{code.only(cell)}.decode().lower()"


def _field(code: _Code, shape: Shape, column: Column, cell: Cell | None) -> str:
    """One field's value."""
    nothing = "[]" if column.multi else "None"
    if cell is None:
        return nothing
    if cell.listed or (column.multi and shape.placeholders):
        value = f"{code.bound(_general(shape, column))}({code.listed(cell)})"
    else:
        decode = column.codec.decode
        value = f"{code.bound(decode)}({code.only(cell)})"
        if decode is values.text:  # the pattern lets no NUL through
            value = f"{code.only(cell)}.decode()"
        value = f"[{value}]" if column.multi else value
    return f"{value} if {code.group(cell)} else {nothing}"


def _general(shape: Shape, column: Column) -> Callable[[list[bytes]], Any]:
    """As `Shape.data` has it for one column; ValueError where that has a reject."""

    def read(found: list[bytes]) -> Any:
        try:
            return shape.value(column.name, found, column.codec, multi=column.multi)
        except BadValue:
            raise ValueError(column.name) from None

    return read
