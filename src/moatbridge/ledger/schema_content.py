"""Tables of schema 2: settling after delivery, incidents, replies and answers.

Beside `schema`, in the same ``MetaData``: a ledger of schema 1 gets them when it is
opened. The rules of `schema` hold here too.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    Column,
    Float,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

from moatbridge.ledger.schema import Id, metadata

TABLES: Final = metadata
"""All tables of the ledger, these included."""

Table(  # what the source is told once everything up to ``seq`` is delivered
    "unsettled",
    metadata,
    Column("flow_id", Id, nullable=False),
    Column("part", Text, nullable=False),
    Column("slot", Integer, nullable=False),  # 0: waited for, 1: the newest one
    Column("run_id", Id, nullable=False),
    Column("seq", Id, nullable=False),
    Column("cursor", Text, nullable=False),  # the adapter's own JSON
    PrimaryKeyConstraint("flow_id", "part", "slot"),
    sqlite_with_rowid=False,
)
Table(  # receipts that say the target did something it must not (guard 47)
    "incident",
    metadata,
    Column("incident_id", Id, Identity(), primary_key=True),
    Column("system", Text, nullable=False),
    Column("flow_id", Id, nullable=False),
    Column("what", Text, nullable=False),
    Column("at", Float, nullable=False),
    Index("incident_system", "system", "at"),
)
Table(  # replies to posts of ours, each taken once
    "reply",
    metadata,
    Column("flow_id", Id, nullable=False),
    Column("k", LargeBinary, nullable=False),  # hash of the reply's key
    Column("post", Id, nullable=False),  # link of the record that was posted
    Column("fp", LargeBinary, nullable=False),  # of its text when it was taken
    Column("asker", Text, nullable=False),  # reference to the account, as JSON
    Column("outcome", Text, nullable=False),
    Column("at", Float, nullable=False),
    PrimaryKeyConstraint("flow_id", "k"),
    sqlite_with_rowid=False,
)
Table(  # the source of a flow's answers: appended, never changed
    "answer",
    metadata,
    Column("answer_id", Id, Identity(), primary_key=True),
    Column("flow_id", Id, nullable=False),  # the flow that decides
    Column("k", LargeBinary, nullable=False),  # the reply that is answered
    Column("kind", Text, nullable=False),
    Column("body", Text, nullable=False),  # the post, as JSON
    Column("at", Float, nullable=False),
    UniqueConstraint("flow_id", "k", "kind"),
    sqlite_autoincrement=True,
)
