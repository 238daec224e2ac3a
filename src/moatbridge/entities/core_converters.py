"""The converters that are always there (entities 42)."""

from __future__ import annotations

import json
import re
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NoReturn

from moatbridge.entities.conversion import Converter
from moatbridge.entities.moments import dates, datetimes, epochs
from moatbridge.entities.plain import Fault, integer, plain
from moatbridge.entities.showing import days, moneys
from moatbridge.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,16}")
_ONE: Final = Decimal(1)


def decimals(places: int | None = None) -> Converter:
    """``decimal``: a decimal number <-> text such as ``12.50``.

    Args:
        places: Digits after the point; None keeps what is there. A value with more
            digits than that is refused, never rounded.
    """
    return Converter(
        "decimal",
        partial(_decimal, places),
        partial(_decimal, places),
        reversible="normalising",
        arguments={"places": places},
        version="1",
    )


def bools(true: Any = "true", false: Any = "false") -> Converter:
    """``bool``: the two values that mean yes and no <-> true and false."""
    if true == false:
        message = "bool needs two different values."
        raise ConfigurationError(message, code="converter.arguments")
    return lookups({true: True, false: False}, name="bool")


def lookups(
    table: Mapping[Any, Any], default: Any = None, *, name: str = "lookup"
) -> Converter:
    """``lookup``: translate by a table of record value -> entity value.

    Two-way when no two record values share an entity value and there is no default;
    otherwise only towards the entity.

    Args:
        table: TOML keys are text; integers in records are looked up as text too.
        default: What everything else becomes; None refuses everything else.
        name: How it appears in reports.
    """
    if not table:
        message = "lookup needs a table with at least one entry."
        raise ConfigurationError(message, code="converter.arguments")
    back = {_key(value): key for key, value in table.items()}
    two_way = len(back) == len(table) and default is None
    return Converter(
        name,
        partial(_look_up, {_key(key): value for key, value in table.items()}, default),
        partial(_look_up, back, None) if two_way else None,
        arguments={"table": sorted(map(repr, table.items())), "default": default},
        version="1",
    )


def splits(sep: str) -> Converter:
    """``split``: one text <-> a list of texts; parts never hold the separator."""
    if not sep:
        message = "split needs a separator."
        raise ConfigurationError(message, code="converter.arguments")
    return Converter(
        "split",
        partial(_split, sep),
        partial(_join, sep),
        reversible="normalising",
        arguments={"sep": sep},
        version="1",
    )


def prefixes(text: str) -> Converter:
    """``prefix``: the entity's value starts with this text, the record's does not."""
    return Converter(
        "prefix",
        partial(_add_prefix, text),
        partial(_remove_prefix, text),
        arguments={"text": text},
        version="1",
    )


def _textual(function: Callable[[str], str], value: Any) -> str:
    if not isinstance(value, str):
        raise Fault(f"not text but {type(value).__name__}")
    return function(value)


def _same_both_ways(name: str, function: Callable[[str], str]) -> Converter:
    both = partial(_textual, function)
    return Converter(name, both, both, reversible="normalising", version="1")


def _int_in(value: Any) -> int:
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return integer(int(value))
    if isinstance(value, str):
        raise Fault("not an integer")
    return integer(value)


def _int_out(value: Any) -> str:
    return str(integer(value))


def int_from_text(value: Any) -> int:
    """The integer of any size that decimal digits name.

    Raises:
        Fault: They do not.
    """
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,40}", value):
        return int(value)
    raise Fault("not an integer")


def _int_text_in(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int):
        raise Fault(f"not an integer but {type(value).__name__}")
    return str(value)


def _decimal(places: int | None, value: Any) -> str:
    if isinstance(value, (bool, float)):
        raise Fault("not a decimal number (floats are refused)")
    try:
        number = Decimal(value)
        fixed = number if places is None else number.quantize(_ONE.scaleb(-places))
    except (InvalidOperation, ValueError, TypeError):
        number = fixed = Decimal("NaN")
    if not fixed.is_finite() or abs(fixed.adjusted()) > 50:  # noqa: PLR2004 - no billions of zeros
        raise Fault("not a decimal number")
    if fixed != number:
        raise Fault(f"more than {places} digits after the point")
    return format(fixed, "f")


def _key(value: Any) -> Any:
    # true and 1 are equal in Python and not in data; 1 and "1" are equal in TOML keys
    return ("bool", value) if isinstance(value, bool) else str(value)


def _look_up(table: Mapping[Any, Any], default: Any, value: Any) -> Any:
    if isinstance(value, (list, dict)):
        raise Fault("not a single value")
    found = table.get(_key(value), default)
    if found is None:
        raise Fault("not in the lookup table")
    return found


def _split(sep: str, value: Any) -> list[str]:
    return _textual(str, value).split(sep) if value != "" else []


def _join(sep: str, value: Any) -> str | None:
    if not isinstance(value, list) or any(sep in _textual(str, each) for each in value):
        raise Fault("not a list of texts without the separator")
    if value == [""]:
        raise Fault("one empty text cannot be told from no text")
    return sep.join(value)


def _add_prefix(text: str, value: Any) -> str:
    return text + _textual(str, value)


def _remove_prefix(text: str, value: Any) -> str:
    if not _textual(str, value).startswith(text):
        raise Fault("does not start with the prefix")
    return str(value)[len(text) :]


def _no_float(_: str) -> NoReturn:
    raise Fault("a float; carry decimals as text")


def _json_in(value: Any) -> Any:
    if not isinstance(value, str):
        return plain(value)
    try:
        found = json.loads(value, parse_float=_no_float, parse_constant=_no_float)
    except Fault:
        raise
    except (ValueError, RecursionError):
        found = _no_float
    if found is _no_float:
        raise Fault("not JSON")
    return plain(found)


def _json_out(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _text_of_html(value: Any) -> str:
    from moatbridge.entities.html import text_of_html  # noqa: PLC0415 - slow to import

    return text_of_html(value)


INT_TEXT: Final = Converter("int text", _int_text_in, int_from_text, version="1")
"""An integer column <-> text of an entity."""

CORE: Final[dict[str, Converter | Callable[..., Converter]]] = {
    "strip": _same_both_ways("strip", str.strip),
    "lower": _same_both_ways("lower", str.lower),
    "upper": _same_both_ways("upper", str.upper),
    "casefold": _same_both_ways("casefold", str.casefold),
    "int": Converter("int", _int_in, _int_out, reversible="normalising", version="1"),
    "decimal": decimals,
    "bool": bools,
    "date": dates,
    "datetime": datetimes,
    "day": days,
    "money": moneys,
    "epoch": epochs,
    "split": splits,
    "prefix": prefixes,
    "lookup": lookups,
    "json": Converter(
        "json", _json_in, _json_out, reversible="normalising", version="1"
    ),
    "text_of_html": Converter("text_of_html", _text_of_html, version="1"),
}
"""Name -> converter, or a function of plain arguments that makes one."""
