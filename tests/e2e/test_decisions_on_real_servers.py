"""Decisions on a real SOAP service and a real platform: only about what people saw."""

from __future__ import annotations

import re
import shutil
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from moatbridge.changes import Intent
from moatbridge.demo.configuration_content import TEXT
from moatbridge.demo.servers.erp import Approver, Erp, Line, Order
from moatbridge.resilience import crash
from moatbridge.run import Bridge
from moatbridge.run.checking import check
from servers.mastodon import Mastodon

NUMBERS = ("PO-1", "PO-2", "PO-3", "PO-4", "PO-5")
ORDERS = [
    Order(number, "Desk lamps", "u7", (Line("Lamp", Decimal(1), Decimal("12.50")),))
    for number in NUMBERS
]
HEAD = """
[ledger]
url = "sqlite:///{folder}/ledger.db"
durability = "normal"
[systems.directory]
adapter = "sql"
url = "sqlite:///{folder}/staff.db"
[streams."directory/people"]
table = "people"
fields = ["id", "uid", "employeeNumber", "employeeType"]
[streams."directory/people".translator]
entity = "Person"
fields = {{ userName = "uid" }}
"""


class World:
    """The orders' part of the demo's configuration, with a directory of one person."""

    def __init__(self, folder, erp, town):
        self.erp, self.town = erp, town
        with closing(sqlite3.connect(folder / "staff.db")) as db, db:
            db.execute(
                "CREATE TABLE people"
                "(id INTEGER PRIMARY KEY, uid, employeeNumber, employeeType)"
            )
            db.execute("INSERT INTO people VALUES (1, 'ada', 'E1', 'approver')")
        (folder / "erp-password").write_text(erp.password)
        (folder / "town-token").write_text(town.token)
        shutil.copy(erp.wsdl_file(), folder / "erp.wsdl")
        text = TEXT.partition("# --- absences")[0].format(
            erp=erp.endpoint(), erp_user=erp.username, town=town.url
        )
        (folder / "moatbridge.toml").write_text(HEAD.format(folder=folder) + text)
        self.bridge = Bridge.open(folder / "moatbridge.toml")
        for flow in ("orders", "decisions"):
            plan = self.bridge.plan(flow, actor="one@example.org")
            self.bridge.apply(plan, confirm=plan.verdict.count, actor="two@example.org")

    def post(self, number):
        found = (s for s in self.town.statuses() if f"Order {number}:" in s["content"])
        return next(found)

    def total(self, number):
        return re.search(r"Total ([\d.,]+)", self.post(number)["content"])[1]

    def reply(self, number, text="approve"):
        return self.town.reply("ada", self.post(number)["id"], text)

    def run(self):
        return self.bridge.run("decisions")

    def decided(self, number):
        rows = self.erp.decisions()
        return [r["decision"] for r in rows if r["order_nr"] == number]

    def told(self, reply):
        """What the author read about one reply."""
        inbox = self.town.inbox("ada")
        return [s["content"] for s in inbox if s["in_reply_to_id"] == reply["id"]]


@pytest.fixture(scope="module")
def world():
    with tempfile.TemporaryDirectory() as name, Mastodon({"ada": "Ada"}) as town:
        erp = Erp(Path(name) / "erp")
        erp.start(ORDERS, [Approver("E1", "Ada")])
        try:
            made = World(Path(name), erp, town)
            try:
                yield made
            finally:
                made.bridge.close()
        finally:
            erp.stop()


@pytest.fixture
def between():
    """Does something between the last check and the call; once."""
    left = []

    def at(point):
        if point == "send.half" and left:
            left.pop()()

    crash.install(at)
    yield left.append
    crash.install(None)


def test_an_order_that_changed_since_its_post_is_not_decided_and_a_new_reply_decides(
    world,
):
    world.erp.reprice("PO-1", 99999_00)
    assert world.total("PO-1") == "12.50"
    first = world.reply("PO-1")
    world.run()
    assert world.decided("PO-1") == []
    [told] = world.told(first)
    assert "has changed since you wrote" in told
    assert "please look again" in told
    world.bridge.run("orders")
    assert world.total("PO-1") == "99,999.00"
    world.erp.reprice("PO-1", 800_00)  # what Ada may decide
    world.bridge.run("orders")
    second = world.reply("PO-1", "approve, it is for all floors")
    world.run()
    assert world.decided("PO-1") == ["approve"]
    assert world.told(second) == []


def test_an_order_that_changes_between_the_check_and_the_call_is_refused_by_the_erp(
    world, between
):
    between(lambda: world.erp.reprice("PO-2", 700_00))
    reply = world.reply("PO-2")
    world.run()
    assert world.decided("PO-2") == []
    assert world.erp.orders()["PO-2"]["status"] == "submitted"
    [told] = world.told(reply)
    assert "has changed" in told
    assert "was not taken" in told
    world.bridge.run("orders")
    assert world.total("PO-2") == "700.00"
    world.reply("PO-2", "reject")
    world.run()
    assert world.decided("PO-2") == ["reject"]


def test_a_reply_written_before_its_post_was_edited_decides_nothing(world):
    reply = world.reply("PO-3")
    world.erp.reprice("PO-3", 700_00)
    world.bridge.run("orders")
    assert world.total("PO-3") == "700.00"
    world.run()
    assert world.decided("PO-3") == []
    [told] = world.told(reply)
    assert "has changed since you wrote" in told


def test_an_order_that_was_deleted_while_its_post_stands_is_not_decided(world):
    reply = world.reply("PO-4")
    world.erp.withdraw("PO-4")
    world.run()
    assert world.decided("PO-4") == []
    [told] = world.told(reply)
    assert "has changed since you wrote" in told


def test_a_repeat_with_the_same_request_is_answered_as_before_whatever_changed(world):
    record = {
        "orderNr": "PO-5",
        "decision": "approve",
        "comment": None,
        "approver": "E1",
        "expectedVersion": "1",
    }
    intent = Intent("a-key-of-its-own", "create", None, record, owned=tuple(record))
    with world.bridge.session("erp") as session:
        first, again = (session.write("decisions", [intent])[0] for _ in range(2))
        other = replace(intent, key="another-key")
        [late] = session.write("decisions", [other])
    assert (first.outcome, again.outcome, late.outcome) == (
        "applied",
        "applied",
        "rejected",
    )
    assert first.ref == again.ref
    assert world.decided("PO-5") == ["approve"]


def test_everything_that_a_decision_rests_on_can_be_seen(world):
    flows = {each.flow: each for each in check(world.bridge).flows}
    assert flows["decisions"].problem is None
    assert flows["decisions"].warnings == ()
