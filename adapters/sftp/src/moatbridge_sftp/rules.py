"""Rules of a stream's files: their order, their actions, what is expected of them."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator, Field, field_validator, model_validator

from moatbridge.adapter import AdapterConfig
from moatbridge_sftp.units import Duration  # noqa: TC001 - pydantic reads it

_DAY: Final = 86_400.0


def _one_or_many(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error.msg}") from None
    return value


Texts = Annotated[tuple[str, ...], BeforeValidator(_one_or_many)]
Pattern = Annotated[str, BeforeValidator(_pattern)]


class Order(AdapterConfig):
    """``order``: a part of the name, by the first group of a regular expression."""

    group: Pattern
    as_: Literal["int", "date"] = Field(default="int", alias="as")


class Action(AdapterConfig):
    """``action``: the column of a delta file that says what happened.

    Args:
        field: Its name in ``fields``.
        upsert: Values that mean "is so now".
        delete: Values that mean "is gone".
    """

    field: str
    upsert: Texts = ("I", "U", "A", "C", "M")
    delete: Texts = ("D",)


class Expect(AdapterConfig):
    """``expect``: what a usual delivery looks like.

    Args:
        every: A file is late when this time has passed since the last one.
        by: ``HH:MM``: or at this time of the day on which it is due.
        zone: Time zone of ``by``.
        min_records: Fewer make a file bad.
        max_records: More are taken, and said.
    """

    every: Duration | None = None
    by: str | None = None
    zone: str = "UTC"
    min_records: int = Field(default=0, ge=0)
    max_records: int | None = Field(default=None, ge=1)

    @field_validator("by")
    @classmethod
    def _clock(cls, by: str | None) -> str | None:
        if by is not None and not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", by):
            raise ValueError("must be a time of the day: HH:MM")
        return by

    @field_validator("zone")
    @classmethod
    def _known(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("must be a time zone such as Europe/Berlin") from None
        return zone

    @model_validator(mode="after")
    def _whole_days(self) -> Expect:
        if self.by is not None and (self.every or 0.0) < _DAY:
            raise ValueError("by needs every, of at least a day")
        return self
