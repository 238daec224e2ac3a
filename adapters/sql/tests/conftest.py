"""Three real databases behind one handle: each test makes its own tables."""

from __future__ import annotations

import itertools
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from pydantic import SecretStr

from moatbridge.adapter import Partition, TlsSettings
from moatbridge.testing import net
from moatbridge_sql import SqlAdapter, SqlConfig, SqlStreamConfig
from servers import mariadb as mariadb_server
from servers import postgres as postgres_server
from servers.mariadb import mariadb
from servers.postgres import postgres

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = ["mariadb", "postgres"]

_NUMBERS = itertools.count(1)
GRANTS = """
create schema hr;
grant usage on schema hr, public to reader, writer;
alter default privileges grant select on tables to reader;
alter default privileges grant select, insert, update, delete on tables to writer;
alter default privileges grant usage on sequences to writer;
"""


class Database:
    """One database; ``mode`` is the adapter's dialect_mode."""

    kind = ""
    roles: ClassVar[dict[str, str]] = {}
    mark = "%s"

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self._open: list[SqlAdapter] = []

    def name(self, stem: str = "t") -> str:
        """A table name of this test's own."""
        return f"{stem}{next(_NUMBERS)}"

    def url(self, role: str, endpoint: Any) -> str:
        raise NotImplementedError

    def connect(self) -> Any:
        raise NotImplementedError

    def tls(self) -> TlsSettings:
        return TlsSettings()

    def sql(self, statement: str, *rows: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Run a statement round the adapter, with `?` for values."""
        with (
            closing(self.connect()) as connection,
            closing(connection.cursor()) as cursor,
        ):
            text = statement if not rows else statement.replace("?", self.mark)
            for row in rows or [()]:
                cursor.execute(text, row) if row else cursor.execute(text)
            return list(cursor.fetchall()) if cursor.description else []

    def make(
        self,
        streams: dict[str, dict[str, Any]],
        role: str = "writer",
        *,
        endpoint: Any = None,
        secret: str | None = None,
        **settings: Any,
    ) -> SqlAdapter:
        """An adapter that is not open."""
        if self.roles:
            settings["password"] = SecretStr(secret or self.roles[role])
        config = SqlConfig(
            **{
                "url": self.url(role, endpoint),
                "dialect_mode": self.mode,
                "page_size": 5,
                **settings,
            }
        )
        adapter = SqlAdapter(
            config,
            {name: SqlStreamConfig(**stream) for name, stream in streams.items()},
        )
        adapter.net = net(SqlAdapter.endpoints(config), tls=self.tls())
        self._open.append(adapter)
        return adapter

    def open(
        self, table: str = "", fields: Sequence[str] = (), **more: Any
    ) -> SqlAdapter:
        """An open adapter with the stream ``people`` over a table."""
        names = set(SqlConfig.model_fields) | {"role", "endpoint", "secret"}
        outer = {key: more.pop(key) for key in names & set(more)}
        streams = (
            {"people": {"table": table, "fields": list(fields), **more}}
            if table
            else {}
        )
        adapter = self.make(streams, **outer)
        adapter.open()
        return adapter

    @staticmethod
    def scan(adapter: SqlAdapter, after: Any = None) -> list[Any]:
        """All batches of a scan."""
        return list(adapter.scan("people", Partition(), after))

    @classmethod
    def records(cls, adapter: SqlAdapter) -> list[dict[str, Any]]:
        """The records of a whole scan."""
        return [change.data for batch in cls.scan(adapter) for change in batch.changes]

    @staticmethod
    def poll(adapter: SqlAdapter, after: Any) -> tuple[list[Any], Any]:
        """The changes of one poll, and the position after it."""
        batches = list(adapter.changes("people", after))
        return [change for batch in batches for change in batch.changes], batches[
            -1
        ].cursor

    @classmethod
    def now(cls, adapter: SqlAdapter) -> Any:
        """The position to follow from."""
        return cls.poll(adapter, None)[1]

    def close(self) -> None:
        while self._open:
            self._open.pop().close()


class PostgresDatabase(Database):
    kind = "postgresql"
    roles = postgres_server.ROLES

    def __init__(self, server: postgres_server.Postgres, mode: str) -> None:
        super().__init__(mode)
        self.server = server
        self._own: Any = None

    def url(self, role: str, endpoint: Any) -> str:
        return self.server.url(role, "hr", endpoint)

    def connect(self) -> Any:
        return self.server.connect("hr")

    def sql(self, statement: str, *rows: Sequence[Any]) -> list[tuple[Any, ...]]:
        """As the others, on one connection: logging in costs more than a statement."""
        if self._own is None or self._own.closed:
            self._own = self.server.connect("hr", prepare_threshold=None)
        text = statement if not rows else statement.replace("?", self.mark)
        with closing(self._own.cursor()) as cursor:
            for row in rows or [()]:
                cursor.execute(text, row) if row else cursor.execute(text)
            return list(cursor.fetchall()) if cursor.description else []

    def close(self) -> None:
        super().close()
        if self._own is not None:
            self._own.close()

    def tls(self) -> TlsSettings:
        return TlsSettings(ca_file=self.server.ca_file)


class MariaDatabase(Database):
    kind = "mariadb"
    roles = mariadb_server.ROLES

    def __init__(self, server: mariadb_server.MariaDb, mode: str) -> None:
        super().__init__(mode)
        self.server = server

    def url(self, role: str, endpoint: Any) -> str:
        return self.server.url(role, "hr", endpoint)

    def connect(self) -> Any:
        return self.server.connect("hr")

    def tls(self) -> TlsSettings:
        return TlsSettings(ca_file=self.server.ca_file)


class SqliteDatabase(Database):
    kind = "sqlite"
    mark = "?"

    def __init__(self, path: Path, mode: str) -> None:
        super().__init__(mode)
        self.path = path
        with closing(self.connect()) as connection:
            connection.execute("create table if not exists here(x)")

    def url(self, role: str, endpoint: Any) -> str:
        return f"sqlite:///{self.path}"

    def connect(self) -> Any:
        return sqlite3.connect(self.path, isolation_level=None, timeout=60)


@pytest.fixture(scope="session")
def pg_server(postgres: postgres_server.Postgres) -> postgres_server.Postgres:
    postgres.create_database("hr", GRANTS)
    return postgres


@pytest.fixture(scope="session")
def my_server(mariadb: mariadb_server.MariaDb) -> mariadb_server.MariaDb:
    mariadb.create_database("hr", "")
    return mariadb


def made(kind: str, mode: str, request: pytest.FixtureRequest, path: Path) -> Database:
    if kind == "postgresql":
        return PostgresDatabase(request.getfixturevalue("pg_server"), mode)
    if kind == "mariadb":
        return MariaDatabase(request.getfixturevalue("my_server"), mode)
    return SqliteDatabase(path / "hr.db", mode)


KINDS = ("postgresql", "mariadb", "sqlite")


@pytest.fixture(
    params=[
        *((kind, "auto") for kind in KINDS),
        *((kind, "generic") for kind in KINDS),
    ],
    ids="-".join,
)
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Each database, refined and generic."""
    database = made(*request.param, request, tmp_path)
    yield database
    database.close()


@pytest.fixture(params=KINDS)
def refined(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Each database with its own dialect."""
    database = made(request.param, "auto", request, tmp_path)
    yield database
    database.close()


@pytest.fixture
def pg(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PostgresDatabase]:
    database = made("postgresql", "auto", request, tmp_path)
    yield database
    database.close()


@pytest.fixture
def my(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MariaDatabase]:
    database = made("mariadb", "auto", request, tmp_path)
    yield database
    database.close()


@pytest.fixture
def lite(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqliteDatabase]:
    database = made("sqlite", "auto", request, tmp_path)
    yield database
    database.close()
