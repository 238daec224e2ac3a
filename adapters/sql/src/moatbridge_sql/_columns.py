"""Whole columns of a page to record values: the fast road of every read. Pure.

Theory of operation. A page is turned on its side. Each column is looked at as a whole:
where all values are of the usual type it is taken as it is, or converted by one loop
that runs in C; else it goes value by value through the column's own decoder, which
knows every case. If that refuses a value, or anything else is unusual, `Columns.read`
returns None and the page is read row by row, where the one row becomes a reject. So
nothing is decided here about what is wrong, and both roads give equal records.
"""

from __future__ import annotations

import ast
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from itertools import repeat
from math import isfinite
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias
from uuid import UUID

from moatbridge.changes import Ref
from moatbridge_sql._keys import canonical, ref_id
from moatbridge_sql._values import FIRST_YEAR, LAST_YEAR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import tzinfo

    from moatbridge.changes import Data, Key
    from moatbridge_sql._schema import Column
    from moatbridge_sql._values import Decode, Rules

Values: TypeAlias = "Sequence[Any]"
Read: TypeAlias = "Callable[[Values], Values]"
Quick: TypeAlias = "Callable[[Values, set[type[Any]]], Values | None]"
"""Takes a column and the types in it, None left out; None: go value by value."""

JOINED: Final = 1 << 20
"""Characters of one column that are searched as one text."""
UNUSUAL: Final = (ValueError, ArithmeticError)
"""What odd values raise. Anything else is an error of ours, and must not pass for one
of theirs: nobody would notice that everything goes the slow road."""
_NONE: Final = type(None)
_LIMITS: Final = frozenset({FIRST_YEAR, LAST_YEAR})
_BOOLEANS: Final = {0: False, 1: True, None: None}
_year: Final = attrgetter("year")
_made: Final = tuple.__new__
_ref: Final = partial(_made, Ref)


class Parts(NamedTuple):
    """The rows of a page, taken apart; all of one length."""

    ids: Sequence[Key]
    refs: Sequence[Ref]
    data: Sequence[Data]
    versions: Sequence[str | None]


class Columns:
    """Reads the pages of one stream.

    Args:
        names: Fields, the first columns of every row.
        readers: Column index -> what reads it; the others are taken as they are.
        key: Ids of the rows, from all columns.
        label: Index of the name's column.
        version: Index of the version's column, and what makes it text.
    """

    def __init__(
        self,
        names: Sequence[str],
        readers: Sequence[tuple[int, Read]],
        key: Callable[[Sequence[Values]], Sequence[Key]],
        label: int | None,
        version: tuple[int, Decode] | None,
    ) -> None:
        self._width = len(names)
        self._made = records_of(names)
        self._readers = readers
        self._key = key
        self._label = label
        self._version = version

    def read(self, rows: Sequence[Sequence[Any]]) -> Parts | None:
        """All rows, or None: read them one by one."""
        try:
            return self._parts(rows)
        except UNUSUAL:
            return None

    def _parts(self, rows: Sequence[Sequence[Any]]) -> Parts:
        if not rows:
            return Parts((), (), (), ())
        columns = list(zip(*rows, strict=True))
        ids = self._key(columns)
        refs = refs_of(ids, self._labels(columns))
        versions = self._versions(columns)
        found: list[Values] = list(columns[: self._width])
        for index, read in self._readers:
            found[index] = read(columns[index])
        return Parts(ids, refs, self._made(zip(*found, strict=True)), versions)

    def _labels(self, columns: Sequence[Values]) -> Any:
        if self._label is None:
            return repeat(None)
        found = columns[self._label]
        return [None if value is None else str(value).rstrip(" ") for value in found]

    def _versions(self, columns: Sequence[Values]) -> Sequence[str | None]:
        if self._version is None:
            return [None] * len(columns[0])
        index, spell = self._version
        return [None if value is None else spell(value) for value in columns[index]]


def records_of(names: Sequence[str]) -> Callable[[Any], list[Data]]:
    """A function that makes records of tuples, as ``{"a": v0, "b": v1}`` would.

    Half the cost of ``dict(zip(names, row))``: the size is known beforehand. Names get
    into the code as constants of its syntax tree, never as text.
    """
    places = [f"v{index}" for index in range(len(names))]
    record = ast.Dict(
        keys=[ast.Constant(name) for name in names],
        values=[ast.Name(place, ast.Load()) for place in places],
    )
    target = ast.Tuple([ast.Name(place, ast.Store()) for place in places], ast.Store())
    rows = ast.comprehension(target, ast.Name("rows", ast.Load()), [], 0)
    arguments = ast.arguments([], [ast.arg("rows")], None, [], [], None, [])
    function = ast.Lambda(arguments, ast.ListComp(record, [rows]))
    tree = ast.fix_missing_locations(ast.Expression(function))
    code = compile(tree, "<moatbridge sql records>", "eval", dont_inherit=True)
    made: Callable[[Any], list[Data]] = eval(code, {})  # noqa: S307 - see above
    return made


def reader(column: Column, rules: Rules, convert: Decode, *, ruled: bool) -> Read:
    """What reads a whole column.

    Args:
        column: As the record sees it.
        rules: The stream's settings.
        convert: The decoder of one value that is not None.
        ruled: ``types`` has a step of its own for the column.
    """
    quick = None if ruled or rules.nulls else _quick(column, rules)
    return whole_column(quick, convert)


def whole_column(quick: Quick | None, convert: Decode) -> Read:
    """The quick way, if there is one and it takes the values; else each alone."""

    def read(values: Values) -> Values:
        if quick is not None:
            kinds = set(map(type, values))
            kinds.discard(_NONE)
            found = quick(values, kinds)
            if found is not None:
                return found
        return [None if value is None else convert(value) for value in values]

    return read


def _quick(column: Column, rules: Rules) -> Quick | None:
    match column.kind:
        case "text" | "char":
            trim = rules.trim and column.kind == "char"
            return _text(rules.limit, trim=trim, empty_is_null=rules.empty_is_null)
        case "datetime" | "zoned":
            return partial(_datetimes, rules.zone)
        case "decimal":
            return _whole if column.scale == 0 else _decimals
        case kind:
            return _QUICK.get(kind)


def _text(limit: int, *, trim: bool, empty_is_null: bool) -> Quick:
    def read(values: Values, kinds: set[type[Any]]) -> Values | None:
        if not kinds <= {str}:
            return None
        present = list(filter(None, values))
        longest = max(map(len, present), default=0)
        if longest * 4 > limit or longest * len(present) > JOINED:
            return None
        if "\0" in "".join(present):
            return None
        if trim:
            values = [value and value.rstrip(" ") for value in values]
        return [value or None for value in values] if empty_is_null else values

    return read


def as_is(kind: type[Any]) -> Quick:
    """Values of that type are taken as they are."""
    return lambda values, kinds: values if kinds <= {kind} else None


def _booleans(values: Values, kinds: set[type[Any]]) -> Values | None:
    if not kinds <= {int, bool} or not _BOOLEANS.keys() >= set(values):
        return None
    return list(map(_BOOLEANS.__getitem__, values))


def _datetimes(
    zone: tzinfo | None, values: Values, kinds: set[type[Any]]
) -> Values | None:
    if kinds == {str}:
        parse = datetime.fromisoformat
        values = [None if value is None else parse(value) for value in values]
    elif not kinds <= {datetime}:
        return None
    if not _LIMITS.isdisjoint(map(_year, filter(None, values))):
        return None
    if zone is None:
        return values
    return [v.replace(tzinfo=zone) if v and v.tzinfo is None else v for v in values]


def _dates(values: Values, kinds: set[type[Any]]) -> Values | None:
    if kinds == {str}:
        parse = date.fromisoformat
        values = [None if value is None else parse(value) for value in values]
    elif not kinds <= {date}:
        return None
    usual = _LIMITS.isdisjoint(map(_year, filter(None, values)))
    return values if usual else None


def _decimals(values: Values, kinds: set[type[Any]]) -> Values | None:
    if not kinds <= {Decimal}:
        return None
    return values if all(map(Decimal.is_finite, filter(None, values))) else None


def _whole(values: Values, kinds: set[type[Any]]) -> Values | None:
    if kinds <= {int}:
        return values
    if not kinds <= {Decimal}:
        return None
    found = [None if value is None else int(value) for value in values]
    return found if found == list(values) else None


def floats(values: Values, kinds: set[type[Any]]) -> Values | None:
    """Finite numbers are taken as they are."""
    if not kinds <= {float}:
        return None
    return values if all(map(isfinite, filter(None, values))) else None


def _uuids(values: Values, kinds: set[type[Any]]) -> Values | None:
    if not kinds <= {UUID}:
        return None
    return [value and str(value) for value in values]


_QUICK: Final[dict[str, Quick]] = {
    "int": as_is(int),
    "bool": _booleans,
    "float": floats,
    "date": _dates,
    "uuid": _uuids,
}


def refs_of(ids: Sequence[Key], names: Iterable[str | None]) -> list[Ref]:
    """``Ref(id, name)`` of each, made at once."""
    return list(map(_ref, zip(ids, names, strict=False)))


def ids_of(columns: Sequence[Column]) -> Callable[[Sequence[Values]], Sequence[Key]]:
    """What makes ids of the columns of a key; they must hold no marker."""
    first = columns[0]
    if len(columns) == 1 and first.kind in ("int", "text", "char") and not first.padded:
        return partial(_plain_ids, int if first.kind == "int" else str, first)
    spell = partial(ref_id, columns)
    return lambda values: list(map(spell, zip(*values, strict=True)))


def _plain_ids(
    usual: type[Any], column: Column, values: Sequence[Values]
) -> Sequence[Key]:
    (found,) = values
    if set(map(type, found)) != {usual}:
        return [canonical(column, value) for value in found]
    return list(map(str, found)) if usual is int else found
