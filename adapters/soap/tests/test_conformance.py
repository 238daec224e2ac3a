"""The shipped conformance suite over PHP's SOAP server and over node-soap."""

from __future__ import annotations

import datetime as dt
import secrets
import sqlite3
from contextlib import closing
from decimal import Decimal

import pytest

from moatbridge.changes import Ref
from moatbridge.testing import AdapterConformance, Harness
from moatbridge_soap import SoapAdapter
from servers.soap_world import desk, orders, people, system

PING = {"operation": "ListOrders", "request": {"max": 1}}


class OrdersHarness(Harness):
    """Purchase orders; a cancelled one counts as deleted."""

    stream = "orders"
    unique = "orderNr"
    clearable = "costCentre"

    def __init__(self, erp, flavour):
        self.erp = erp
        self.flavour = flavour
        self.endpoint = ("127.0.0.1", erp.port)
        self.canaries = [erp.password]
        for table in ("line", "request", "purchase_order"):
            self.run(f"delete from {table}")

    def make(self, *, endpoint=None, credentials="good"):
        wrong = "wrong-password" if credentials == "bad" else None
        rpc = self.flavour in {"erp-rpc", "erp-encoded"}
        ping = {**PING, "request": {"request": PING["request"]}} if rpc else PING
        config = system(
            self.erp, self.flavour, endpoint=endpoint, password=wrong, ping=ping
        )
        return SoapAdapter(config, {"orders": orders(self.flavour)})

    def sample(self, count):
        return [self._order() for _ in range(count)]

    def _order(self):
        word = secrets.token_hex(6)
        return {
            "orderNr": f"PO-{word}",
            "title": f"Stühle <&> {word}",
            "status": "draft",
            "requester": f"ann-{word}",
            "costCentre": f"CC-{word}",
            "ordered": dt.date(2026, 3, 1),
            "deliverTo": {"address": {"street": f"Str. {word}", "zip": "10115", "city": "Berlin", "country": "DE"}},
            "line": [{"position": 1, "article": f"Stuhl {word}", "quantity": Decimal("2.500"), "unitPrice": Decimal("10.00"), "deliveryDate": dt.date(2026, 5, 1)}],
            "total": Decimal("25.00"),
            "currency": "EUR",
            "attachment": b"\x00\xff",
            "@urgent": True,
        }  # fmt: skip

    def seed(self, records):
        for record in records:
            self.run(
                "insert into purchase_order (order_nr, title, status, requester, cost_centre, ordered, total_cents, currency, changed, version)"
                " values (?,?,?,?,?,?,?,?,strftime('%Y-%m-%dT%H:%M:%f000Z','now'),1)",
                record["orderNr"], record["title"], record["status"], record["requester"],
                record["costCentre"], "2026-03-01", 2500, "EUR",
            )  # fmt: skip

    def read_all(self):
        rows = self.erp.rows(
            "select order_nr from purchase_order where status != 'cancelled'"
        )
        return [{"orderNr": row["order_nr"]} for row in rows]

    def remove(self, values):
        for value in values:
            self.run(
                "update purchase_order set status='cancelled', version=version+1, changed=strftime('%Y-%m-%dT%H:%M:%f000Z','now') where order_nr=?",
                value,
            )

    def edit(self, value):
        self.run(
            "update purchase_order set title=?, version=version+1, changed=strftime('%Y-%m-%dT%H:%M:%f000Z','now') where order_nr=?",
            f"edited {secrets.token_hex(4)}", value,
        )  # fmt: skip

    def spoil(self, value):
        self.run("update purchase_order set ordered='soon' where order_nr=?", value)

    def run(self, sql, *values):
        with closing(sqlite3.connect(self.erp._file, timeout=60)) as database, database:
            database.execute(sql, values)

    def change(self, record):
        return {"title": f"neu {secrets.token_hex(4)}", "currency": "CHF"}

    def broken(self):
        return {"orderNr": f"PO-{secrets.token_hex(6)}", "title": "has no status"}

    def absent(self):
        return Ref(f"PO-{secrets.token_hex(8)}")


class PeopleHarness(Harness):
    """The desk's people, seeded and read through its back door."""

    stream = "people"
    unique = "login"
    clearable = "mail"

    def __init__(self, server):
        self.server = server
        self.endpoint = ("127.0.0.1", server.port)
        self.canaries = [server.password]
        server.control("forget")

    def make(self, *, endpoint=None, credentials="good"):
        wrong = "wrong-password" if credentials == "bad" else None
        config = desk(self.server, endpoint=endpoint, password=wrong)
        return SoapAdapter(config, {"people": people()})

    def sample(self, count):
        return [self._person() for _ in range(count)]

    def _person(self):
        word = secrets.token_hex(6)
        return {
            "nr": secrets.randbelow(10**12) * 1000 + 1,
            "login": f"u-{word} <&>",
            "mail": f"{word}@corp.example",
            "phone": [f"+49 {word}", f"+48 {word}"],
            "@vip": True,
        }

    def seed(self, records):
        self.server.control("seed", [{**r, "vip": r["@vip"]} for r in records])

    def read_all(self):
        return self.server.control("all")

    def remove(self, values):
        self.server.control("remove", values)

    def edit(self, value):
        self.server.control("edit", [value, f"{secrets.token_hex(4)}@corp.example"])

    def change(self, record):
        return {"mail": f"{secrets.token_hex(4)}@corp.example", "@vip": False}

    def broken(self):
        return {**self._person(), "login": ""}

    def absent(self):
        return Ref(str(secrets.randbelow(10**12) * 1000 + 1))


class OrdersConformance(AdapterConformance):
    adapter = SoapAdapter
    features = frozenset(
        {"network", "credentials", "keyed", "conditional", "deletes", "rejects"}
    )

    @pytest.fixture
    def harness(self, own_erp):
        return OrdersHarness(own_erp, self.flavour)


class TestDocumentLiteral(OrdersConformance):
    flavour = "erp"
    adapter = SoapAdapter


class TestRpcEncoded(OrdersConformance):
    flavour = "erp-encoded"
    adapter = SoapAdapter


class TestNode(AdapterConformance):
    adapter = SoapAdapter
    features = frozenset({"network", "credentials", "keyed", "conditional", "deletes"})

    @pytest.fixture
    def harness(self, desk_server):
        return PeopleHarness(desk_server)
