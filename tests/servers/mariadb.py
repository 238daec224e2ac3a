"""A real MariaDB 10.11 server on a free loopback port, for tests.

`MariaDb` starts, seeds and stops it without pytest; `mariadb` is the fixture. Needs
Debian's ``mariadb-server`` and ``openssl``; as root it runs as the user ``mysql``.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pymysql
import pytest

from servers.postgres import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

ROLES = {"reader": "reader-secret", "writer": "writer-secret", "owner": "owner-secret"}


class MariaDb:
    """One server with its own data directory and an empty ``sql_mode``.

    ``with MariaDb() as server`` starts it; afterwards nothing of it is left.
    """

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="moat-my-"))
        self.port = free_port()
        self.ca_file = str(self.home / "server.crt")
        self._socket = str(self.home / "s")
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
        return f"mariadb+pymysql://{role}@{host}:{port}/{database}"

    def connect(self, database: str | None = None, **more: Any) -> Any:
        """An autocommit connection of root over the socket, round the adapter."""
        more.setdefault("autocommit", True)
        return pymysql.connect(
            unix_socket=self._socket, user="root", database=database,
            charset="utf8mb4", ssl_disabled=True, **more,
        )  # fmt: skip

    def start(self) -> None:
        """Create the data directory and start the server."""
        self.home.chmod(0o755)
        _run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
             "-subj", "/CN=localhost", "-addext",
             "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", "server.key", "-out",
             "server.crt", home=self.home)  # fmt: skip
        user = []
        if os.geteuid() == 0:
            shutil.chown(self.home, "mysql", "mysql")
            shutil.chown(self.home / "server.key", "mysql")
            user = ["--user=mysql"]
        data = f"--datadir={self.home / 'data'}"
        _run("mariadb-install-db", "--no-defaults", *user, data, "--skip-test-db",
             "--auth-root-authentication-method=normal",
             "--innodb-flush-log-at-trx-commit=0", home=self.home)  # fmt: skip
        with (self.home / "log").open("wb") as log:
            self._process = subprocess.Popen(
                ["mariadbd", "--no-defaults", *user, data, "--bind-address=127.0.0.1",
                 f"--port={self.port}", f"--socket={self._socket}",
                 f"--pid-file={self.home / 'pid'}", "--skip-name-resolve",
                 f"--ssl-cert={self.home / 'server.crt'}",
                 f"--ssl-key={self.home / 'server.key'}",
                 "--innodb-buffer-pool-size=32M", "--innodb-flush-log-at-trx-commit=0",
                 "--performance-schema=OFF", "--sql-mode=", "--log-warnings=0",
                 "--default-time-zone=+02:00"],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.home,
                env={**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin"},
            )  # fmt: skip
        self._wait()

    def stop(self) -> None:
        """Stop the server by its pid and remove its files."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(30)
        shutil.rmtree(self.home, ignore_errors=True)

    def create_database(self, name: str, script: str) -> None:
        """A fresh latin1 database with the roles of `ROLES`, filled by a script."""
        root = self.connect()
        with root, root.cursor() as cursor:
            cursor.execute(f"drop database if exists `{name}`")
            cursor.execute(f"create database `{name}` character set latin1")
            for role, password in ROLES.items():
                cursor.execute(
                    f"create user if not exists {role}@'%' identified by '{password}'"
                )
            cursor.execute(f"grant select on `{name}`.* to reader@'%'")
            cursor.execute(
                f"grant select, insert, update, delete on `{name}`.* to writer@'%'"
            )
            cursor.execute(f"grant all on `{name}`.* to owner@'%'")
            cursor.execute(f"use `{name}`")
            for statement in script.split(";\n"):
                if statement.strip():
                    cursor.execute(statement)

    def _wait(self) -> None:
        ends = time.monotonic() + 120
        while True:
            assert self._process is not None
            if self._process.poll() is not None or time.monotonic() > ends:
                raise RuntimeError((self.home / "log").read_text()[-2000:])
            if self._listens():
                self.connect().close()
                return
            time.sleep(0.02)

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(self._socket) == 0


def _run(*command: str, home: Path) -> None:
    done = subprocess.run(command, cwd=home, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError((done.stdout + done.stderr).decode()[-2000:])


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDb]:
    """A running server."""
    with MariaDb() as server:
        yield server
