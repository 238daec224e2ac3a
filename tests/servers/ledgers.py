"""A PostgreSQL server for ledgers: an account with a schema of its own for each."""

from __future__ import annotations

import itertools
import signal
import subprocess
from typing import TYPE_CHECKING, Any

from servers.places import EVERYWHERE, PASSWORD, Place, place_for, put_on, secret
from servers.postgres import PROGRAMS, Postgres, _as_postgres

if TYPE_CHECKING:
    import psycopg

__all__ = [
    "DATABASE",
    "EVERYWHERE",
    "PASSWORD",
    "LedgerServer",
    "Place",
    "place_for",
    "put_on",
]

DATABASE = "ledgers"


class LedgerServer(Postgres):
    """A server with one database, in which each ledger has an account and a schema."""

    def __init__(self) -> None:
        super().__init__()
        self._numbers = itertools.count(1)

    def start(self) -> None:
        """Start it, with a database for ledgers."""
        super().start()
        with self.connect() as owner:
            owner.execute(f"create database {DATABASE}")

    def place(self, *, endpoint: Any = None) -> Place:
        """A new account, whose schema is empty.

        Args:
            endpoint: Of a proxy before the server.
        """
        role = f"ledger_{next(self._numbers)}"
        with self.connect(DATABASE) as owner:
            owner.execute(f"create role {role} login password '{PASSWORD}'")
            owner.execute(f"create schema {role} authorization {role}")
        return self.at(role, endpoint=endpoint)

    def at(self, role: str, *, endpoint: Any = None) -> Place:
        """Where the ledger of that account lies."""
        url = self.url(role, DATABASE, endpoint)
        if endpoint is not None:
            url += "?sslmode=disable"  # so that the proxy sees what it passes on
        return Place(url, secret())

    def copy(self, place: Place) -> Place:
        """A new account whose schema holds the same rows."""
        made = self.place()
        old, new = _role(place), _role(made)
        with self.connect(DATABASE) as owner:
            tables = owner.execute(
                "select table_name from information_schema.tables where table_schema=%s",
                [old],
            ).fetchall()
            for (name,) in tables:
                owner.execute(
                    f'create table {new}."{name}" (like {old}."{name}" including all)'
                )
                owner.execute(f'alter table {new}."{name}" owner to {new}')
                owner.execute(
                    f'insert into {new}."{name}" select * from {old}."{name}"'
                )
            numbered = owner.execute(
                "select table_name, column_name from information_schema.columns "
                "where table_schema=%s and is_identity='YES'",
                [new],
            ).fetchall()
            for name, column in numbered:
                where = f"pg_get_serial_sequence('{new}.{name}', '{column}')"
                highest = f"coalesce((select max({column}) from {new}.{name}), 0) + 1"
                owner.execute(f"select setval({where}, {highest}, false)")
        return made

    def look(self, place: Place) -> psycopg.Connection:
        """A connection of the superuser into that ledger's schema."""
        return self.connect(DATABASE, options=f"-c search_path={_role(place)}")

    def crash(self) -> None:
        """As ``pg_ctl stop -m immediate``: no checkpoint, no goodbye."""
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(30)

    def restart(self) -> None:
        """Start it again over the same files."""
        data = str(self.home / "data")
        command = [*_as_postgres(), str(PROGRAMS / "postgres"), "-D", data]
        with (self.home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "-p", str(self.port)],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=self.home,
            )
        self._wait()


def _role(place: Place) -> str:
    return place.url.partition("://")[2].partition("@")[0]
