"""Which Python types a stream's fields hold, and what stands for them in an entity.

Records hold real `datetime`, `Decimal` and `int` objects, entities only JSON. Where one
text stands for a value without any choice (dates, decimals, integers, moments with a
zone), a plain path copies it; everything else needs a converter.
"""

from __future__ import annotations

import re
from datetime import date, time
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from moatbridge.entities import Converter, Fault, plain
from moatbridge.entities.core_converters import INT_TEXT, decimals, int_from_text
from moatbridge.entities.moments import dates, datetimes, moment

if TYPE_CHECKING:
    from collections.abc import Callable

    from moatbridge.adapter import FieldType
    from moatbridge.entities import Shape

UNKNOWN: Final = frozenset({None, "any", "json"})
"""Field types that promise nothing about a value."""


def _time_in(value: Any) -> str:
    if not isinstance(value, time):
        raise Fault(f"not a time of day but {type(value).__name__}")
    return value.isoformat()


def _time_out(value: Any) -> time:
    try:
        return time.fromisoformat(value)
    except (TypeError, ValueError):
        pass
    raise Fault("not a time of day")


def _date_out(value: Any) -> date:
    return date.fromisoformat(dates().decode(value))


def _decimal_out(value: Any) -> Decimal:
    try:
        number = Decimal(value)
    except (InvalidOperation, TypeError, ValueError):
        number = Decimal("NaN")
    if number.is_finite():
        return number
    raise Fault("not a decimal number")


_TEXT_OF: Final[dict[str, Converter]] = {
    "int": INT_TEXT,
    "decimal": decimals(),
    "date": dates(),
    "datetime": datetimes(),
    "time": Converter("time", _time_in, _time_out, version="1"),
}
_FROM_TEXT: Final[dict[str, Callable[[Any], Any]]] = {
    "int": int_from_text,
    "decimal": _decimal_out,
    "date": _date_out,
    "datetime": moment,
    "time": _time_out,
}
_FITS: Final[dict[str, frozenset[str | None]]] = {
    "text": frozenset({"text", "reference", None, "any", "json"}),
    "bool": frozenset({"bool", None, "any", "json"}),
    "int": frozenset({"int", None, "any", "json"}),
    "json": frozenset(
        {"text", "int", "bool", "reference", "object", None, "any", "json"}
    ),
    "object": frozenset({"object", None, "any", "json"}),
    "map": frozenset({"object", None, "any", "json"}),
}


def canonical(field: FieldType | None, shape: Shape) -> Converter | None:
    """The converter that a plain copy of such a field uses, if any.

    Into text everything becomes text; into JSON an integer stays what it is.
    """
    if shape.kind not in {"text", "json"} or (shape.kind, field) == ("json", "int"):
        return None
    return _TEXT_OF.get(field or "")


def fits(field: FieldType | None, shape: Shape) -> bool:
    """Whether values of that field may be copied as they are."""
    return field in _FITS.get(shape.kind, ())


def finish(field: FieldType | None, value: Any) -> Any:
    """Text on its way into a typed field, as the field's Python type.

    Raises:
        Fault: The text is none of that type.
    """
    if isinstance(value, str) and field in _FROM_TEXT:
        return _FROM_TEXT[field](value)
    return value


def finishes(field: FieldType | None) -> bool:
    """Whether `finish` does anything for such a field."""
    return field in _FROM_TEXT


def checker(shape: Shape, limit: int) -> Callable[[Any], Any]:
    """A function that checks (and copies) one value that is not null.

    Args:
        shape: What it must be.
        limit: Characters of one text.
    """
    if shape.kind == "text":
        return _text_checker(shape, limit)
    if shape.kind in {"bool", "int"}:
        return plain.boolean if shape.kind == "bool" else plain.integer
    if shape.kind == "list" and shape.item is not None:
        return _list_checker(checker(shape.item, limit))
    if shape.kind in {"object", "map"}:
        return lambda value: plain.plain(_an_object(value), limit=limit)
    return lambda value: plain.plain(value, limit=limit)


def _text_checker(shape: Shape, limit: int) -> Callable[[Any], Any]:
    attribute = shape.attribute
    if shape.words:
        return partial(_word, shape.words)
    if attribute.identifier:
        return partial(plain.identifier, limit=limit)
    return partial(plain.text, multiline=attribute.multiline, limit=limit)


def _word(words: tuple[str, ...], value: Any) -> str:
    if value in words:
        return str(value)
    raise Fault(f"not one of {', '.join(words)}")


def _an_object(value: Any) -> Any:
    if not isinstance(value, dict):
        raise Fault(f"not an object but {type(value).__name__}")
    return value


def _list_checker(item: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def check(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise Fault(f"not a list but {type(value).__name__}")
        if len(value) > plain.MAX_ENTRIES:
            raise Fault(f"too-large: over {plain.MAX_ENTRIES} entries")
        return [item(each) for each in value]

    return check


CREDENTIAL: Final = re.compile(
    r"passw(or)?d|unicodepwd|_hash\b|token|secret|nthash|lmhash|private_?key",
    re.IGNORECASE,
)
"""Field names that look like a credential; no translator may name one."""
