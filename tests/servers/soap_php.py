"""A real ERP behind PHP's SOAP server, for tests: the one that the demo uses.

`erp_server` is the fixture: one server for the run, with `ORDERS` and `APPROVERS` in
it; tests that write use order numbers of their own.
"""

from __future__ import annotations

import contextlib
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from moatbridge.demo.servers.erp import Approver, Erp, Line, Order

if TYPE_CHECKING:
    from collections.abc import Iterator

APPROVERS = (
    Approver("bea", "Bea Große", Decimal(1_000)),
    Approver("cyd", "Cyd Ölçer", Decimal(10)),
    Approver("left", "Gone", Decimal(10_000), active=False),
)


def order(number: int, **more) -> Order:
    """A purchase order that shows every kind of value the ERP has."""
    line = Line("Stuhl <A&B>", Decimal("2.5"), Decimal("10.01"))
    lines = (line, Line("Tisch", Decimal(1), Decimal(300), "2026-05-01"))
    where = {"pickupPoint": "Tor 1"}
    if number % 2:
        where = {"address": {"street": "Hauptstr. 1", "zip": "10115", "city": "Berlin"}}
    values = {
        "requester": "ann" if number % 3 else "bob",
        "lines": lines[: number % 3],
        "cost_centre": None if number % 4 == 0 else f"CC-{number % 4}",
        "deliver_by": "2026-04-01T10:00:00+02:00" if number % 2 else None,
        "deliver_to": where if number % 5 else None,
        "attachment": bytes(range(256)) if number % 6 == 0 else None,
        "urgent": bool(number % 2) if number % 3 else None,
        "changed": f"2026-03-01T08:{number // 60 % 60:02}:{number % 60:02}.000000Z",
    }
    return Order(f"PO-{number:06d}", f"Bestellung {number} 山田", **(values | more))


ORDERS = tuple(order(number) for number in range(40))


@contextlib.contextmanager
def running(orders=ORDERS, approvers=APPROVERS) -> Iterator[Erp]:
    """A started ERP in a folder of its own, removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="erp-") as folder:
        server = Erp(Path(folder) / "erp")
        server.start(orders, approvers)
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def erp_server() -> Iterator[Erp]:
    """One ERP for the whole run."""
    with running() as server:
        yield server
