"""Tables about who works, not about what is carried: losing them loses nothing."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Float, Integer, PrimaryKeyConstraint, Table, Text

from moatbridge.ledger.schema import metadata

NAMES: Final = ("worker", "described")

Table(  # processes that dispatch, as they say themselves now and then
    "worker",
    metadata,
    Column("scope", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("zones", Text, nullable=False),  # JSON
    Column("slots", Integer, nullable=False),
    Column("busy", Integer, nullable=False),
    Column("lost", Integer, nullable=False),  # slots whose calls never came back
    Column("begun", Float, nullable=False),
    Column("seen", Float, nullable=False),
    PrimaryKeyConstraint("scope", "owner"),
    sqlite_with_rowid=False,
)
Table(  # streams as workers of their zone found them, for workers of other zones
    "described",
    metadata,
    Column("scope", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("body", Text, nullable=False),  # JSON; no secret, no record
    Column("at", Float, nullable=False),
    PrimaryKeyConstraint("scope", "address"),
    sqlite_with_rowid=False,
)
