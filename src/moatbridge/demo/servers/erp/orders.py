"""What the ERP starts with: purchase orders and the people who may decide them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True)
class Line:
    """One position of an order; prices with two decimals, in the order's currency."""

    article: str
    quantity: Decimal
    unit_price: Decimal
    delivery_date: str | None = None


@dataclass(frozen=True)
class Order:
    """One purchase order.

    Args:
        number: Its immutable key.
        title: One line for people.
        requester: Login of who wants it.
        lines: Positions; the total is their sum.
        status: ``draft submitted approved rejected cancelled``.
        cost_centre: Who pays; may be nil.
        currency: ISO 4217.
        ordered: Day, ``2026-03-01``.
        deliver_by: Moment with its zone, as the buyer wrote it.
        deliver_to: ``{"pickupPoint": ...}`` or ``{"address": {...}}``.
        attachment: A file.
        urgent: Attribute of the order; absent if None.
        changed: Moment in UTC, ``2026-03-01T08:00:00.000000Z``.
    """

    number: str
    title: str
    requester: str
    lines: tuple[Line, ...] = ()
    status: str = "submitted"
    cost_centre: str | None = None
    currency: str = "EUR"
    ordered: str = "2026-03-01"
    deliver_by: str | None = None
    deliver_to: Mapping[str, Any] | None = None
    attachment: bytes | None = None
    urgent: bool | None = None
    changed: str = "2026-03-01T08:00:00.000000Z"

    @property
    def cents(self) -> int:
        """The total in hundredths, each line rounded half up."""
        return sum(
            int((each.quantity * each.unit_price * 100 + Decimal("0.5")) // 1)
            for each in self.lines
        )


@dataclass(frozen=True)
class Approver:
    """Somebody in the ERP's own user table, and the largest total he may decide."""

    login: str
    name: str
    limit: Decimal = field(default=Decimal(10_000))
    active: bool = True


def insert_orders(database: sqlite3.Connection, orders: Iterable[Order]) -> None:
    """Store orders as if they had always been there: no journal line."""
    for order in orders:
        database.execute(
            f"INSERT INTO purchase_order VALUES ({','.join('?' * 15)})", _row(order)
        )
        database.executemany("INSERT INTO line VALUES (?,?,?,?,?,?)", _lines(order))


def insert_approvers(
    database: sqlite3.Connection, approvers: Iterable[Approver]
) -> None:
    """Add people who may decide."""
    database.executemany(
        "INSERT INTO approver VALUES (?,?,?,?)",
        [(a.login, a.name, int(a.limit * 100), int(a.active)) for a in approvers],
    )


def _row(order: Order) -> tuple[Any, ...]:
    where = None if order.deliver_to is None else json.dumps(order.deliver_to)
    return (
        order.number, order.title, order.status, order.requester, order.cost_centre,
        order.ordered, order.deliver_by, where, order.cents, order.currency,
        order.attachment, order.urgent, None, order.changed, 1,
    )  # fmt: skip


def _lines(order: Order) -> list[tuple[Any, ...]]:
    return [
        (
            order.number,
            position,
            line.article,
            str(line.quantity),
            f"{line.unit_price:.2f}",
            line.delivery_date,
        )
        for position, line in enumerate(order.lines, 1)
    ]
