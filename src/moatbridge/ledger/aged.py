"""What of finished parcels is old enough to go: looked for apart from being dropped.

Looking for it may mean going over all that a ledger holds, which would keep every other
writer waiting. So it is done in reading transactions, each over a bounded number of
parcels and their intents; what was found is dropped in a short writing one. Finished
parcels stay finished, so nothing that was found can come to life in between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from moatbridge.ledger.marks import chunks
from moatbridge.ledger.states import State

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moatbridge.ledger.database import Transaction

CHUNK: Final = 10_000
"""Intents that one transaction looks at, or drops, at most; one parcel in any case."""

PARCELS: Final = 1000
"""Parcels that one transaction looks at."""

_FINISHED: Final = int(State.DONE)
_HOLES: Final = 500


class Keep(NamedTuple):
    """How long what is kept, in seconds.

    Args:
        payload: Content of delivered intents.
        undo: Images of what was overwritten.
        history: Rows without content.
    """

    payload: float
    undo: float
    history: float


class Place(NamedTuple):
    """How far the search came.

    Args:
        after: The last parcel looked at.
        upto: Parcels up to this one are as old as any that was sent long ago.
    """

    after: int = 0
    upto: int = 0


class Page(NamedTuple):
    """What one look found.

    Args:
        parcels: Parcels of which something may go.
        next: Where to go on; None at the end.
    """

    parcels: list[int]
    next: Place | None


class Step(NamedTuple):
    """Something of finished parcels that goes in time.

    Args:
        find: Looks at the parcels after a place, in a reading transaction.
        drop: Drops what was found, in a writing one; says how many rows.
    """

    find: Callable[[Transaction, int, Keep, Place], Page]
    drop: Callable[[Transaction, Sequence[int]], int]


# --- content --------------------------------------------------------------------------


def find_payloads(tx: Transaction, flow_id: int, keep: Keep, at: Place) -> Page:
    """Finished intents whose content was kept beyond delivery."""
    rows, then = _sent_before(tx, flow_id, tx.now() - keep.payload, at)
    return Page(_holding(tx, "intent", rows, " AND payload IS NOT NULL"), then)


def drop_payloads(tx: Transaction, parcels: Sequence[int]) -> int:
    """Their content goes; what they were stays."""
    return sum(
        tx.run(
            "UPDATE intent SET payload=NULL WHERE payload IS NOT NULL "
            f"AND parcel_id IN ({','.join('?' * len(part))})",
            *part,
        )
        for part in chunks(parcels, _HOLES)
    )


# --- images ---------------------------------------------------------------------------


def find_images(tx: Transaction, flow_id: int, keep: Keep, at: Place) -> Page:
    """Before-images that nobody can undo from any more."""
    rows, then = _sent_before(tx, flow_id, tx.now() - keep.undo, at)
    return Page(_holding(tx, "before", rows), then)


def drop_images(tx: Transaction, parcels: Sequence[int]) -> int:
    """They go."""
    return sum(
        tx.run(
            f"DELETE FROM before WHERE parcel_id IN ({','.join('?' * len(part))})",
            *part,
        )
        for part in chunks(parcels, _HOLES)
    )


# --- the intents themselves -----------------------------------------------------------


def find_parcels(tx: Transaction, flow_id: int, keep: Keep, at: Place) -> Page:
    """Finished parcels, with their intents.

    Numbers of parcels grow with time: what was never sent is as old as its neighbours.
    A plan that was never carried out has no history: it goes at once.
    """
    before = tx.now() - keep.history
    if not at.after:
        sent = "SELECT max(parcel_id) FROM parcel WHERE flow_id=? AND last_sent<?"
        at = at._replace(upto=int(tx.value(sent, flow_id, before) or 0))
    rows, then = _window(
        tx,
        at,
        "p.flow_id=? AND p.state>=? AND (p.last_sent<? OR (p.last_sent IS NULL "
        "AND (p.parcel_id<? OR r.finished<? OR (p.state=? AND r.kind='pass' "
        "AND r.state='cancelled'))))",
        flow_id,
        _FINISHED,
        before,
        at.upto,
        before,
        State.CANCELLED,
    )
    return Page([parcel_id for parcel_id, _n in rows], then)


def drop_parcels(tx: Transaction, parcels: Sequence[int]) -> int:
    """They go, with their intents and images."""
    ids = [(parcel_id,) for parcel_id in parcels]
    total = 0
    for part in chunks(parcels, _HOLES):
        holes = ",".join("?" * len(part))
        found = f"SELECT coalesce(sum(n), 0) FROM parcel WHERE parcel_id IN ({holes})"
        total += int(tx.value(found, *part))
    for table in ("before", "intent", "parcel"):
        tx.many(f"DELETE FROM {table} WHERE parcel_id=?", ids)
    return total or len(ids)


# --- pages ----------------------------------------------------------------------------

_Rows = list[tuple[int, int]]


def _sent_before(
    tx: Transaction, flow_id: int, moment: float, at: Place
) -> tuple[_Rows, Place | None]:
    wanted = "p.flow_id=? AND p.state>=? AND p.last_sent<?"
    return _window(tx, at, wanted, flow_id, _FINISHED, moment)


def _window(
    tx: Transaction, at: Place, wanted: str, *params: object
) -> tuple[_Rows, Place | None]:
    """The wanted ones of the next parcels, and where to go on.

    By number, so that looking costs the same whether or not any of them is wanted.
    """
    last = tx.value(
        "SELECT max(parcel_id) FROM (SELECT parcel_id FROM parcel WHERE parcel_id>? "
        "ORDER BY parcel_id LIMIT ?) AS page",
        at.after,
        PARCELS,
    )
    if last is None:
        return [], None
    rows = tx.all(
        "SELECT p.parcel_id, p.n FROM parcel p JOIN run r ON r.run_id=p.run_id "
        f"WHERE p.parcel_id>? AND p.parcel_id<=? AND {wanted} ORDER BY p.parcel_id",
        at.after,
        last,
        *params,
    )
    taken: _Rows = []
    total = 0
    for parcel_id, n in rows:
        if taken and total + n > CHUNK:
            return taken, at._replace(after=taken[-1][0])
        taken.append((int(parcel_id), int(n)))
        total += n
    return taken, at._replace(after=int(last))


def _holding(tx: Transaction, table: str, rows: _Rows, more: str = "") -> list[int]:
    """Of these parcels, those of which that table still holds something."""
    found: set[int] = set()
    for part in chunks([parcel_id for parcel_id, _n in rows], _HOLES):
        holes = ",".join("?" * len(part))
        held = tx.all(
            f"SELECT DISTINCT parcel_id FROM {table} "
            f"WHERE parcel_id IN ({holes}){more}",
            *part,
        )
        found.update(int(parcel_id) for (parcel_id,) in held)
    return sorted(found)
