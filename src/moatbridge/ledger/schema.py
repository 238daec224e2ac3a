"""The ledger's tables (delivery 3).

Why this shape: state lives on the parcel and intents are insert-only, so a thousand
new records cost a few batched inserts and one update. Measured against a state column
per record with four indexes it is three to four times faster. Do not add an index to
``intent``, ``link`` or ``mark``, or a write per record, without measuring again.

``scope`` is the tenant. Numeric ids belong to exactly one scope, so they are the first
part of every child key. All times are POSIX seconds (ledger wall clock) unless a column
says otherwise.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

FINISHED: Final = 10
"""Parcel and intent states from here on are final (see `states`)."""

Id: Final = BigInteger().with_variant(Integer, "sqlite")
"""Ids, positions and milliseconds: 64 bits, and SQLite's own row numbers."""

metadata: Final = MetaData()

Table(
    "meta",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
    sqlite_with_rowid=False,
)
Table(
    "pair",
    metadata,
    Column("pair_id", Id, Identity(), primary_key=True),
    Column("scope", Text, nullable=False),
    Column("a", Text, nullable=False),  # stream addresses
    Column("b", Text, nullable=False),
    UniqueConstraint("scope", "a", "b"),
)
Table(
    "flow",
    metadata,
    Column("flow_id", Id, Identity(), primary_key=True),
    Column("scope", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("pair_id", Id, nullable=False),
    Column("side", Integer, nullable=False),  # 0: reads side a, 1: reads side b
    Column("generation", Id, nullable=False, server_default="0"),
    Column("translator", Text),  # versions, so that a mass change has a reason
    Column("report", Text),  # fields that left the building when last approved
    Column("bug", Text),  # an impossible state was met; the flow is stopped
    UniqueConstraint("scope", "name"),
)
Table(
    "run",
    metadata,
    Column("run_id", Id, Identity(), primary_key=True),
    Column("flow_id", Id, nullable=False),
    Column("kind", Text, nullable=False),  # pass | live | review
    Column("state", Text, nullable=False),
    Column("auto", Integer, nullable=False, server_default="0"),
    Column("generation", Id),
    Column("plan_digest", Text),
    Column("counts", Text),
    Column("verdict", Text),
    Column("actor", Text),
    Column("created", Float, nullable=False),
    Column("planned", Float),
    Column("finished", Float),
    Column("error", Text),
    Index("run_open", "flow_id", "state"),
)
Table(
    "partition",
    metadata,
    Column("flow_id", Id, nullable=False),
    Column("part", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("generation", Id),
    Column("spec", Text),
    Column("zone", Text, nullable=False, server_default="default"),
    Column("priority", Integer, nullable=False, server_default="3"),
    Column("cursor", Text),
    Column("server", Text),
    Column("fence", Id, nullable=False, server_default="0"),
    Column("seq", Id, nullable=False, server_default="0"),
    Column("owner", Text),
    Column("lease_until", Id),  # milliseconds of the boot clock
    Column("boot", Text),  # boot id that lease_until belongs to
    Column("state", Text, nullable=False, server_default="ready"),
    Column("not_before", Float, nullable=False, server_default="0"),
    Column("served_at", Float, nullable=False, server_default="0"),
    Column("dispatched_at", Float),
    Column("woken", Integer, nullable=False, server_default="0"),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("error", Text),
    Column("records", Id, nullable=False, server_default="0"),
    Column("rejects", Id, nullable=False, server_default="0"),
    PrimaryKeyConstraint("flow_id", "part"),
    sqlite_with_rowid=False,
    postgresql_with={"fillfactor": 50},  # changed at every commit: room on its page
)
Table(
    "scan",
    metadata,
    Column("flow_id", Id, nullable=False),
    Column("generation", Id, nullable=False),
    Column("state", Text, nullable=False),  # open | complete | abandoned
    Column("link_high", Id, nullable=False),
    Column("server", Text),
    Column("query", Text),
    Column("started", Float, nullable=False),
    Column("finished", Float),
    Column("seen", Id, nullable=False, server_default="0"),
    Column("prev_seen", Id),
    Column("blind", Id, nullable=False, server_default="0"),  # rejects without ref
    Column("snapshot", Integer, nullable=False, server_default="0"),
    PrimaryKeyConstraint("flow_id", "generation"),
    sqlite_with_rowid=False,
)
Table(
    "seen",
    metadata,
    Column("flow_id", Id, nullable=False),
    Column("generation", Id, nullable=False),
    Column("part", Text, nullable=False),
    Column("chunk", Integer, nullable=False),
    Column("bits", LargeBinary, nullable=False),
    PrimaryKeyConstraint("flow_id", "generation", "part", "chunk"),
    sqlite_with_rowid=False,
)
Table(
    "link",
    metadata,
    Column("link_id", Id, primary_key=True, autoincrement=False),
    Column("pair_id", Id, nullable=False),
    Column("a_key", Text),
    Column("a_name", Text),
    Column("b_key", Text),
    Column("b_name", Text),
    Column("a_ver", Text),
    Column("b_ver", Text),
    Column("state", Integer, nullable=False),
    Column("origin", Integer, nullable=False, server_default="0"),  # 1: we made it
    Column("quiet_until", Float),
    Column("remove_at", Float),
    Column("missing_gen", Id),
    Column("round", Integer, nullable=False, server_default="0"),
    Column("base", LargeBinary),
)
Table(
    "mark",
    metadata,
    Column("side_id", Id, nullable=False),
    Column("k", LargeBinary, nullable=False),
    Column("fp", LargeBinary),
    Column("out_fp", LargeBinary),
    Column("link_id", Id, nullable=False),
    PrimaryKeyConstraint("side_id", "k"),
    sqlite_with_rowid=False,
)
Table(
    "alias",
    metadata,
    Column("side_id", Id, nullable=False),
    Column("k", LargeBinary, nullable=False),
    Column("link_id", Id, nullable=False),
    PrimaryKeyConstraint("side_id", "k"),
    sqlite_with_rowid=False,
)
Table(
    "parcel",
    metadata,
    Column("parcel_id", Id, Identity(), primary_key=True),
    Column("flow_id", Id, nullable=False),
    Column("run_id", Id, nullable=False),
    Column("lane", Integer, nullable=False),
    Column("phase", Integer, nullable=False),  # 0 upserts, 1 disables, 2 removals
    Column("part", Text),
    Column("upto", Id),
    Column("state", Integer, nullable=False),
    Column("n", Integer, nullable=False),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("fence", Id),
    Column("not_before", Float, nullable=False, server_default="0"),
    Column("deadline", Float),
    Column("first_sent", Float),
    Column("last_sent", Float),
    Column("doubt", Integer, nullable=False, server_default="0"),  # see `parcels`
    Index(
        "parcel_open",
        "flow_id",
        "lane",
        "state",
        sqlite_where=text(f"state < {FINISHED}"),
        postgresql_where=text(f"state < {FINISHED}"),
    ),
)
Table(
    "intent",
    metadata,
    Column("parcel_id", Id, nullable=False),
    Column("pos", Integer, nullable=False),
    Column("link_id", Id),
    Column("k", LargeBinary),
    Column("ref", Text, nullable=False),  # JSON [key, name] at the source
    Column("op", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("prev_fp", LargeBinary),
    Column("fp", LargeBinary),
    Column("out_fp", LargeBinary),
    Column("state", Integer),  # null: as its parcel
    Column("payload", Text),  # the entity; from admission on the encoded intent
    Column("label", Text),
    Column("receipt", Text),
    Column("error", Text),
    PrimaryKeyConstraint("parcel_id", "pos"),
    sqlite_with_rowid=False,
)
Table(
    "open",
    metadata,
    Column("link_id", Id, nullable=False),
    Column("slot", Integer, nullable=False),
    Column("parcel_id", Id, nullable=False),
    Column("pos", Integer, nullable=False),
    PrimaryKeyConstraint("link_id", "slot"),
    sqlite_with_rowid=False,
)
Table(
    "before",
    metadata,
    Column("parcel_id", Id, nullable=False),
    Column("pos", Integer, nullable=False),
    Column("image", Text, nullable=False),
    PrimaryKeyConstraint("parcel_id", "pos"),
    sqlite_with_rowid=False,
)
Table(
    "hold",
    metadata,
    Column("hold_id", Id, Identity(), primary_key=True),
    Column("flow_id", Id, nullable=False),
    Column("parcel_id", Id, nullable=False),
    Column("k", LargeBinary, nullable=False),
    Column("out_fp", LargeBinary),
    Column("reason", Text, nullable=False),
    Column("rule", Text),
    Column("detail", Text),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("decided", Text),  # approve | refuse | replay
    Column("decided_by", Text),
    Column("created", Float, nullable=False),
    Column("expires", Float),
    UniqueConstraint("flow_id", "k"),
    sqlite_autoincrement=True,  # a person may still look at an item that is over
)
Table(
    "reject",
    metadata,
    Column("reject_id", Id, Identity(), primary_key=True),
    Column("flow_id", Id, nullable=False),
    Column("k", LargeBinary),
    Column("ref", Text),
    Column("location", Text),
    Column("reason", Text, nullable=False),
    Column("field", Text),
    Column("times", Integer, nullable=False, server_default="1"),
    Column("created", Float, nullable=False),
    Column("last", Float, nullable=False),
    UniqueConstraint("flow_id", "k"),
)
Table(
    "wait_ref",
    metadata,
    Column("side_id", Id, nullable=False),  # where the missing record lives
    Column("k", LargeBinary, nullable=False),  # its key, or the hash of its name
    Column("by_name", Integer, nullable=False),
    Column("flow_id", Id, nullable=False),
    Column("link_id", Id, nullable=False),  # who waits
    PrimaryKeyConstraint("side_id", "k", "by_name", "flow_id", "link_id"),
    sqlite_with_rowid=False,
)
Table(  # records to read and judge afresh: stale writes, resolved references
    "again",
    metadata,
    Column("flow_id", Id, nullable=False),
    Column("link_id", Id, nullable=False),
    Column("reason", Text, nullable=False),
    Column("due", Integer, nullable=False, server_default="1"),
    Column("tries", Integer, nullable=False, server_default="0"),
    PrimaryKeyConstraint("flow_id", "link_id"),
    sqlite_with_rowid=False,
)
Table(
    "approval",
    metadata,
    Column("run_id", Id, nullable=False),
    Column("principal", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("at", Float, nullable=False),
    Column("accepted", Text, nullable=False),
    Column("count", Id),
    PrimaryKeyConstraint("run_id", "principal"),
    sqlite_with_rowid=False,
)
Table(
    "kill",
    metadata,
    Column("scope", Text, nullable=False),  # all | system:NAME | flow:NAME
    Column("reason", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("at", Float, nullable=False),
    PrimaryKeyConstraint("scope"),
    sqlite_with_rowid=False,
)
Table(
    "guard_count",
    metadata,
    Column("flow_id", Id, nullable=False),
    Column("rule", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("hour", Integer, nullable=False),  # hours since the epoch
    Column("n", Integer, nullable=False),
    PrimaryKeyConstraint("flow_id", "rule", "key", "hour"),
    sqlite_with_rowid=False,
)
Table(
    "audit_in",
    metadata,
    Column("event_id", Id, Identity(), primary_key=True),
    Column("at", Float, nullable=False),
    Column("kind", Text, nullable=False),
    Column("body", Text, nullable=False),  # JSON: counts, names of fields, never values
)
Table(  # what was pushed to us and acknowledged; `seq` is never reused
    "inbox",
    metadata,
    Column("seq", Id, Identity(), primary_key=True),
    Column("scope", Text, nullable=False),
    Column("system", Text, nullable=False),
    Column("delivery_id", Text, nullable=False),
    Column("ordering_key", Text, nullable=False),
    Column("received", Float, nullable=False),
    Column("content", Text),  # frozen changes; null once every flow has read them
    UniqueConstraint("scope", "system", "delivery_id"),
    Index("inbox_order", "scope", "system", "seq"),
    sqlite_autoincrement=True,
)
