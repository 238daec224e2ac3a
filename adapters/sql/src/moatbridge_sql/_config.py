"""The settings of a system and of a stream (specification: sql, section 2)."""

from __future__ import annotations

import codecs
from datetime import date, datetime
from decimal import Decimal
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from moatbridge.adapter import AdapterConfig, Secret
from moatbridge_sql._url import check_url

Scalar = bool | int | float | Decimal | datetime | date | str


class Condition(AdapterConfig):
    """One condition of a stream's ``where``; the value is always bound, never text.

    ``in`` takes a list, ``is-null`` and ``not-null`` take nothing.
    """

    column: str
    op: Literal[
        "=", "!=", "<", "<=", ">", ">=", "in", "is-null", "not-null", "starts-with"
    ] = "="
    value: Scalar | tuple[Scalar, ...] | None = None

    @model_validator(mode="after")
    def _fits(self) -> Condition:
        bare = self.op in ("is-null", "not-null")
        if bare != (self.value is None):
            raise ValueError("is-null and not-null take no value, the others need one")
        if isinstance(self.value, tuple) != (self.op == "in"):
            raise ValueError("a list belongs to the operator 'in', and to no other")
        return self


class Deleted(AdapterConfig):
    """Which value of which column says that a row counts as deleted."""

    column: str
    value: Scalar


class SqlStreamConfig(AdapterConfig):
    """``[streams."SYSTEM/STREAM"]``: one table or view.

    ``fields`` are the only columns ever read into a record. ``key`` defaults to the
    primary key. ``external_id`` is a unique column that carries our own id where the
    database generates the key: it makes repeated creates harmless. ``overlap`` is in
    seconds for time cursors (default 300), else in numbers (default 10,000).
    """

    table: str
    fields: tuple[str, ...] = Field(min_length=1)
    key: tuple[str, ...] = ()
    name: str | None = None
    where: tuple[Condition, ...] = ()
    follow: Literal["auto", "column", "none"] = "auto"
    cursor_column: str | None = None
    late: Literal["overlap"] = "overlap"
    overlap: float | None = Field(default=None, ge=0)
    deleted: Deleted | None = None
    version: str | None = None
    external_id: str | None = None
    writable: tuple[str, ...] = ()
    remove: Literal["refuse", "mark", "delete"] | None = None
    types: dict[str, str] = Field(default_factory=dict)
    nulls: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    trim: bool = True
    empty_is_null: bool = False
    max_value_bytes: int = Field(default=1 << 20, ge=1, le=32 << 20)

    @model_validator(mode="after")
    def _consistent(self) -> SqlStreamConfig:
        if self.remove == "mark" and self.deleted is None:
            raise ValueError("remove = 'mark' needs deleted = {column, value}")
        if self.follow == "column" and self.cursor_column is None:
            raise ValueError("follow = 'column' needs cursor_column")
        return self

    @property
    def removal(self) -> Literal["refuse", "mark", "delete"]:
        """How a delete is carried out, with the default filled in."""
        return self.remove or ("mark" if self.deleted else "refuse")

    @property
    def followed(self) -> bool:
        """Whether the stream has a feed of changes."""
        return self.follow != "none" and self.cursor_column is not None

    @property
    def written(self) -> bool:
        """Whether the configuration allows any write at all."""
        return bool(self.writable) or self.remove in ("mark", "delete")


class SqlConfig(AdapterConfig):
    """``[systems.NAME]`` with ``adapter = "sql"``.

    Times are seconds.

    Args:
        url: SQLAlchemy's, without a password: ``postgresql+psycopg://user@host/name``,
            ``mysql+pymysql://user@host/name``, ``sqlite:///file.db``.
        password: The account's password.
        insecure_cleartext: Allow a connection without TLS.
        read_only: ``auto`` is read-only unless a stream of the system may be written.
        allow_privileged: Accept an account with administrator's rights.
        schemas: Only these schemas are looked at; empty: the account's default.
        statement_timeout: Seconds of one statement, also set at the server.
        lock_timeout: Seconds of waiting for a lock.
        transaction_limit: Seconds of one transaction.
        page_size: Upper bound of rows in one page.
        timezone: IANA zone of date-times that carry none.
        text_encoding: Codec of text, for databases that declare another one.
        dialect_mode: ``generic`` switches every refinement for a known database off.
        columnwise: Decode and encode whole columns at a time, which is several times
            cheaper; false takes values one by one (the records are the same).
    """

    url: str = Field(repr=False)
    password: Secret | None = None
    insecure_cleartext: bool = False
    read_only: bool | Literal["auto"] = "auto"
    allow_privileged: bool = False
    schemas: tuple[str, ...] = ()
    statement_timeout: float = Field(default=30, gt=0)
    lock_timeout: float = Field(default=5, gt=0)
    transaction_limit: float = Field(default=60, gt=0)
    page_size: int = Field(default=2000, ge=1, le=50_000)
    timezone: str | None = None
    text_encoding: str | None = None
    dialect_mode: Literal["auto", "generic"] = "auto"
    columnwise: bool = True

    @field_validator("url")
    @classmethod
    def _safe(cls, url: str) -> str:
        check_url(url)
        return url

    @field_validator("timezone")
    @classmethod
    def _zone(cls, name: str | None) -> str | None:
        if name is not None:
            try:
                ZoneInfo(name)
            except (KeyError, ValueError, OSError):
                raise ValueError(
                    "not an IANA time zone such as Europe/Berlin"
                ) from None
        return name

    @field_validator("text_encoding")
    @classmethod
    def _codec(cls, name: str | None) -> str | None:
        try:
            codecs.lookup(name or "utf-8")
        except LookupError:
            raise ValueError("not a codec that Python knows") from None
        return name

    @property
    def zone(self) -> ZoneInfo | None:
        """The zone of date-times without one."""
        return ZoneInfo(self.timezone) if self.timezone else None
