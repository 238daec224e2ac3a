"""A practice ERP: purchase orders behind PHP's own SOAP server.

    python erp.py serve                  # until Ctrl-C
    python erp.py orders                 # number, state, total, who decided
    python erp.py add PO-2001 "Desk lamps for the evening shift"
    python erp.py change PO-1001 "Desks for the old finance room"
    python erp.py decisions              # order, decision, who, comment

Needs PHP (Debian: ``php-cli php-soap php-xml php-sqlite3``). All but ``serve`` go to
the ERP's own database, round the service. Everything lies in the folder ``playground``.
"""

from __future__ import annotations

import argparse
import shutil
import sqlite3
import sys
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from serving import FOLDER, fresh, keep, serve

from moatbridge.demo.servers import Erp, Missing
from moatbridge.demo.servers.erp import Approver, Line, Order

ORDERS = (
    ("PO-1001", "Desks for the new finance room", ("Standing desk, 160 cm", "489.00")),
    ("PO-1002", "Headsets for the service desk", ("Headset, USB-C", "149.50")),
    ("PO-1003", "VPN renewal, password=Summer-2026!", ("VPN licence", "78.25")),
)
APPROVERS = (
    Approver("E00001", "Ada Berg"),
    Approver("E00002", "Bo Costa", Decimal(100)),
)


def main() -> int:
    """Run one of the commands."""
    asked = argparse.ArgumentParser(description=__doc__)
    commands = ("serve", "orders", "add", "change", "decisions")
    asked.add_argument("command", choices=commands)
    asked.add_argument("values", nargs="*", help="add, change: number and title")
    asked.add_argument("--port", type=int, default=8300)
    given = asked.parse_args()
    try:
        erp = Erp(FOLDER.absolute() / "erp")
    except Missing as missing:
        sys.stderr.write(f"{missing}\n")
        return 2
    erp.port = given.port
    if given.command == "serve":
        return serve(lambda: start(erp), erp.stop)
    if given.command == "add":
        erp.add([order(*given.values)])
    elif given.command == "change":
        change(erp, *given.values)
    else:
        show(erp, given.command)
    return 0


def start(erp: Erp) -> None:
    """Make it afresh, with its orders, and say how to reach it."""
    fresh("erp")
    erp.start([order(number, title, line) for number, title, line in ORDERS], APPROVERS)
    keep("erp-password", erp.password)
    shutil.copy(erp.wsdl_file(), "erp.wsdl")
    print(f"endpoint: {erp.endpoint()}")
    print("WSDL: erp.wsdl")
    print(f"account: {erp.username}, password in {FOLDER / 'erp-password'}")


def order(
    number: str, title: str, first: tuple[str, str] = ("Desk lamp", "34.90")
) -> Order:
    """A submitted order with two lines."""
    pairs = (first, ("Delivery", "12.00"))
    lines = tuple(Line(what, Decimal(2), Decimal(price)) for what, price in pairs)
    return Order(number, title, "cokafor", lines, changed=now())


def change(erp: Erp, number: str, title: str) -> None:
    """Give an order another title, as the ERP's own users would."""
    sql = "UPDATE purchase_order SET title=?, changed=?, version=version+1"
    with closing(sqlite3.connect(Path(erp.wsdl_file()).with_name("erp.db"))) as db, db:
        db.execute(f"{sql} WHERE order_nr=?", (title, now(), number))


def show(erp: Erp, what: str) -> None:
    """Print what the ERP's database holds."""
    if what == "decisions":
        for row in erp.decisions():
            print(row["order_nr"], row["decision"], row["approver"], row["comment"])
        return
    for number, row in sorted(erp.orders().items()):
        total = f"{row['total_cents'] / 100:.2f} {row['currency']}"
        print(number, row["status"], total, row["decided_by"] or "-", row["title"])


def now() -> str:
    """This moment, as the ERP's database writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


if __name__ == "__main__":
    sys.exit(main())
