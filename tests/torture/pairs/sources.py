"""Sources: servers whose people or orders change."""

from __future__ import annotations

import csv
import itertools
import os
import signal
import sqlite3
from contextlib import closing

from moatbridge.demo.servers.erp import Erp, Line, Order
from servers.openldap import BASE, PASSWORDS, SYNC, OpenLdap
from servers.scim import ScimServer
from torture.pairs.ends import LOCAL, End, back, freeze, person

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
COLUMNS = ["login", "given", "family", "mail"]


def mail(key):
    return f"{key}@x.example"


class SqliteSource(End):
    """A SQLite file."""

    name = "sql"

    def start(self):
        self.file = self.folder / "hr.db"
        self.system = {"adapter": "sql", "url": f"sqlite:///{self.file}"}
        self.stream = {
            "table": "people",
            "fields": ["id", *COLUMNS],
            "translator": person(COLUMNS),
        }
        self.run(
            "CREATE TABLE people(id INTEGER PRIMARY KEY, login UNIQUE, given, family, mail)"
        )

    def run(self, sql, rows=((),)):
        with closing(sqlite3.connect(self.file, timeout=60)) as base, base:
            base.executemany(sql, rows) if "?" in sql else base.execute(sql)

    def change(self, put, gone):
        self.run(
            "INSERT INTO people(login, given, family, mail) VALUES(?,?,?,?) "
            "ON CONFLICT(login) DO UPDATE SET family=excluded.family",
            [(key, "Ada", word, mail(key)) for key, word in put.items()],
        )
        self.run("DELETE FROM people WHERE login=?", [(key,) for key in gone])


class PostgresSource(End):
    """A table on a PostgreSQL server."""

    name = "pg"
    durable = True

    def start(self):
        from torture.pairs.postgres import Server

        self.server = Server("people(id bigserial primary key, login text unique, "
                             "given text, family text, mail text)")  # fmt: skip
        self.server.start()
        self.secrets = {"PAIR_HR": self.server.password("reader")}
        self.system = self.server.system("reader", "env:PAIR_HR")
        self.stream = {
            "table": "people",
            "fields": ["id", *COLUMNS],
            "translator": person(COLUMNS),
        }

    def stop(self):
        self.server.stop()

    def die(self, _chance):
        self.server.die()
        return True

    def change(self, put, gone):
        with self.server.connect("pair") as base, base.cursor() as cursor:
            cursor.executemany(
                "insert into people(login, given, family, mail) values(%s,%s,%s,%s) "
                "on conflict(login) do update set family=excluded.family",
                [(key, "Ada", word, mail(key)) for key, word in put.items()],
            )
            cursor.execute("delete from people where login = any(%s)", [list(gone)])


class LdapSource(End):
    """A subtree of OpenLDAP."""

    name = "ldap"
    durable = True
    place = f"ou=people,{BASE}"

    def start(self):
        self.server = OpenLdap(self.folder / "hr")
        self.server.create()
        self.server.start()
        self.known = set()
        self.secrets = {"PAIR_HR": PASSWORDS[SYNC]}
        self.system = ldap_system(self.server, SYNC, "env:PAIR_HR")
        names = ["uid", "givenName", "sn", "mail"]
        self.stream = {
            "bases": [{"dn": self.place}],
            "filter": "(objectClass=inetOrgPerson)",
            "fields": names,
            "translator": person(names, many=True),
        }

    def stop(self):
        self.server.stop()

    def die(self, _chance):
        self.server.kill()
        back(self.server.start)
        return True

    def change(self, put, gone):
        new = {key: word for key, word in put.items() if key not in self.known}
        self.server.add(
            (
                f"uid={key},{self.place}",
                {
                    "objectClass": ["inetOrgPerson"], "uid": [key], "cn": [key],
                    "sn": [word], "givenName": ["Ada"], "mail": [mail(key)],
                },
            )
            for key, word in new.items()
        )  # fmt: skip
        for key in put.keys() - new:
            self.server.set(f"uid={key},{self.place}", "sn", put[key])
        self.server.delete(*(f"uid={key},{self.place}" for key in gone))
        self.known = (self.known | put.keys()) - set(gone)


def ldap_system(server, who, secret):
    return {
        "adapter": "ldap",
        "urls": [server.url],
        "starttls": "off",
        "insecure_cleartext": True,
        "auth": {"kind": "simple", "bind_dn": who, "password": secret},
        **LOCAL,
    }


class ScimSource(End):
    """scim2-server, which keeps all in memory."""

    name = "scim"

    def start(self):
        self.server = ScimServer().start()
        self.ids = {}
        self.secrets = {"PAIR_HR": self.server.token}
        self.system = scim_system(self.server, "env:PAIR_HR")
        self.stream = {}

    def stop(self):
        self.server.stop()

    def die(self, chance):
        freeze(self.server._process, chance.uniform(0.05, 0.5))
        return True

    def change(self, put, gone):
        for key, word in put.items():
            user = {
                "schemas": [USER], "userName": key, "externalId": key, "displayName": key, "active": True,
                "name": {"givenName": "Ada", "familyName": word},
                "emails": [{"type": "work", "value": mail(key)}],
            }  # fmt: skip
            if key in self.ids:
                self.server.call("PUT", f"/Users/{self.ids[key]}", user)
            else:
                self.ids[key] = self.server.call("POST", "/Users", user)["id"]
        for key in gone:
            self.server.call("DELETE", f"/Users/{self.ids.pop(key)}")


def scim_system(server, secret):
    return {
        "adapter": "scim",
        "base_url": server.base_url,
        "insecure_cleartext": True,
        "auth": {"kind": "bearer", "token": secret},
        **LOCAL,
    }


class FileSource(End):
    """A drop folder on the disk: each file is everybody."""

    name = "sftp"
    fields = ("LOGIN", "GIVEN", "FAMILY", "MAIL")

    def start(self):
        self.drop = self.folder / "drop"
        (self.drop / "people").mkdir(parents=True)
        self.numbers = itertools.count(1)
        self.truth = {}
        self.system = {"adapter": "sftp", "url": f"file://{self.drop}",
                       "max_label": "confidential"}  # fmt: skip
        self.stream = {
            "folder": "people",
            "files": "HR_*.csv",
            "content": "snapshot",
            "order": {"group": r"(\d{6})", "as": "int"},
            "ripe": "atomic",
            "key": ["LOGIN"],
            "format": "csv",
            "controls": {"trailer": r"^TRL,(?P<count>\d+)$"},
            "fields": list(self.fields),
            "translator": person(self.fields),
        }

    def change(self, put, gone):
        self.truth |= put
        for key in gone:
            del self.truth[key]
        path = self.drop / "people" / f"HR_{next(self.numbers):06}.csv"
        draft = path.with_name(f".{path.name}")
        with draft.open("w", newline="") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(self.fields)
            rows.writerows((k, "Ada", word, mail(k)) for k, word in self.truth.items())
            rows.writerow(("TRL", len(self.truth)))
        draft.replace(path)


class OrderSource(End):
    """Orders of the ERP behind PHP's SOAP server."""

    name = "soap"
    entity = "Post"
    durable = True

    def start(self):
        self.server = Erp(self.folder / "erp")
        self.server.start()
        self.known = set()
        self.secrets = {"PAIR_HR": self.server.password}
        self.system = {
            "adapter": "soap",
            "wsdl": str(self.server.wsdl_file()),
            "endpoint": self.server.endpoint(),
            "auth": {
                "kind": "wsse-digest",
                "username": self.server.username,
                "password": "env:PAIR_HR",
            },
            **LOCAL,
        }
        self.stream = {
            "key": ["orderNr"],
            "version": "version",
            "modified": "changed",
            "list": {
                "operation": "ListOrders",
                "items": "ListOrdersResponse/orders/order",
                "request": {"cursor": "{page.cursor}", "max": "{page.size}"},
                "page": {
                    "kind": "cursor",
                    "size": 20,
                    "next": "ListOrdersResponse/nextCursor",
                },
            },
            "get": {
                "operation": "GetOrder",
                "item": "GetOrderResponse/order",
                "request": {"orderNr": "{ref.orderNr}"},
                "rules": [{"fault": "OrderFault", "path": "code",
                           "equals": "NOT_FOUND", "then": "absent"}],
            },
            "translator": {
                "entity": "Post",
                "fields": {
                    "audience": {"const": {"kind": "org"}},
                    "business.type": {"const": "org.example.order"},
                    "business.id": "orderNr",
                    "content": {"template": "Order {orderNr}: {title}"},
                },
            },
        }  # fmt: skip

    def stop(self):
        self.server.stop()

    def die(self, _chance):
        process = self.server._program._process
        os.killpg(process.pid, signal.SIGKILL)  # the shell, PHP and its workers
        process.wait(30)
        back(self.server.listen)
        return True

    def change(self, put, gone):
        new = put.keys() - self.known
        line = Line("Lamp", 1, 12)
        self.server.add([Order(key, put[key], "u7", (line,)) for key in sorted(new)])
        for key in put.keys() - new:
            self.server.retitle(key, put[key])
        for key in gone:
            self.server.withdraw(key)
        self.known = (self.known | put.keys()) - set(gone)


SOURCES = {
    each.name: each
    for each in (
        SqliteSource, PostgresSource, LdapSource, ScimSource, FileSource, OrderSource,
    )
}  # fmt: skip
