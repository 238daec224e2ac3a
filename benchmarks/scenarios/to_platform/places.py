"""Where the people come from: real servers and files, filled with `harness.contents.row`.

Each place gives scripts what they need to connect (`source`) and moatbridge its settings
(`system` and `stream`). They are started once for all rounds.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.contents import COLUMNS, FIELDS, row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.scenario import Place

TABLE = (
    "CREATE TABLE personal (pers_nr INTEGER PRIMARY KEY, login TEXT NOT NULL UNIQUE, vorname TEXT, nachname TEXT,"
    " mail TEXT, telefon TEXT, titel TEXT, abteilung TEXT, geaendert INTEGER NOT NULL)"
)
LOOPBACK = {"allow_networks": ["127.0.0.0/8"]}
PERSON = {"entity": "Person", "fields": FIELDS}
Order = dict[str, Any]


def people(count: int) -> Iterator[tuple[Any, ...]]:
    """Rows with the number of their last change."""
    return ((*row(n), n + 1) for n in range(count))


class Sqlite:
    """A table; ``geaendert`` counts changes up, as a row version does."""

    def __init__(self, place: Place) -> None:
        self._folder = place.folder

    def order(self, count: int, folder: Path) -> Order:
        """Fresh state for a variant of so many records."""
        kept = self._folder / f"people-{count}.db"
        if not kept.exists():
            with closing(sqlite3.connect(kept)) as db, db:
                db.execute(TABLE)
                db.executemany(
                    "INSERT INTO personal VALUES (?,?,?,?,?,?,?,?,?)", people(count)
                )
                db.execute("CREATE INDEX by_change ON personal (geaendert)")
        path = folder / "hr.db"
        if not path.exists():
            shutil.copy(kept, path)
        return {
            "source": {"kind": "sqlite", "path": str(path)},
            "system": {"adapter": "sql", "url": f"sqlite:///{path}"},
            "stream": {
                "table": "personal", "fields": list(COLUMNS), "cursor_column": "geaendert", "overlap": 0,
                "translator": PERSON,
            },
        }  # fmt: skip


class PostgreSql:
    """The same table on a server."""

    def __init__(self, place: Place) -> None:
        from servers.postgres import ROLES, Postgres

        self._server = place.stack.enter_context(Postgres())
        self._password = ROLES["reader"]
        self._made: set[int] = set()

    def order(self, count: int, folder: Path) -> Order:
        if count not in self._made:
            self._made.add(count)
            self._server.create_database(f"hr{count}", TABLE)
            with self._server.connect(f"hr{count}") as owner:
                with owner.cursor().copy("COPY personal FROM STDIN") as copy:
                    for one in people(count):
                        copy.write_row(one)
                owner.execute("CREATE INDEX by_change ON personal (geaendert)")
                owner.execute("GRANT SELECT ON personal TO reader")
                owner.execute("ANALYZE personal")
        at = f"127.0.0.1:{self._server.port}/hr{count}"
        return {
            "source": {
                "kind": "postgres",
                "url": f"postgresql://reader:{self._password}@{at}?sslmode=disable",
            },
            "system": {
                "adapter": "sql", "url": f"postgresql+psycopg://reader@{at}", "password": "env:SOURCE_PASSWORD",
                "insecure_cleartext": True, **LOOPBACK,
            },
            "stream": {"table": "personal", "fields": list(COLUMNS), "translator": PERSON},
            "env": {"SOURCE_PASSWORD": self._password},
        }  # fmt: skip


MONITOR = """
database monitor
access to * by dn.exact="{admin}" read by * none
"""
"""What slapd counts of its own work."""


class Directory:
    """An OpenLDAP server with everybody below ``ou=people``, and teams of 100."""

    ATTRIBUTES = ("employeeNumber", "uid", "givenName", "sn", "mail", "telephoneNumber", "title", "departmentNumber")  # fmt: skip
    TEAM = 100

    def __init__(self, place: Place, count: int) -> None:
        from servers import openldap

        home = Path(tempfile.mkdtemp(prefix="slapd-", dir=place.folder))
        self._server = server = openldap.OpenLdap(home)
        server.create()
        settings = home / "slapd.conf"
        roomy = settings.read_text().replace("maxsize 268435456", "maxsize 4294967296")
        settings.write_text(roomy + MONITOR.format(admin=openldap.ADMIN))
        server.load(self.entry(n, openldap.PEOPLE) for n in range(count))
        teams = [
            range(at, min(at + self.TEAM, count)) for at in range(0, count, self.TEAM)
        ]
        server.load(
            openldap.group(
                f"team{at}", [f"uid={row(n)[1]},{openldap.PEOPLE}" for n in team]
            )
            for at, team in enumerate(teams)
        )
        server.start()
        place.stack.callback(server.stop)
        self.teams = len(teams)
        self._asked = 0
        self._ldap = openldap

    @classmethod
    def entry(cls, number: int, base: str) -> tuple[str, dict[str, list[str]]]:
        """A person as an inetOrgPerson: DN and attributes."""
        values = dict(zip(cls.ATTRIBUTES, map(str, row(number)), strict=True))
        filled = {name: [value] for name, value in values.items()}
        return (
            f"uid={values['uid']},{base}",
            {"objectClass": ["inetOrgPerson"], "cn": [values["uid"]], **filled},
        )

    def order(self, _count: int, _folder: Path) -> Order:
        ldap = self._ldap
        password = ldap.PASSWORDS[ldap.SYNC]
        named = dict(zip(COLUMNS, self.ATTRIBUTES, strict=True))
        fields = {path: {"from": named[c], "pick": "min"} for path, c in FIELDS.items()}
        return {
            "source": {
                "kind": "ldap", "url": self._server.url, "who": ldap.SYNC, "password": password,
                "people": ldap.PEOPLE, "groups": ldap.GROUPS, "attributes": self.ATTRIBUTES,
            },
            "system": {
                "adapter": "ldap", "urls": [self._server.url], "starttls": "off", "insecure_cleartext": True,
                "auth": {"kind": "simple", "bind_dn": ldap.SYNC, "password": "env:SOURCE_PASSWORD"}, **LOOPBACK,
            },
            "stream": {
                "bases": [{"dn": ldap.PEOPLE}], "filter": "(objectClass=inetOrgPerson)",
                "fields": list(self.ATTRIBUTES), "translator": {"entity": "Person", "fields": fields},
            },
            "env": {"SOURCE_PASSWORD": password},
        }  # fmt: skip

    def writer(self) -> Order:
        """The account that may write."""
        ldap = self._ldap
        return {"who": ldap.WRITER, "password": ldap.PASSWORDS[ldap.WRITER]}

    def container(self, name: str) -> str:
        """A new place below the base, and its DN."""
        place = f"ou={name},{self._ldap.BASE}"
        unit = {"objectClass": ["organizationalUnit"], "ou": [name]}
        self._server.add([(place, unit)])
        return place

    def add_people(self, place: str, count: int) -> None:
        """People below a container, over the wire."""
        self._server.add(self.entry(n, place) for n in range(count))

    def below(self, place: str, *attributes: str) -> dict[str, Any]:
        """People there, as the server's own tool sees them."""
        text = "(objectClass=inetOrgPerson)"
        return self._server.read(place, *attributes, text=text)

    def searches(self) -> int:
        """How many searches the server has answered, without those of this method."""
        done = self._server.read(
            "cn=Search,cn=Operations,cn=Monitor", "monitorOpCompleted",
            scope="base", text="(objectClass=*)",
        )  # fmt: skip
        (counted,) = done.values()
        self._asked += 1
        return int(counted["monitorOpCompleted"][0]) - self._asked + 1

    def groups(self) -> Order:
        """The second stream: groups whose members are references to people."""
        member = {"attribute": "member", "type": "reference", "to": "people"}
        members = {"each": "member", "ref": "hr/people", "by": "name"}
        return {
            "bases": [{"dn": self._ldap.GROUPS}], "filter": "(objectClass=groupOfNames)", "fields": ["cn", member],
            "translator": {"entity": "Group", "fields": {"displayName": {"from": "cn", "pick": "min"}, "members": members}},
        }  # fmt: skip


class Drop:
    """An OpenSSH server's folder with CSV files."""

    def __init__(self, place: Place, rows_per_file: int) -> None:
        from servers.openssh import PASSPHRASE, USER_ID, OpenSsh

        self._rows = rows_per_file
        self._owner = USER_ID
        self._server = server = place.stack.enter_context(OpenSsh())
        self._key = server.home / "plain"
        self._key.write_bytes((server.home / "client").read_bytes())
        self._key.chmod(0o600)
        subprocess.run(
            ["ssh-keygen", "-q", "-p", "-P", PASSPHRASE, "-N", "", "-f", str(self._key)],
            check=True, capture_output=True,
        )  # fmt: skip

    def order(self, count: int, _folder: Path) -> Order:
        drop = self._emptied()
        for at in range(0, count, self._rows):
            self._write(
                drop / f"HR_{at:07}.csv", range(at, min(at + self._rows, count))
            )
        return self._reached(drop)

    def large(self, mib: int, _folder: Path) -> Order:
        """One file of bytes that do not compress."""
        drop, block = self._emptied(), os.urandom(1 << 20)
        with (drop / "large.bin").open("wb") as file:
            for _ in range(mib):
                file.write(block)
        return self._reached(drop)

    def _emptied(self) -> Path:
        drop = self._server.drop / "in"
        shutil.rmtree(drop, ignore_errors=True)
        drop.mkdir()
        return drop

    def _reached(self, drop: Path) -> Order:
        """How scripts and moatbridge come to it, whose files are the account's now."""
        server = self._server
        for path in (drop, *drop.iterdir()):
            shutil.chown(path, self._owner, self._owner)
        known = server.home / "known_hosts"
        known.write_text(server.known_hosts())
        return {
            "source": {
                "kind": "sftp", "port": server.port, "user": server.user("key"), "key": str(self._key),
                "known_hosts": str(known), "folder": str(drop),
            },
            "system": {
                "adapter": "sftp", "url": server.url(), "host_keys": [server.fingerprint()],
                "auth": {"key": "env:SOURCE_KEY"}, **LOOPBACK,
            },
            "env": {"SOURCE_KEY": self._key.read_text()},
            "stream": {
                "folder": "in", "files": "HR_*.csv", "content": "delta", "ripe": "atomic", "format": "csv",
                "key": ["pers_nr"], "fields": list(COLUMNS), "controls": {"trailer": r"TRL;(?P<count>\d+)"},
                "translator": PERSON,
            },
        }  # fmt: skip

    @staticmethod
    def _write(path: Path, numbers: range) -> None:
        lines = [",".join(COLUMNS)]
        lines += [",".join(map(str, row(n))) for n in numbers]
        path.write_text("\n".join([*lines, f"TRL;{len(numbers)}", ""]))


class Soap:
    """A canned service in a process of its own: one answer with everybody."""

    def __init__(self, place: Place, count: int, operations: int = 1) -> None:
        program = Path(__file__).parents[1] / "soap_service.py"
        self._wsdl = place.folder / "people.wsdl"
        process = subprocess.Popen(
            [sys.executable, str(program), str(count), str(self._wsdl), str(operations)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._url = json.loads(process.stdout.readline())["url"]
        place.stack.callback(process.wait, 30)
        place.stack.callback(process.stdin.close)

    def calls(self) -> int:
        """How many the service has answered."""
        with urllib.request.urlopen(self._url) as answer:
            return json.load(answer)

    def order(self, _count: int, _folder: Path) -> Order:
        lists = {
            "operation": "GetPeople", "items": "GetPeopleResponse/person", "request": {"limit": 1},
        }  # fmt: skip
        return {
            "source": {"kind": "soap", "wsdl": str(self._wsdl), "url": self._url},
            "system": {
                "adapter": "soap", "wsdl": str(self._wsdl), "endpoint": self._url, "insecure_cleartext": True, **LOOPBACK,
            },
            "stream": {"key": ["pers_nr"], "list": lists, "translator": PERSON},
        }  # fmt: skip
