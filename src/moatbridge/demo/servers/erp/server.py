"""Starts the ERP on a free loopback port, and reads its database for verification."""

from __future__ import annotations

import secrets
import socket
import sqlite3
from contextlib import closing
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from moatbridge.demo.servers.erp.orders import insert_approvers, insert_orders
from moatbridge.demo.servers.erp.wsdl import FLAVOURS, Flavour, wsdl
from moatbridge.demo.servers.programs import Program, find, free_port, run

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from moatbridge.demo.servers.erp.orders import Approver, Order

_WORKERS: Final = 4
# PHP's web server leaves its workers behind when it ends: the shell that leads their
# process group (a session of its own) passes the signal on to all of them.
_SUPERVISE: Final = """trap 'trap "" TERM; kill 0; wait; exit' TERM; "$@" & wait"""
_EXTENSIONS: Final = ("soap", "pdo_sqlite", "dom")


class Erp:
    """PHP's ``SoapServer`` behind PHP's built-in web server, four workers.

    WS-Security UsernameToken is demanded, text or digest. All state is in one SQLite
    file; every effect leaves a line in the journal, in the same transaction.

    Args:
        home: Folder of its own; made here.

    Raises:
        Missing: PHP is not installed.
        Failed: PHP has no SOAP or SQLite extension.
    """

    username: Final = "moatbridge"

    def __init__(self, home: Path) -> None:
        self._home = home
        self._php = find("php", "php-cli php-soap php-xml php-sqlite3")
        self._env = find("env", "coreutils")
        self._shell = find("sh", "dash")
        self.password: str = secrets.token_hex(12)
        self.port: int = free_port()
        self._program: Program | None = None

    def endpoint(self, flavour: Flavour = "erp") -> str:
        """Where messages of that flavour go."""
        return f"http://127.0.0.1:{self.port}/{flavour}"

    def wsdl_file(self, flavour: Flavour = "erp") -> Path:
        """Local copy of the flavour's WSDL; ``endpoint() + "?wsdl"`` serves it too."""
        return self._home / f"{flavour}.wsdl"

    def start(
        self, orders: Iterable[Order] = (), approvers: Iterable[Approver] = ()
    ) -> None:
        """Make its database, fill it and start it.

        Raises:
            Failed: It did not start.
        """
        self._check()
        self._home.mkdir(parents=True)
        for flavour in FLAVOURS:
            text = wsdl(flavour, self.endpoint(flavour))
            self.wsdl_file(flavour).write_text(text)
        self._file.touch(0o600)
        schema = resources.files(__package__).joinpath("schema.sql").read_text()
        with closing(self._connect()) as database, database:
            database.executescript("PRAGMA journal_mode=WAL;" + schema)
            database.execute(
                "INSERT INTO account VALUES (?,?)", (self.username, self.password)
            )
        self.add(orders, approvers)
        self.listen()

    def listen(self) -> None:
        """Start it again, with the data it has."""
        sources = resources.files(__package__)
        with resources.as_file(sources) as folder:
            self._program = Program(
                [
                    self._shell, "-c", _SUPERVISE, "erp",
                    self._env, f"PHP_CLI_SERVER_WORKERS={_WORKERS}",
                    f"ERP_HOME={self._home}", self._php,
                    "-d", "display_errors=stderr", "-d", "soap.wsdl_cache_enabled=0",
                    "-S", f"127.0.0.1:{self.port}", "-t", folder,
                    folder / "router.php",
                ],
                log=self._home / "erp.log",
                answers=self._answers,
            )  # fmt: skip

    def stop(self) -> None:
        """Stop it; its data stays."""
        if self._program is not None:
            self._program.stop()
            self._program = None

    def add(
        self, orders: Iterable[Order] = (), approvers: Iterable[Approver] = ()
    ) -> None:
        """Put orders and approvers into its database, round the service."""
        with closing(self._connect()) as database, database:
            insert_approvers(database, approvers)
            insert_orders(database, orders)

    def withdraw(self, number: str) -> None:
        """Delete an order, round the service, as an administrator would."""
        with closing(self._connect()) as database, database:
            database.execute("DELETE FROM line WHERE order_nr=?", (number,))
            database.execute("DELETE FROM purchase_order WHERE order_nr=?", (number,))

    def retitle(self, number: str, title: str) -> None:
        """Give an order another title, round the service."""
        sql = """UPDATE purchase_order SET title=?, version=version+1,
          changed=strftime('%Y-%m-%dT%H:%M:%f','now')||'000Z' WHERE order_nr=?"""
        with closing(self._connect()) as database, database:
            database.execute(sql, (title, number))

    def reprice(self, number: str, cents: int) -> None:
        """Give an order another total, round the service."""
        sql = """UPDATE purchase_order SET total_cents=?, version=version+1,
          changed=strftime('%Y-%m-%dT%H:%M:%f','now')||'000Z' WHERE order_nr=?"""
        with closing(self._connect()) as database, database:
            database.execute(sql, (cents, number))

    def journal(self) -> list[dict[str, Any]]:
        """Every effect the service ever had, in order."""
        return self.rows("SELECT * FROM journal ORDER BY id")

    def orders(self) -> dict[str, dict[str, Any]]:
        """Order number -> its row."""
        rows = self.rows("SELECT * FROM purchase_order")
        return {row["order_nr"]: row for row in rows}

    def decisions(self) -> list[dict[str, Any]]:
        """Every decision, in order."""
        return self.rows("SELECT * FROM decision ORDER BY decision_id")

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """What a query finds in its database."""
        with closing(self._connect()) as database:
            database.row_factory = sqlite3.Row
            return [dict(row) for row in database.execute(sql)]

    @property
    def _file(self) -> Path:
        return self._home / "erp.db"

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._file, timeout=10)

    def _check(self) -> None:
        code = "foreach (array_slice($argv, 1) as $e) if (!extension_loaded($e)) {"
        code += 'fwrite(STDERR, "PHP has no extension $e"); exit(1); }'
        run([self._php, "-r", code, "--", *_EXTENSIONS])

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True
