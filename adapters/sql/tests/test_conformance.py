"""The shipped conformance suite over PostgreSQL, MariaDB and SQLite."""

from __future__ import annotations

import itertools
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from moatbridge.testing import AdapterConformance, Harness
from moatbridge_sql import SqlAdapter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moatbridge.adapter import Adapter
    from moatbridge.changes import Data

_NUMBERS = itertools.count(1000)
COLUMNS = ("nr", "login", "nachname", "telefon", "v")


class TableHarness(Harness):
    """One table with a natural key, a version and a cursor."""

    unique = "login"
    clearable = "telefon"

    def __init__(self, database: Any) -> None:
        self.db = database
        self.table = database.name("people")
        self.endpoint = database.server.endpoint if database.roles else None
        self.canaries = list(database.roles.values())
        stamp = "timestamp(6)" if database.kind != "sqlite" else "timestamp"
        database.sql(
            f"create table {self.table}(nr integer primary key, login varchar(60) not null unique, nachname varchar(20),"
            f" telefon varchar(20), v integer not null default 1, stand {stamp} not null default ({self.now}))"
        )

    @property
    def now(self) -> str:
        return (
            "strftime('%Y-%m-%d %H:%M:%f', 'now')"
            if self.db.kind == "sqlite"
            else "current_timestamp(6)"
        )

    def make(self, *, endpoint: Any = None, credentials: Any = "good") -> Adapter[Any]:
        stream = {
            "table": self.table,
            "fields": COLUMNS,
            "cursor_column": "stand",
            "version": "v",
            "writable": COLUMNS,
            "remove": "delete",
        }
        secret = "wrong-password" if credentials == "bad" else None
        return self.db.make({"people": stream}, endpoint=endpoint, secret=secret)

    def sample(self, count: int) -> list[Data]:
        return [
            {
                "nr": next(_NUMBERS),
                "login": f"u{uuid.uuid4().hex}",
                "nachname": "Müller",
                "telefon": "+49 1",
                "v": 1,
            }
            for _ in range(count)
        ]

    def seed(self, records: Sequence[Data]) -> None:
        rows = [tuple(record[name] for name in COLUMNS) for record in records]
        self.db.sql(
            f"insert into {self.table}({', '.join(COLUMNS)}, stand) values (?, ?, ?, ?, ?, {self.now})",
            *rows,
        )

    def read_all(self) -> list[Data]:
        return [
            {"login": row[0]} for row in self.db.sql(f"select login from {self.table}")
        ]

    def remove(self, values: Sequence[str]) -> None:
        if values:
            self.db.sql(
                f"delete from {self.table} where login = ?",
                *((value,) for value in values),
            )

    def edit(self, value: str) -> None:
        self.db.sql(
            f"update {self.table} set nachname = 'Meier', v = v + 1, stand = {self.now} where login = ?",
            (value,),
        )

    def spoil(self, value: str) -> None:
        self.db.sql(f"update {self.table} set v = 'none' where login = ?", (value,))

    def change(self, record: Data) -> Data:
        return {"nachname": "Schulze", "v": record["v"] + 1}

    def broken(self) -> Data:
        return {**self.sample(1)[0], "login": None}

    def absent(self) -> Any:
        from moatbridge.changes import Ref

        return Ref(str(next(_NUMBERS)))


class SqlConformance(AdapterConformance):
    adapter = SqlAdapter
    features = frozenset({"keyed", "conditional", "partitions", "translator"})

    @pytest.fixture
    def harness(self, request: pytest.FixtureRequest) -> TableHarness:
        return TableHarness(request.getfixturevalue(self.fixture))


class TestPostgresql(SqlConformance):
    adapter = SqlAdapter
    features = SqlConformance.features | {"network", "credentials"}
    fixture = "pg"


class TestMariadb(SqlConformance):
    adapter = SqlAdapter
    features = SqlConformance.features | {"network", "credentials"}
    fixture = "my"


class TestSqlite(SqlConformance):
    adapter = SqlAdapter
    features = SqlConformance.features | {"rejects"}  # it keeps any text anywhere
    fixture = "lite"
