"""From the text of one cell to a value and back, by the field's own rules.

Every reader takes text and raises `ValueError` for what it does not understand; it
never guesses. A writer refuses what its reader would not give back.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from datetime import date, datetime
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from moatbridge_sftp.formats import formula
from moatbridge_sftp.formats.patterns import Pattern, quick_date

if TYPE_CHECKING:
    from moatbridge_sftp.formats.fields import FieldSpec

Read = Callable[[str], Any]
Write = Callable[[Any], str]

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,4300}")
_ISO_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_ISO_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}"
    r"(:[0-9]{2}([.][0-9]{1,6})?)?(Z|[+-][0-9]{2}:?[0-9]{2})?"
)


_EXACT: Final = Context(prec=9999)
"""Decimals keep every digit; the default context would round to 28."""


FAULTY: Final = (ValueError, TypeError, ArithmeticError)
"""What a reader may raise for text it does not understand."""


class Required(ValueError):
    """A required field is empty."""


def cell_reader(spec: FieldSpec, *, guarded: bool = False) -> Read:
    """The function from one cell's text to its value; empty and ``nulls`` are None.

    Args:
        spec: The field.
        guarded: Text may carry a formula guard's quote, which is taken away.
    """
    nulls, required, strips = frozenset(spec.nulls), spec.required, _strips(spec)
    parse = formula.restore if guarded and spec.type == "text" else text_reader(spec)

    def read(cell: str) -> Any:
        text = cell.strip() if strips else cell
        if not text or text in nulls:
            if required:
                raise Required("required")
            return None
        return parse(text)

    return read


def inline(spec: FieldSpec) -> str | None:
    """Source code of an expression for the commonest cells of this type.

    It works on ``{c}`` and leaves everything unusual to ``{k}``, the cell's reader. It
    names `INLINE_NAMES` and holds no text of a configuration but single characters as
    their `repr`.
    """
    if spec.nulls:
        return None
    if spec.type == "integer":
        return "int({c}) if {c}.isdecimal() and {c}.isascii() else {k}({c})"
    plain = not spec.thousands_sep and spec.sign == "leading"
    if spec.type == "decimal" and plain and not spec.implied:
        if spec.decimal_sep == ".":
            return "Decimal({c}) if number({c}) else {k}({c})"
        if spec.decimal_sep == ",":
            return "Decimal({c}.replace(',', '.')) if comma_number({c}) else {k}({c})"
    if spec.type == "date":
        return quick_date(spec.pattern or "YYYY-MM-DD")
    return None


INLINE_NAMES: Final = {
    "int": int,
    "len": len,
    "Decimal": Decimal,
    "iso": date.fromisoformat,
    "number": re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?").fullmatch,
    "comma_number": re.compile(r"[+-]?[0-9]+(?:,[0-9]+)?").fullmatch,
}


def cell_writer(spec: FieldSpec) -> Write:
    """The function from a value to the text of its cell; None is empty.

    It raises `ValueError` with a reason that shows no value.
    """
    nulls, required = frozenset(spec.nulls), spec.required
    render = text_writer(spec)

    def write(value: Any) -> str:
        if value is None:
            if required:
                raise ValueError("is required")
            return ""
        text = render(value)
        if text in nulls:
            raise ValueError("would be read back as null")
        if not text and required:
            raise ValueError("is required")
        return text

    return write


def _strips(spec: FieldSpec) -> bool:
    return spec.trim or spec.type != "text"


def text_reader(spec: FieldSpec) -> Read:
    """The function from non-empty text to a value of the field's type."""
    return _READERS[spec.type](spec)


def text_writer(spec: FieldSpec) -> Write:
    """The function from a value of the field's type to text."""
    return _WRITERS[spec.type](spec)


def _read_text(spec: FieldSpec) -> Read:
    del spec
    return str


def _read_integer(spec: FieldSpec) -> Read:
    clean = _number_text(spec)

    def read(text: str) -> int:
        if text.isdecimal() and text.isascii():
            return int(text)
        text = clean(text)
        if not _INTEGER.fullmatch(text):
            raise ValueError("no integer")
        return int(text)

    return read


def _read_decimal(spec: FieldSpec) -> Read:
    point, implied, clean = spec.decimal_sep, spec.implied, _number_text(spec)
    plain = re.compile(rf"[+-]?[0-9]+(?:{re.escape(point)}[0-9]+)?").fullmatch
    simple = not (spec.thousands_sep or spec.sign == "trailing" or implied)

    def read(text: str) -> Decimal:
        if not simple:
            text = clean(text)
        if not plain(text):
            raise ValueError("no number")
        if implied and point not in text:
            return Decimal(text).scaleb(-implied, _EXACT)
        return Decimal(text if point == "." else text.replace(point, "."))

    return read


def _number_text(spec: FieldSpec) -> Callable[[str], str]:
    """Without thousands separators and with the sign in front."""
    thousands, trailing = spec.thousands_sep, spec.sign == "trailing"
    point = re.escape(spec.decimal_sep)
    grouped = None
    if thousands:
        sep = re.escape(thousands)
        grouped = re.compile(
            rf"[+-]?(?:[0-9]{{1,3}}(?:{sep}[0-9]{{3}})+|[0-9]+)(?:{point}[0-9]+)?"
        )

    def clean(text: str) -> str:
        if trailing and text[-1:] in {"+", "-"} and text[:1] not in {"+", "-"}:
            text = text[-1] + text[:-1].rstrip()
        if grouped is None or thousands is None:
            return text
        if not grouped.fullmatch(text):
            raise ValueError("no number")
        return text.replace(thousands, "")

    return clean


def _read_date(spec: FieldSpec) -> Read:
    if spec.pattern is not None:
        return Pattern(spec.pattern, with_time=False).parse

    def read(text: str) -> date:
        if not _ISO_DATE.fullmatch(text):
            raise ValueError("no date")
        return date.fromisoformat(text)

    return read


def _read_datetime(spec: FieldSpec) -> Read:
    parse = _parse_datetime(spec)
    if spec.zone is None:
        return parse
    zone = ZoneInfo(spec.zone)

    def read(text: str) -> datetime:
        moment = parse(text)
        return moment.replace(tzinfo=zone) if moment.tzinfo is None else moment

    return read


def _parse_datetime(spec: FieldSpec) -> Callable[[str], datetime]:
    if spec.pattern is not None:
        parse: Callable[[str], Any] = Pattern(spec.pattern, with_time=True).parse
        return parse

    def iso(text: str) -> datetime:
        if not _ISO_TIME.fullmatch(text):
            raise ValueError("no date and time")
        return datetime.fromisoformat(text)

    return iso


def _read_boolean(spec: FieldSpec) -> Read:
    known = {each.casefold(): True for each in spec.true}
    known |= {each.casefold(): False for each in spec.false}

    def read(text: str) -> bool:
        try:
            return known[text.casefold()]
        except KeyError:
            raise ValueError("no listed spelling of true or false") from None

    return read


def _read_binary(spec: FieldSpec) -> Read:
    if spec.pattern == "hex":
        return binascii.unhexlify
    return lambda text: base64.b64decode(text, validate=True)


def _read_json(spec: FieldSpec) -> Read:
    del spec
    return str


def _write_text(spec: FieldSpec) -> Write:
    trim = spec.trim

    def write(value: Any) -> str:
        if value.__class__ is not str:
            raise ValueError("is not text")
        if trim and value != value.strip():
            raise ValueError("has outer white space, which trim drops")
        return str(value)

    return write


def _write_integer(spec: FieldSpec) -> Write:
    trailing = spec.sign == "trailing"

    def write(value: Any) -> str:
        if value.__class__ is not int:
            raise ValueError("is not an integer")
        return _signed(str(value), trailing=trailing)

    return write


def _write_decimal(spec: FieldSpec) -> Write:
    point, implied, trailing = spec.decimal_sep, spec.implied, spec.sign == "trailing"

    def write(value: Any) -> str:
        if value.__class__ is int:
            value = Decimal(value)
        if value.__class__ is not Decimal or not value.is_finite():
            raise ValueError("is not a finite decimal")
        if implied:
            value = value.scaleb(implied, _EXACT)
            if value != value.to_integral_value():
                raise ValueError(f"has more than {implied} decimals")
            text = str(int(value))
        else:
            text = format(value, "f").replace(".", point)
        return _signed(text, trailing=trailing)

    return write


def _signed(text: str, *, trailing: bool) -> str:
    return text[1:] + "-" if trailing and text[0] == "-" else text


def _write_date(spec: FieldSpec) -> Write:
    pattern = spec.pattern and Pattern(spec.pattern, with_time=False)

    def write(value: Any) -> str:
        if value.__class__ is not date:
            raise ValueError("is not a date")
        return pattern.format(value) if pattern else str(value.isoformat())

    return write


def _write_datetime(spec: FieldSpec) -> Write:
    zone = ZoneInfo(spec.zone) if spec.zone else None
    pattern = spec.pattern and Pattern(spec.pattern, with_time=True)

    def write(value: Any) -> str:
        if not isinstance(value, datetime):
            raise ValueError("is not a date and time")  # noqa: TRY004 - one fault kind
        if zone is not None:
            value = _local(value, zone)
        if not pattern:
            return str(value.isoformat())
        if value.tzinfo is not None and not pattern.has_offset:
            raise ValueError("has an offset, which the pattern does not carry")
        return pattern.format(value)

    return write


def _local(value: datetime, zone: ZoneInfo) -> datetime:
    if value.tzinfo is None:
        raise ValueError("has no time zone, but the field has one")
    local = value.astimezone(zone)
    naive = local.replace(tzinfo=None, fold=0)
    if naive.replace(tzinfo=zone).utcoffset() != local.utcoffset():
        raise ValueError("is ambiguous in the field's time zone")
    return naive


def _write_boolean(spec: FieldSpec) -> Write:
    def write(value: Any) -> str:
        if value.__class__ is not bool:
            raise ValueError("is not true or false")
        return spec.true[0] if value else spec.false[0]

    return write


def _write_binary(spec: FieldSpec) -> Write:
    to_hex = spec.pattern == "hex"

    def write(value: Any) -> str:
        if value.__class__ is not bytes:
            raise ValueError("is not binary")
        return value.hex() if to_hex else base64.b64encode(value).decode("ascii")

    return write


def _write_json(spec: FieldSpec) -> Write:
    del spec

    def write(value: Any) -> str:
        del value
        raise ValueError("is nested, which this format cannot hold")

    return write


_READERS: Final[dict[str, Callable[[FieldSpec], Read]]] = {
    "text": _read_text,
    "integer": _read_integer,
    "decimal": _read_decimal,
    "date": _read_date,
    "datetime": _read_datetime,
    "boolean": _read_boolean,
    "binary": _read_binary,
    "json": _read_json,
}
_WRITERS: Final[dict[str, Callable[[FieldSpec], Write]]] = {
    "text": _write_text,
    "integer": _write_integer,
    "decimal": _write_decimal,
    "date": _write_date,
    "datetime": _write_datetime,
    "boolean": _write_boolean,
    "binary": _write_binary,
    "json": _write_json,
}
