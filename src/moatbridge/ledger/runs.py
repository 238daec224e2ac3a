"""Runs: one plan each, and what came of it (delivery 51)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from moatbridge.ledger.states import State
from moatbridge.resilience import heart

if TYPE_CHECKING:
    from moatbridge.ledger.database import Transaction

OPEN = ("scanning", "planned", "applying")
"""States of a run that is not over; ``planned`` waits for a person or ``apply``.

The others are ``done``, ``cancelled`` and ``nothing``: there was nothing new to read.
"""

_COLUMNS = (
    "run_id, flow_id, kind, state, auto, generation, plan_digest, counts, verdict, "
    "actor, created, planned, finished, error"
)


@dataclass(frozen=True, slots=True)
class Run:
    """A run's row; ``counts`` and ``verdict`` are plain JSON values."""

    run_id: int
    flow_id: int
    kind: str
    state: str
    auto: bool
    generation: int | None
    digest: str | None
    counts: dict[str, Any]
    verdict: dict[str, Any]
    actor: str | None
    created: float
    planned: float | None
    finished: float | None
    error: str | None


def _run(row: Any) -> Run:
    values: Any = (
        *row[:4],
        bool(row[4]),
        *row[5:7],
        json.loads(row[7] or "{}"),
        json.loads(row[8] or "{}"),
        *row[9:],
    )
    return Run(*values)


def begin(
    tx: Transaction,
    flow_id: int,
    *,
    kind: str,
    state: str,
    auto: bool,
    actor: str,
    generation: int | None = None,
) -> int:
    """Insert a run; returns its id."""
    return tx.insert(
        "INSERT INTO run(flow_id, kind, state, auto, actor, generation, created) "
        "VALUES(?,?,?,?,?,?,?)",
        flow_id,
        kind,
        state,
        auto,
        actor,
        generation,
        tx.now(),
    )


def get(tx: Transaction, run_id: int) -> Run:
    """The run with that id."""
    return _run(tx.one(f"SELECT {_COLUMNS} FROM run WHERE run_id=?", run_id))


def latest(
    tx: Transaction, flow_id: int, *states: str, kind: str = "pass"
) -> Run | None:
    """The newest run of the flow in one of these states."""
    holes = ",".join("?" * len(states))
    row = tx.one(
        f"SELECT {_COLUMNS} FROM run WHERE flow_id=? AND kind=? AND state IN ({holes}) "
        "ORDER BY run_id DESC LIMIT 1",
        flow_id,
        kind,
        *states,
    )
    return None if row is None else _run(row)


def ever_applied(tx: Transaction, flow_id: int) -> bool:
    """Whether a pass of this flow that saw anything was carried out to its end.

    A source that can only be followed shows nothing: agreeing to follow it counts.
    """
    return bool(
        tx.one(
            "SELECT 1 FROM run r JOIN scan s ON s.flow_id=r.flow_id "
            "AND s.generation=r.generation WHERE r.flow_id=? AND r.kind='pass' "
            "AND r.state='done' AND (s.seen>0 OR s.state='followed') LIMIT 1",
            flow_id,
        )
    )


def live(tx: Transaction, flow_id: int) -> int:
    """Id of the run that changes outside any pass belong to; made if there is none."""
    run_id = live_already(tx, flow_id)
    if run_id is not None:
        return run_id
    return begin(tx, flow_id, kind="live", state="applying", auto=True, actor="live")


def live_already(tx: Transaction, flow_id: int) -> int | None:
    """The same run, if there is one; writes nothing."""
    run = latest(tx, flow_id, "applying", kind="live")
    return None if run is None else run.run_id


def applying(tx: Transaction, flow_id: int) -> list[Run]:
    """All runs of the flow that are being applied."""
    return [
        _run(row)
        for row in tx.all(
            f"SELECT {_COLUMNS} FROM run WHERE flow_id=? AND state='applying'", flow_id
        )
    ]


def set_state(tx: Transaction, run_id: int, state: str, **columns: Any) -> None:
    """Change a run's state; dicts are stored as JSON."""
    values = {
        name: json.dumps(value) if isinstance(value, dict) else value
        for name, value in columns.items()
    }
    if state not in OPEN:
        values.setdefault("finished", tx.now())
    names = "".join(f", {name}=?" for name in values)
    tx.run(
        f"UPDATE run SET state=?{names} WHERE run_id=?", state, *values.values(), run_id
    )


def replace_older(tx: Transaction, flow_id: int, run_id: int) -> None:
    """A new plan of a flow cancels its older one (delivery 51)."""
    tx.run(
        "UPDATE run SET state='cancelled', finished=? WHERE flow_id=? "
        "AND kind='pass' AND state='planned' AND run_id<>?",
        tx.now(),
        flow_id,
        run_id,
    )


def before_first(tx: Transaction, run_id: int) -> tuple[int, int]:
    """Where the run's intents begin: (parcel, position) before the first of them.

    Parcels are few, and intents are kept: from the beginning, what earlier runs sent
    would be looked at each time. Of a run without any: behind all others.
    """
    first = tx.value(
        "SELECT coalesce((SELECT min(parcel_id) FROM parcel WHERE run_id=?), "
        "(SELECT max(parcel_id) FROM parcel), 0)",
        run_id,
    )
    return int(first), -1


def digest(tx: Transaction, flow_id: int, run_id: int) -> str:
    """SHA-256 over the run's planned intents, in order; what an approval binds to."""
    state = hashlib.sha256(f"{flow_id}/{run_id}".encode())
    after = before_first(tx, run_id)
    while True:
        rows = tx.all(
            "SELECT i.parcel_id, i.pos, i.op, i.key, i.out_fp FROM intent i "
            "JOIN parcel p ON p.parcel_id=i.parcel_id WHERE p.run_id=? "
            "AND (i.parcel_id, i.pos) > (?, ?) ORDER BY i.parcel_id, i.pos LIMIT 2000",
            run_id,
            *after,
        )
        for parcel_id, pos, op, key, out_fp in rows:
            state.update(f"{op}{key}".encode() + (out_fp or b""))
            after = (parcel_id, pos)
        heart.beat()
        if len(rows) < 2000:  # noqa: PLR2004 - the LIMIT above
            return state.hexdigest()[:16]


def outcome(tx: Transaction, run_id: int) -> dict[str, dict[str, int]]:
    """What became of a run's intents: operation -> state name -> count."""
    counts: dict[str, dict[str, int]] = {}
    for op, state, count in tx.all(
        "SELECT i.op, coalesce(i.state, p.state), count(*) FROM intent i "
        "JOIN parcel p ON p.parcel_id=i.parcel_id WHERE p.run_id=? GROUP BY 1, 2",
        run_id,
    ):
        counts.setdefault(op, {})[State(state).name] = count
    return counts
