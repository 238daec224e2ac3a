"""The invented company's orders and absences, and the people who decide. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from moatbridge.demo.seed import Employee
from moatbridge.demo.servers.erp import Approver, Line, Order

BUYER: Final = Employee(1)
"""May decide anything up to 10,000 EUR."""
JUNIOR: Final = Employee(2)
"""May decide up to 500 EUR: the ERP knows, the bridge does not."""
CLERK: Final = Employee(3)
"""Has an account and a name, but decides nothing."""
VISITOR: Final = "visitor"
"""An account that belongs to nobody in the directory."""

APPROVERS: Final = (BUYER, JUNIOR)
HUSHED_ORDER: Final = "PO-1006"
"""Its title holds a password: nobody may see it on a timeline."""
LOUD_ORDER: Final = "PO-1005"
"""Its title shouts at everybody."""

_ARTICLES: Final = (
    ("Laptop stand", "34.90"),
    ("Standing desk, 160 cm", "489.00"),
    ("Noise-cancelling headset", "149.50"),
    ("Toner, black", "78.25"),
    ("Ergonomic chair", "612.00"),
    ("USB-C dock", "189.99"),
)
_TITLES: Final = {
    "PO-1001": "Desks for the new finance room",
    "PO-1002": "Headsets for the service desk",
    "PO-1003": "Toner for two months",
    "PO-1004": "Chairs for the Stockholm office",
    LOUD_ORDER: "Docks @everyone please look at this",
    HUSHED_ORDER: "VPN renewal, password=Sommer-2026!",
}


def number_of(person: Employee) -> str:
    """The person's login in the ERP."""
    return f"E{person.number:05}"


def orders() -> list[Order]:
    """Six submitted orders, some with several lines."""
    return [
        _order(nr, title, position)
        for position, (nr, title) in enumerate(_TITLES.items())
    ]


def later_order(number: str) -> Order:
    """One more order, made in the course of the story."""
    return _order(number, "Desk lamps for the evening shift", 7)


def approvers() -> list[Approver]:
    """The ERP's own table of who may decide, and up to what."""
    limits = {BUYER: Decimal(10_000), JUNIOR: Decimal(500)}
    return [
        Approver(number_of(each), f"{each.given} {each.family}", limit)
        for each, limit in limits.items()
    ]


def absences(first: int, count: int, *, said: int | None = None) -> str:
    """A nightly file, with its control line.

    Args:
        first: Number of the first person.
        count: How many lines.
        said: What the control line says; None for the truth.
    """
    lines = ["ID;LOGIN;NAME;FIRST;LAST;DAYS"]
    total = 0
    for position in range(count):
        person, days = Employee(first + position), 1 + position % 9
        total += days
        name = f"{person.given} {person.family}"
        day = f"{1 + position % 18:02}.06.2026"
        end = f"{1 + position % 18 + days:02}.06.2026"
        lines.append(f"A-{first + position:05};{person.uid};{name};{day};{end};{days}")
    lines.append(f"TRL;{count if said is None else said};{total}")
    return "".join(line + "\r\n" for line in lines)


def _order(number: str, title: str, position: int) -> Order:
    few = 1 + position % 3
    lines = tuple(
        Line(article, Decimal(1 + (position + each) % 4), Decimal(price))
        for each in range(few)
        for article, price in (_ARTICLES[(position + each) % len(_ARTICLES)],)
    )
    return Order(
        number,
        title,
        Employee(20 + position).uid,
        lines,
        cost_centre=f"{4200 + position}",
        changed=f"2026-03-01T08:00:{position:02}.000000Z",
    )
