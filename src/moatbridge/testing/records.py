"""Hypothesis strategies: records that fit a stream and a translator's converters."""

from __future__ import annotations

import ast
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from hypothesis import strategies as st

from moatbridge.translate.steps import At
from moatbridge.translate.typed import finish

if TYPE_CHECKING:
    from collections.abc import Callable

    from moatbridge.adapter import Field
    from moatbridge.entities import Converter
    from moatbridge.translate import BoundTranslator

WORDS: Final = st.text(
    st.characters(whitelist_categories=("Lu", "Ll", "Nd"), max_codepoint=0x24F),
    min_size=1,
    max_size=12,
)
"""Names and the like: letters (also accented, composed) and digits."""

_MOMENTS: Final = st.datetimes(
    datetime(1971, 1, 1),  # noqa: DTZ001 - a zone follows
    datetime(2037, 12, 31),  # noqa: DTZ001 - a zone follows
)
_BY_TYPE: Final[dict[str, st.SearchStrategy[Any]]] = {
    "text": WORDS,
    "reference": WORDS,
    "int": st.integers(-(2**40), 2**40),
    "decimal": st.decimals(-(10**6), 10**6, places=2).map(
        lambda d: d or Decimal("0.00")
    ),
    "float": st.floats(allow_nan=False, allow_infinity=False),
    "bool": st.booleans(),
    "date": st.dates(date(1900, 1, 1)),
    "time": st.times(),
    "datetime": _MOMENTS.map(lambda moment: moment.replace(tzinfo=UTC)),
    "bytes": st.binary(max_size=12),
    "json": st.dictionaries(WORDS, WORDS, max_size=3),
    "object": st.dictionaries(WORDS, WORDS, max_size=3),
    "any": WORDS,
}


def records_of(bound: BoundTranslator) -> st.SearchStrategy[dict[str, Any]]:
    """Complete records of a stream, with values that its converters understand.

    Values of converters that are not the core's are made from the field's type alone;
    give `laws` your own ``records`` where those would all be refused.
    """
    through: dict[str, tuple[Converter, ...]] = {}
    slots: dict[str, set[At]] = {}
    for leaf in bound.resolved.leaves:
        for place in leaf.reads:
            if len(place.steps) == 1 and leaf.converters:
                through[place.top] = leaf.converters
            if len(place.steps) > 1 and isinstance(place.steps[1], At):
                slots.setdefault(place.top, set()).add(place.steps[1])
    return st.fixed_dictionaries(
        {
            field.name: _field(field, through.get(field.name, ()), slots)
            for field in bound.stream.fields
        }
    )


def _field(
    field: Field, chain: tuple[Converter, ...], slots: dict[str, set[At]]
) -> st.SearchStrategy[Any]:
    value = _value(field, chain)
    if field.multi and field.name in slots:
        return _slotted(value, sorted(slots[field.name], key=repr))
    if field.multi:
        return st.lists(value, max_size=3, unique_by=repr)
    return value if field.required else st.none() | value


def _value(field: Field, chain: tuple[Converter, ...]) -> st.SearchStrategy[Any]:
    if field.type == "object" and field.fields and field.multi:
        return _entry(field)
    if field.type == "object" and field.fields:
        return st.fixed_dictionaries(
            {each.name: _field(each, (), {}) for each in field.fields}
        )
    plain = _BY_TYPE[field.type]
    if not chain or chain[0].name not in _BY_CONVERTER:
        return plain
    made: st.SearchStrategy[Any] = _BY_CONVERTER[chain[0].name](
        dict(chain[0].arguments or {}), plain
    )
    return made.map(lambda value: finish(field.type, value))


def _entry(field: Field) -> st.SearchStrategy[dict[str, Any]]:
    # an entry of a list has a value; what it does not say is left out
    names = [each.name for each in field.fields]
    main = "value" if "value" in names else names[0]
    each = {inner.name: _value(inner, ()) for inner in field.fields}
    return st.fixed_dictionaries({main: each.pop(main)}, optional=each)


def _slotted(
    value: st.SearchStrategy[Any], slots: list[At]
) -> st.SearchStrategy[list[Any]]:
    entries = [st.none() | value.map(partial(_with, at)) for at in slots]
    return st.tuples(*entries).map(lambda found: [e for e in found if e is not None])


def _with(at: At, entry: dict[str, Any]) -> dict[str, Any]:
    return {**entry, at.name: at.value}


def _dates(arguments: dict[str, Any], plain: st.SearchStrategy[Any]) -> Any:
    form = arguments.get("format")
    if form is None:
        return plain if plain is not WORDS else st.dates().map(date.isoformat)
    return st.dates(date(1970, 1, 1), date(2060, 1, 1)).map(lambda d: d.strftime(form))


def _moments(arguments: dict[str, Any], plain: st.SearchStrategy[Any]) -> Any:
    form = arguments.get("format")
    if form is None and plain is not WORDS:
        return _MOMENTS if arguments.get("zone") else plain
    aware = _MOMENTS.map(lambda moment: moment.replace(tzinfo=UTC))
    return aware.map(lambda m: m.strftime(form) if form else m.isoformat())


def _keys(arguments: dict[str, Any], plain: st.SearchStrategy[Any]) -> Any:
    keys = [ast.literal_eval(pair)[0] for pair in arguments["table"]]
    known = st.sampled_from(keys)
    return known | plain if arguments.get("default") is not None else known


def _split(arguments: dict[str, Any], plain: st.SearchStrategy[Any]) -> Any:
    return st.lists(plain, min_size=1, max_size=3).map(arguments["sep"].join)


def _decimals(arguments: dict[str, Any], plain: st.SearchStrategy[Any]) -> Any:
    places = arguments.get("places")
    numbers = st.decimals(-(10**6), 10**6, places=2 if places is None else places)
    return numbers.map(str) if plain is WORDS else numbers


def _integers(_: dict[str, Any], plain: st.SearchStrategy[Any]) -> Any:
    return st.integers(-(2**40), 2**40).map(str) if plain is WORDS else plain


def _epochs(_: dict[str, Any], __: st.SearchStrategy[Any]) -> Any:
    return st.integers(0, 2**31)


def _jsons(_: dict[str, Any], __: st.SearchStrategy[Any]) -> Any:
    return WORDS.map('"{}"'.format)


_BY_CONVERTER: Final[dict[str, Callable[[dict[str, Any], Any], Any]]] = {
    "int": _integers,
    "date": _dates,
    "datetime": _moments,
    "epoch": _epochs,
    "decimal": _decimals,
    "bool": _keys,
    "lookup": _keys,
    "split": _split,
    "json": _jsons,
}
