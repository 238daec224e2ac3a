"""What the records of all scenarios look like to a platform, and their digest.

Standard library only: scripts, peers and the sink share this.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

CORE = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
BULK = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
COLUMNS = ("pers_nr", "login", "vorname", "nachname", "mail", "telefon", "titel", "abteilung")  # fmt: skip
FIELDS = {
    "userName": "login",
    "name.givenName": "vorname",
    "name.familyName": "nachname",
    "emails[type=work].value": "mail",
    "phoneNumbers[type=work].value": "telefon",
    "title": "titel",
    "enterprise.department": "abteilung",
}
"""What moatbridge is told: entity path and column."""


def row(number: int, changed: bool = False) -> tuple[int, str, str, str, str, str, str, str]:  # fmt: skip
    """The person of this number, as `COLUMNS`."""
    rank = "Lead" if changed else "Engineer"
    return (
        100_000 + number, f"u{number:07}", "Ada", f"Müller-{number}", f"u{number:07}@legacy.example",
        f"+49 30 {number:07}", f"{rank} {number % 50}", f"D{number % 40:02}",
    )  # fmt: skip


def user(r: Sequence[Any]) -> dict[str, Any]:
    """The same as a SCIM user: what a script would write down by hand."""
    return {
        "schemas": [CORE, ENTERPRISE],
        "externalId": str(r[0]),
        "userName": r[1],
        "name": {"givenName": r[2], "familyName": r[3]},
        "emails": [{"type": "work", "value": r[4]}],
        "phoneNumbers": [{"type": "work", "value": r[5]}],
        "title": r[6],
        "active": True,
        ENTERPRISE: {"department": r[7]},
    }


def creates(rows: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """A bulk request that creates them."""
    operations = [
        {"method": "POST", "path": "/Users", "bulkId": str(n), "data": user(r)}
        for n, r in enumerate(rows)
    ]
    return {"schemas": [BULK], "Operations": operations}


def puts(rows: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """A bulk request that creates or replaces them (here, an id is the name)."""
    operations = [
        {"method": "PUT", "path": "/Users/" + r[1], "bulkId": str(n), "data": user(r)}
        for n, r in enumerate(rows)
    ]
    return {"schemas": [BULK], "Operations": operations}


def digest(users: Iterable[dict[str, Any]]) -> str:
    """Of all that scripts and bridges must have carried, in whatever order."""
    total = 0
    for each in users:
        name, mail, phone = each["name"], each["emails"], each["phoneNumbers"]
        values = (
            each["userName"], name["givenName"], name["familyName"], mail[0]["value"], phone[0]["value"],
            each["title"], each[ENTERPRISE]["department"],
        )  # fmt: skip
        raw = blake2b("\x1f".join(values).encode(), digest_size=8).digest()
        total += int.from_bytes(raw, "big")
    return f"{len(values) if total else 0}-{total % 2**64:016x}"
