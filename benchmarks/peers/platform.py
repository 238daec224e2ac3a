"""What a peer's target is given to send with. Needs requests and orjson.

The peers get what the script by hand has: rows straight from sqlite3, bulk requests of
100 over one connection, and PUT by name, for which they need no memory of ids.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import requests
from harness.contents import COLUMNS, creates, puts
from orjson import dumps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Work = Callable[[dict[str, Any]], Callable[[], dict[str, Any]]]

BATCH = 100
WITH_CURSOR = (*COLUMNS, "geaendert")


def select(since: int | None) -> tuple[str, tuple[int, ...]]:
    """The query for all rows, or those that changed since."""
    query = f"SELECT {', '.join(WITH_CURSOR)} FROM personal"
    if since is None:
        return query, ()
    return query + " WHERE geaendert > ? ORDER BY geaendert", (since,)


def records(database: str, since: int | None) -> Iterator[list[dict[str, Any]]]:
    """Batches of records."""
    db = sqlite3.connect(database)
    cursor = db.execute(*select(since))
    while rows := cursor.fetchmany(1000):
        yield [dict(zip(WITH_CURSOR, row, strict=True)) for row in rows]
    db.close()


class Platform:
    """Bulk requests over one connection."""

    def __init__(self, url: str, *, replaces: bool) -> None:
        self._url = url + "/Bulk"
        self._body = puts if replaces else creates
        self._http = requests.Session()
        self._http.trust_env = False
        self._http.headers["Authorization"] = "Bearer benchmark"
        self._http.headers["Content-Type"] = "application/scim+json"

    def send(self, found: Sequence[dict[str, Any]]) -> None:
        """One request; raises if not every operation worked."""
        rows = [[record[name] for name in COLUMNS] for record in found]
        answer = self._http.post(self._url, data=dumps(self._body(rows)))
        answer.raise_for_status()
        if not all(d["status"][0] == "2" for d in answer.json()["Operations"]):
            raise RuntimeError("the platform refused something")


def passes(
    made: Callable[..., Callable[[], dict[str, Any]]],
) -> tuple[Work, Work, Work]:
    """`first`, `again` and `delta` of a peer: all, all once more, what changed since."""

    def first(order: dict[str, Any]) -> Callable[[], dict[str, Any]]:
        return made(order, replaces=False)

    def again(order: dict[str, Any]) -> Callable[[], dict[str, Any]]:
        return made(order, replaces=True)

    def delta(order: dict[str, Any]) -> Callable[[], dict[str, Any]]:
        return made(order, replaces=True, since=order["since"])

    return first, again, delta
