"""People of one table written to another, in SQLite and in PostgreSQL."""

from __future__ import annotations

import sqlite3
from abc import abstractmethod
from contextlib import closing
from typing import TYPE_CHECKING, Any

from harness.contents import digest, row, user
from harness.scenario import Variant, Work

from scenarios.to_platform.places import LOOPBACK, Sqlite

if TYPE_CHECKING:
    from pathlib import Path

    from harness.scenario import Place

RECORDS = 100_000
COLUMNS = ("staff_no", "login", "given", "family", "mail", "phone", "title", "dept", "active")  # fmt: skip
TABLE = (
    "CREATE TABLE people (id {key}, staff_no text UNIQUE, login text UNIQUE, given text, family text,"
    " mail text, phone text, title text, dept text, active boolean NOT NULL DEFAULT true)"
)
PATHS = {
    "externalId": "staff_no",
    "userName": "login",
    "name.givenName": "given",
    "name.familyName": "family",
    "emails[type=work].value": "mail",
    "phoneNumbers[type=work].value": "phone",
    "title": "title",
    "enterprise.department": "dept",
    "active": "active",
}
HERE = "scenarios.to_table_variants"


class Upsert(Work):
    """Insert or update by the external id."""

    records = RECORDS

    variants = (
        Variant(
            "orm",
            "SQLAlchemy ORM: query, add or change, one by one",
            HERE,
            "orm",
            share=0.05,
        ),
        Variant(
            "core", "SQLAlchemy Core: executemany, 1,000 a statement", HERE, "core"
        ),
        Variant("by-hand", "best script by hand, no ledger", HERE, "by_hand"),
        Variant(
            "by-hand-ledger",
            "best script by hand, with a ledger",
            HERE,
            "by_hand_with_ledger",
        ),
        Variant(
            "moatbridge",
            "moatbridge: ledger (FULL) and guard",
            "scenarios.to_platform.ours",
            "first",
            ours=True,
        ),
    )

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.source = Sqlite(place)

    def order(self, variant: Variant, folder: Path) -> dict[str, Any]:
        count = max(200, int(self.count * variant.share))
        made = self.source.order(count, folder)
        made["stream"].pop("cursor_column")
        made["stream"].pop("overlap")
        target = self.emptied(folder)
        stream = {
            "table": "people", "fields": ["id", *COLUMNS], "writable": list(COLUMNS), "external_id": "staff_no",
            "translator": {"entity": "Person", "fields": PATHS},
        }  # fmt: skip
        system = {"max_label": "confidential", **target.pop("system")}
        return {
            "records": count,
            **made,
            **target,
            "target": {"system": system, "stream": stream},
        }

    @abstractmethod
    def emptied(self, folder: Path) -> dict[str, Any]:
        """An empty table: how scripts reach it (``url``), moatbridge's ``system``."""

    @abstractmethod
    def held(self, order: dict[str, Any]) -> list[tuple[Any, ...]]:
        """What is in it."""

    def check(
        self, variant: Variant, order: dict[str, Any], found: dict[str, Any]
    ) -> None:
        there = self.held(order)
        assert len(there) == order["records"], len(there)
        wanted = digest(user(row(n)) for n in range(order["records"]))
        assert digest(user(("", *one)) for one in there) == wanted
        found["requests"] = 0


SELECT = f"SELECT {', '.join(COLUMNS[1:-1])} FROM people"


class ToSqlite(Upsert):
    """A file, synchronous FULL."""

    name = "upsert-sqlite"
    title = "{count:,} rows upserted into an empty SQLite table"

    def emptied(self, folder: Path) -> dict[str, Any]:
        path = folder / "app.db"
        with closing(sqlite3.connect(path)) as db:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute(TABLE.format(key="integer PRIMARY KEY"))
        url = f"sqlite:///{path}"
        return {"url": url, "path": str(path), "system": {"adapter": "sql", "url": url}}

    def held(self, order: dict[str, Any]) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(order["path"])) as db:
            return db.execute(SELECT).fetchall()


class ToPostgreSql(Upsert):
    """A server, fsync on."""

    name = "upsert-postgres"
    title = "{count:,} rows upserted into an empty PostgreSQL table"

    def __init__(self, place: Place) -> None:
        from servers.postgres import ROLES, Postgres

        super().__init__(place)
        self._server = place.stack.enter_context(Postgres())
        self._server.create_database("app", "")
        self._password = ROLES["writer"]
        with self._server.connect() as owner:
            owner.execute("ALTER SYSTEM SET fsync=on")
            owner.execute("SELECT pg_reload_conf()")

    def emptied(self, folder: Path) -> dict[str, Any]:
        with self._server.connect("app") as owner:
            owner.execute("DROP TABLE IF EXISTS people")
            owner.execute(
                TABLE.format(key="bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY")
            )
            owner.execute("GRANT SELECT, INSERT, UPDATE ON people TO writer")
        at = f"127.0.0.1:{self._server.port}/app"
        return {
            "url": f"postgresql+psycopg://writer:{self._password}@{at}?sslmode=disable",
            "env": {"TARGET_PASSWORD": self._password},
            "system": {
                "adapter": "sql", "url": f"postgresql+psycopg://writer@{at}", "password": "env:TARGET_PASSWORD",
                "insecure_cleartext": True, **LOOPBACK,
            },
        }  # fmt: skip

    def held(self, order: dict[str, Any]) -> list[tuple[Any, ...]]:
        with self._server.connect("app") as owner:
            return owner.execute(SELECT).fetchall()


WORKS = (ToSqlite, ToPostgreSql)
