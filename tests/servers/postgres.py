"""A real PostgreSQL 15 server on a free loopback port, for tests.

`Postgres` starts, seeds and stops it without pytest; `postgres` is the fixture. Needs
Debian's ``postgresql-15`` and ``openssl``; as root it runs as the user ``postgres``.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import psycopg
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAMS = Path("/usr/lib/postgresql/15/bin")
OWNER, OWNER_PASSWORD = "legacy", "legacy-owner-secret"  # superuser, makes the tables
ROLES = {"reader": "reader-secret", "writer": "writer-secret"}

SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = '{home}'
ssl = on
wal_level = logical
fsync = off
full_page_writes = off
shared_buffers = 64MB
max_connections = 60
timezone = 'Europe/Berlin'
log_min_messages = fatal
"""


class Postgres:
    """One server with its own data directory.

    ``with Postgres() as server`` starts it; afterwards nothing of it is left.
    """

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="moat-pg-"))
        self.port = free_port()
        self.ca_file = str(self.home / "server.crt")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    @property
    def endpoint(self) -> tuple[str, int]:
        """Host and port."""
        return "127.0.0.1", self.port

    def url(self, role: str, database: str, endpoint: Any = None) -> str:
        """A SQLAlchemy URL without a password."""
        host, port = endpoint or self.endpoint
        return f"postgresql+psycopg://{role}@{host}:{port}/{database}"

    def connect(self, database: str = "postgres", **more: Any) -> psycopg.Connection:
        """An autocommit connection of the superuser, round the adapter."""
        more.setdefault("autocommit", True)
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user=OWNER,
            password=OWNER_PASSWORD,
            dbname=database,
            sslmode="disable",
            **more,
        )

    def start(self) -> None:
        """Create the data directory and start the server."""
        self.home.chmod(0o700)
        if os.geteuid() == 0:
            shutil.chown(self.home, "postgres", "postgres")
        (self.home / "pw").write_text(OWNER_PASSWORD)
        self._run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                  "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                  "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost",
                  "-keyout", "server.key", "-out", "server.crt")  # fmt: skip
        if os.geteuid() == 0:
            shutil.chown(self.home / "pw", "postgres")
        self._run(str(PROGRAMS / "initdb"), "-D", "data", "-U", OWNER, "--pwfile=pw",
                  "-A", "scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync",
                  "--no-instructions")  # fmt: skip
        data = self.home / "data"
        for name in ("server.key", "server.crt"):
            shutil.copy2(self.home / name, data / name)
            if os.geteuid() == 0:
                shutil.chown(data / name, "postgres", "postgres")
        (data / "server.key").chmod(0o600)
        with (data / "postgresql.conf").open("a") as file:
            file.write(SETTINGS.format(home=self.home))
        log = (self.home / "log").open("wb")
        with log:
            self._process = subprocess.Popen(
                [*_as_postgres(), str(PROGRAMS / "postgres"), "-D", str(data), "-p",
                 str(self.port)],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.home,
            )  # fmt: skip
        self._wait()

    def stop(self) -> None:
        """Stop the server by its pid and remove its files."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGINT)  # "fast": ends connections
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(30)
        shutil.rmtree(self.home, ignore_errors=True)

    def create_database(self, name: str, script: str) -> None:
        """A fresh database with the roles of `ROLES`, filled by a script."""
        with self.connect() as owner:
            for role, password in ROLES.items():
                if not owner.execute(
                    "select 1 from pg_roles where rolname = %s", [role]
                ).fetchone():
                    owner.execute(f"create role {role} login password '{password}'")
            owner.execute(f'drop database if exists "{name}" with (force)')
            owner.execute(f'create database "{name}"')
        with self.connect(name) as owner:
            owner.execute(script)

    def _wait(self) -> None:
        ends = time.monotonic() + 120
        while True:
            assert self._process is not None
            if self._process.poll() is not None or time.monotonic() > ends:
                raise RuntimeError((self.home / "log").read_text()[-2000:])
            try:
                self.connect().close()
            except psycopg.OperationalError:
                time.sleep(0.02)
            else:
                return

    def _run(self, *command: str) -> None:
        done = subprocess.run(
            [*_as_postgres(), *command], cwd=self.home, capture_output=True, check=False
        )
        if done.returncode:
            raise RuntimeError(done.stderr.decode()[-2000:])


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _as_postgres() -> list[str]:
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups",
            "--reset-env"]  # fmt: skip


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A running server."""
    with Postgres() as server:
        yield server
