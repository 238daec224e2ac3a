"""The HR database: a real PostgreSQL where it is installed, else a SQLite file."""

from __future__ import annotations

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import sqlite3
from abc import ABC, abstractmethod
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

from moatbridge.demo.servers.programs import Failed, Program, find, free_port, run

if TYPE_CHECKING:
    from collections.abc import Iterable

OWNER: Final = "owner"
READER: Final = "reader"
_SETTINGS: Final = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
fsync = off
full_page_writes = off
shared_buffers = 32MB
"""
_TABLE: Final = """
CREATE TABLE contractors (
  contract_no varchar(20) PRIMARY KEY,
  login varchar(60) NOT NULL,
  given_name varchar(80) NOT NULL,
  family_name varchar(80) NOT NULL,
  email varchar(120) NOT NULL,
  agency varchar(80)
);
"""
COLUMNS: Final = (
    "contract_no", "login", "given_name", "family_name", "email", "agency",
)  # fmt: skip


class Database(ABC):
    """An HR database with one table, ``contractors``."""

    kind: str
    password: str = ""

    @property
    @abstractmethod
    def url(self) -> str:
        """SQLAlchemy URL for the bridge, without a password."""

    @abstractmethod
    def start(self, rows: Iterable[tuple[str, ...]]) -> None:
        """Start it, make the table, fill it."""

    @abstractmethod
    def stop(self) -> None:
        """Stop it."""


class Sqlite(Database):
    """A database file.

    Args:
        home: Folder of its own; made here.
    """

    kind = "SQLite"

    def __init__(self, home: Path) -> None:
        self._home = home

    @property
    def url(self) -> str:
        """Of the file."""
        return f"sqlite:///{self._home / 'hr.db'}"

    def start(self, rows: Iterable[tuple[str, ...]]) -> None:
        """Make and fill the file."""
        self._home.mkdir(parents=True)
        marks = ", ".join("?" * len(COLUMNS))
        with closing(sqlite3.connect(self._home / "hr.db")) as connection:
            connection.execute(_TABLE)
            insert = f"INSERT INTO contractors VALUES ({marks})"
            connection.executemany(insert, list(rows))
            connection.commit()

    def stop(self) -> None:
        """Nothing runs."""


class Postgres(Database):
    """A PostgreSQL server in a folder of its own.

    Args:
        home: Folder of its own; made here.
        programs: Folder of ``initdb`` and ``postgres``.
    """

    kind = "PostgreSQL"

    def __init__(self, home: Path, programs: Path) -> None:
        self._home = home
        self._programs = programs
        self._psql = find("psql", "postgresql")
        self._owner_password = secrets.token_hex(12)
        self.password: str = secrets.token_hex(12)
        self.port: int = free_port()
        self._program: Program | None = None

    @property
    def url(self) -> str:
        """As the account that may only read."""
        return f"postgresql+psycopg://{READER}@127.0.0.1:{self.port}/hr"

    def start(self, rows: Iterable[tuple[str, ...]]) -> None:
        """Create the cluster, start it, make the table and fill it."""
        self._home.mkdir(mode=0o700, parents=True)
        secret = self._home / "owner-password"
        secret.touch(0o600)
        secret.write_text(self._owner_password)
        if os.geteuid() == 0:
            shutil.chown(self._home, "postgres", "postgres")
            shutil.chown(secret, "postgres", "postgres")
        self._initialise(secret)
        with (self._home / "data" / "postgresql.conf").open("a") as file:
            file.write(_SETTINGS)
        self._program = Program(
            [*_as_postgres(), self._programs / "postgres", "-D", self._home / "data",
             "-p", str(self.port)],
            log=self._home.parent / "postgresql.log",
            answers=self._answers,
            folder=self._home,
        )  # fmt: skip
        self._sql("CREATE DATABASE hr;", database="postgres")
        self._sql(
            _TABLE
            + f"CREATE ROLE {READER} LOGIN PASSWORD '{self.password}';"
            + f"GRANT SELECT ON contractors TO {READER};"
        )
        lines = "\n".join("\t".join(row) for row in rows)
        self._sql(f"COPY contractors FROM stdin;\n{lines}\n\\.\n")

    def stop(self) -> None:
        """Stop it: connections are ended (SIGINT, PostgreSQL's fast shutdown)."""
        if self._program is not None:
            self._program.stop(gently=signal.SIGINT)
            self._program = None

    def _initialise(self, secret: Path) -> None:
        run(
            [*_as_postgres(), self._programs / "initdb", "-D", self._home / "data",
             "-U", OWNER, "--pwfile", secret, "-A", "scram-sha-256", "-E", "UTF8",
             "--locale=C.UTF-8", "--no-sync", "--no-instructions"],
            folder=self._home,
        )  # fmt: skip

    def _answers(self) -> bool:
        try:
            self._sql("SELECT 1;", database="postgres")
        except Failed:
            return False
        return True

    def _sql(self, text: str, *, database: str = "hr") -> str:
        command = [
            self._psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1",
            "-p", str(self.port), "-U", OWNER, "-d", database,
        ]  # fmt: skip
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "PGPASSWORD": self._owner_password,
            "PGCONNECT_TIMEOUT": "10",
            "PGCLIENTENCODING": "UTF8",
        }
        return run(command, text=text, environment=environment)


def new_database(home: Path) -> Database:
    """PostgreSQL where its server, client and driver are there; else SQLite.

    Args:
        home: Folder of its own, not made yet; its parent exists.
    """
    programs = _postgres_programs()
    if programs is None or importlib.util.find_spec("psycopg") is None:
        return Sqlite(home)
    if not _reached_by_postgres(home.parent):
        return Sqlite(home)
    return Postgres(home, programs)


def _reached_by_postgres(folder: Path) -> bool:
    """Whether the account that the server runs under may pass through the folder."""
    try:
        run([*_as_postgres(), "test", "-x", folder])
    except Failed:
        return False
    return True


def _postgres_programs() -> Path | None:
    path = os.environ.get("PATH", "")
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version)
    there = ":".join([str(folder) for folder in reversed(folders)] + [path])
    found = shutil.which("initdb", path=there)
    if found is None or shutil.which("psql") is None:
        return None
    return Path(found).parent if os.geteuid() != 0 or _can_become_postgres() else None


def _can_become_postgres() -> bool:
    try:
        pwd.getpwnam("postgres")
    except KeyError:
        return False
    return shutil.which("setpriv") is not None


def _version(folder: Path) -> int:
    name = folder.parent.name
    return int(name) if name.isdigit() else 0


def _as_postgres() -> list[str]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups",
            "--reset-env"]  # fmt: skip
