"""The ``fields`` setting of a stream: which columns become fields, and of what type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import ConfigDict, Field, field_validator, model_validator

from moatbridge.adapter import AdapterConfig
from moatbridge.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FieldType = Literal[
    "text", "integer", "decimal", "date", "datetime", "boolean", "binary", "json"
]


class FieldSpec(AdapterConfig):
    """One field: where it comes from and how its text is read.

    An empty cell is null, for every type. Keys and codes stay ``text``: leading zeros
    count. Numbers are ``int`` and ``Decimal``, never ``float``.

    Args:
        type: What one value is. ``json`` keeps nested values of JSON and XML as is.
        source: (``from``) Column name, or path in a nested format; default: the name.
        pattern: ``DD.MM.YYYY``, ``YYYYMMDDHHMISS`` ...; ``hex`` for binary (default
            base64). Dates and times without one are ISO 8601.
        decimal_sep: Decimal separator.
        thousands_sep: Separator of thousands, if there is one.
        implied: Number of implied decimals (``1234`` is 12.34 with 2).
        sign: ``trailing`` reads ``12-``.
        nulls: Texts that mean "no value" (``00000000``, ``31.12.9999``, ``NULL``).
        true: Spellings of true, without regard to case. The first one is written.
        false: The same for false.
        zone: Time zone of times that carry none (``Europe/Berlin``).
        required: A record without it is rejected.
        trim: Outer white space of text is dropped.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, populate_by_name=True
    )

    type: FieldType = "text"
    source: str | None = Field(default=None, alias="from", min_length=1)
    pattern: str | None = None
    decimal_sep: str = Field(default=".", pattern=r"^[^0-9+\-\s]$")
    thousands_sep: str | None = Field(default=None, pattern=r"^[^0-9+\-]$")
    implied: int | None = Field(default=None, ge=0, le=18)
    sign: Literal["leading", "trailing"] = "leading"
    nulls: tuple[str, ...] = ()
    true: tuple[str, ...] = Field(default=("true", "1"), min_length=1)
    false: tuple[str, ...] = Field(default=("false", "0"), min_length=1)
    zone: str | None = None
    required: bool = False
    trim: bool = False

    @field_validator("nulls", "true", "false", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        try:
            return value and ZoneInfo(value).key
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError("no such time zone; use a name like Europe/Vienna") from (
                error
            )

    @model_validator(mode="after")
    def _consistent(self) -> FieldSpec:
        if self.thousands_sep == self.decimal_sep:
            raise ValueError("decimal_sep and thousands_sep are the same")
        both = {each.casefold() for each in self.true} & {
            each.casefold() for each in self.false
        }
        if both:
            raise ValueError("a spelling cannot be both true and false")
        if self.pattern is not None and self.type in {"date", "datetime"}:
            from moatbridge_sftp.formats.patterns import Pattern  # noqa: PLC0415 - cheap

            Pattern(self.pattern, with_time=self.type == "datetime")
        if self.type == "binary" and self.pattern not in {None, "hex", "base64"}:
            raise ValueError("binary knows the patterns base64 and hex")
        return self


def field_table(value: Any) -> dict[str, FieldSpec]:
    """The ``fields`` setting as a table of specs.

    Args:
        value: A list of names (all text), or a table name -> type or options.

    Raises:
        ValueError: Neither, or empty (pydantic turns it into a settings error).
    """
    if isinstance(value, (list, tuple)):
        value = dict.fromkeys(value, "text")
    if not isinstance(value, dict) or not value:
        raise ValueError("fields is a list of names or a table name -> type")
    return {
        name: _spec({"type": each} if isinstance(each, str) else each)
        for name, each in value.items()
    }


def _spec(value: Any) -> FieldSpec:
    return value if isinstance(value, FieldSpec) else FieldSpec.model_validate(value)


def source_of(name: str, spec: FieldSpec) -> str:
    """The column or path a field is read from."""
    return spec.source or name


def locate(
    fields: Mapping[str, FieldSpec], columns: Sequence[str]
) -> tuple[dict[str, int], list[str], list[str]]:
    """Find every field's column; case and outer space of the header do not matter.

    Returns:
        Field name -> index, fields without a column, fields whose column is there
        twice.
    """
    places: dict[str, list[int]] = {}
    for index, column in enumerate(columns):
        places.setdefault(_plain(column), []).append(index)
    found, missing, twice = {}, [], []
    for name, spec in fields.items():
        hits = places.get(_plain(source_of(name, spec)), [])
        if not hits:
            missing.append(name)
        elif len(hits) > 1:
            twice.append(name)
        else:
            found[name] = hits[0]
    return found, missing, twice


def _plain(column: str) -> str:
    return column.strip().casefold()


def not_written(name: str) -> ConfigurationError:
    """A format was asked to write and only reads."""
    return ConfigurationError(
        f"format {name!r} is read only here; publish with csv, fixed, jsonl or xml",
        code="sftp.format",
    )


def fields_error(message: str) -> ConfigurationError:
    """The field table does not fit the format's settings."""
    return ConfigurationError(message, code="sftp.fields")
