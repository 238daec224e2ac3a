"""The start-up product as a process of its own, and a company's directory and database."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Self

from servers.openldap import person

ROOT = Path(__file__).parents[2]
PRODUCT = ROOT / "examples" / "startup-product"
READY = 60.0
GIVEN = ("Astrid", "Bilal", "Chiara", "Dmitri", "Esra", "Femi")
FAMILY = ("Berg", "Costa", "Okafor")


class Product:
    """``uvicorn commons.app:app``, as its README starts it."""

    def __init__(self, home: Path, *, practice: bool = True) -> None:
        self.data = home / "data"
        self.practice = home / "practice"
        self.practice.mkdir()
        self.log = home / "product.log"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        more = {"COMMONS_PRACTICE": str(self.practice)} if practice else {}
        self._environment = {**os.environ, "COMMONS_DATA": str(self.data), **more}

    def __enter__(self) -> Self:
        command = ["-m", "uvicorn", "commons.app:app", "--port", str(self.port)]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, *command, "--app-dir", str(PRODUCT)],
                env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        until = time.monotonic() + READY
        while not self._answers():
            assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < until, self.log.read_text()
            time.sleep(0.05)  # the poll interval of a condition with a deadline
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(30)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(self.url, timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False


def entries():
    """Eighteen people, one of them with a name that HTML must not take for markup."""
    for given in GIVEN:
        for family in FAMILY:
            uid = f"{given[0]}{family}".lower()
            odd = family == "Okafor" and given == "Femi"
            yield person(
                uid,
                givenName=[given],
                sn=["<script>alert(1)</script>" if odd else family],
                cn=[f"{given} {family}"],
                mail=[f"{uid}@north.example"],
                title=["Engineer"],
                departmentNumber=["Harbour"],
            )


def make_database(path: Path) -> None:
    """A personnel table with four people, and a column that is nobody's business."""
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(
            "create table staff(id integer primary key, login text not null unique, "
            "vorname text, nachname text, email text, abteilung text, salary integer)"
        )
        for number, given in enumerate(("Ines", "Jonas", "Kaja", "Liam"), 1):
            login = f"{given.lower()}@south.example"
            row = (number, given.lower(), given, "Lind", login, "Yard", 90210 + number)
            db.execute("insert into staff values(?, ?, ?, ?, ?, ?, ?)", row)


def add_staff(path: Path, count: int) -> None:
    """So many more people."""
    with closing(sqlite3.connect(path)) as db, db:
        for number in range(100, 100 + count):
            row = (number, f"new{number}", "New")
            db.execute("insert into staff(id, login, nachname) values(?, ?, ?)", row)


def remove_staff(path: Path, count: int) -> None:
    """So many of them are gone that nobody should agree to it alone."""
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("delete from staff where id between 100 and ?", (99 + count,))
