"""Tables of delivery that came later than `schema`; the rules of that module hold."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Float, Integer, Table, Text

from moatbridge.ledger.schema import metadata

NAMES: Final = ("turn",)

Table(  # of a pair: deliveries to and fro about one record, to see a loop
    "turn",
    metadata,
    Column("link_id", Integer, primary_key=True, autoincrement=False),
    Column("turns", Text, nullable=False),  # JSON: [[moment, side, [path, ...]], ...]
    Column("tripped", Float),  # when the breaker opened
    sqlite_with_rowid=False,
)
