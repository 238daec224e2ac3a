"""How a bridge is doing, read from its ledger alone: no system is asked.

So `status`, `review` and the kill switch work while systems are down, adapters are
missing or another process does the work. Plain data, ready for JSON.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from moatbridge.errors import MoatbridgeError
from moatbridge.guard import Kill, KillState, evaluate, file_there
from moatbridge.ledger import Ledger, killswitch, review, runs
from moatbridge.ledger.clock import boot_clock, boot_id, wall_clock
from moatbridge.ledger.states import LinkState, State

if TYPE_CHECKING:
    from moatbridge.config import BridgeConfig
    from moatbridge.ledger import Transaction
    from moatbridge.ledger.review import Waiting

UNSERVED: Final = 300.0
"""Seconds after which due work that nobody took is an alarm (scale 22)."""

_OPEN_RUNS: Final = ("scanning", "applying")
_MOST: Final = 10_000


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """One partition. Times are seconds.

    Args:
        name: Partition.
        kind: ``control``, ``scan``, ``live`` or ``lane``.
        state: ``ready``, ``done`` or ``blocked``.
        owner: Who works on it now; None if nobody does.
        fence: Number of its lease; rises with each claim.
        tries: Claims without a commit since.
        error: Code of what went wrong last.
        served: Since it was claimed last; None if it never was.
        next: Until it is due; 0 if it is.
        records: Records read.
        unserved: Due, with work to do, and nobody took it for five minutes.
    """

    name: str
    kind: str
    state: str
    owner: str | None
    fence: int
    tries: int
    error: str | None
    served: float | None
    next: float
    records: int
    unserved: bool


@dataclass(frozen=True, slots=True)
class PassStatus:
    """The newest full pass: its state, verdict, counts and outcome; POSIX times."""

    run: int
    state: str
    actor: str | None
    created: float
    finished: float | None
    decision: str | None
    digest: str | None
    counts: dict[str, int]
    outcome: dict[str, Any]


@dataclass(frozen=True, slots=True)
class FlowStatus:
    """One configured flow.

    Args:
        flow: Name.
        source: Address it reads.
        target: Address it writes.
        bug: An impossible state was met; the flow stands still.
        links: Records that both sides hold.
        open: State of what is not over yet -> records.
        last_pass: The newest full pass; None if there never was one.
        waiting: Kind -> items that wait for a person.
        oldest_waiting: Seconds that the oldest of them has waited.
        oldest_unsent: Seconds since the oldest run that still has something to send.
        partitions: Those that are not over.
    """

    flow: str
    source: str
    target: str
    bug: str | None = None
    links: int = 0
    open: dict[str, int] = field(default_factory=dict)
    last_pass: PassStatus | None = None
    waiting: dict[str, int] = field(default_factory=dict)
    oldest_waiting: float | None = None
    oldest_unsent: float | None = None
    partitions: tuple[PartitionStatus, ...] = ()


@dataclass(frozen=True, slots=True)
class Status:
    """All flows, and everything that is switched off."""

    flows: tuple[FlowStatus, ...]
    kills: tuple[Kill, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


def status(config: BridgeConfig, ledger: Ledger) -> Status:
    """How every configured flow is doing.

    Raises:
        NotApplied: ``ledger.unavailable``.
    """
    return Status(
        tuple(_flow(config, ledger, name) for name in config.flows),
        kill_state(config, ledger).kills,
    )


def kill_state(config: BridgeConfig, ledger: Ledger) -> KillState:
    """Everything that is switched off; what cannot be read counts as on."""
    there = file_there(config.guard.kill_file)
    rows: list[Kill] | None
    try:
        with ledger.read() as tx:
            rows = [Kill(*row) for row in killswitch.rows(tx)]
    except MoatbridgeError:
        rows = None
    return evaluate(
        environment=os.environ.get("MOATBRIDGE_KILL"), file_exists=there, rows=rows
    )


def waiting(ledger: Ledger, flow: str) -> list[Waiting]:
    """Everything of a flow that waits for a person; nothing if it never ran."""
    with ledger.read() as tx:
        flow_id = flow_id_of(tx, ledger, flow)
        return [] if flow_id is None else review.waiting(tx, flow_id)


def flow_id_of(tx: Transaction, ledger: Ledger, flow: str) -> int | None:
    """The flow's id in the ledger; None if it never ran."""
    found = tx.value(
        "SELECT flow_id FROM flow WHERE scope=? AND name=?", ledger.scope, flow
    )
    return None if found is None else int(found)


def _flow(config: BridgeConfig, ledger: Ledger, name: str) -> FlowStatus:
    settings = config.flows[name]
    now = wall_clock()
    with ledger.read() as tx:
        row = tx.one(
            "SELECT flow_id, pair_id, bug FROM flow WHERE scope=? AND name=?",
            ledger.scope,
            name,
        )
        if row is None:
            return FlowStatus(name, settings.source, settings.target)
        flow_id, pair_id, bug = row
        items = review.waiting(tx, flow_id, limit=_MOST)
        since = [item.since for item in items if item.since]
        unsent = _oldest_unsent(tx, flow_id)
        return FlowStatus(
            flow=name,
            source=settings.source,
            target=settings.target,
            bug=bug,
            links=_links(tx, pair_id),
            open=_open(tx, flow_id),
            last_pass=_last_pass(tx, flow_id),
            waiting=_kinds(items),
            oldest_waiting=now - min(since) if since else None,
            oldest_unsent=None if unsent is None else now - unsent,
            partitions=_partitions(tx, flow_id, now),
        )


def _kinds(items: list[Waiting]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for item in items:
        counts[item.kind] = counts.get(item.kind, 0) + 1
    return counts


def _links(tx: Transaction, pair_id: int) -> int:
    live = (LinkState.LIVE, LinkState.DISABLED)
    return int(
        tx.value(
            "SELECT count(*) FROM link WHERE pair_id=? AND state IN (?,?)",
            pair_id,
            *live,
        )
    )


def _open(tx: Transaction, flow_id: int) -> dict[str, int]:
    rows = tx.all(
        "SELECT coalesce(i.state, p.state), count(*) FROM parcel p JOIN intent i "
        "ON i.parcel_id=p.parcel_id WHERE p.flow_id=? AND p.state<? "
        "GROUP BY 1 ORDER BY 1",
        flow_id,
        State.DONE,
    )
    return {
        State(state).name.lower(): int(n) for state, n in rows if state < State.DONE
    }


def _last_pass(tx: Transaction, flow_id: int) -> PassStatus | None:
    found = tx.value(
        "SELECT max(run_id) FROM run WHERE flow_id=? AND kind='pass'", flow_id
    )
    if found is None:
        return None
    run = runs.get(tx, found)
    return PassStatus(
        run=run.run_id,
        state=run.state,
        actor=run.actor,
        created=run.created,
        finished=run.finished,
        decision=run.verdict.get("verdict", {}).get("decision"),
        digest=run.digest,
        counts=run.verdict.get("counts", {}),
        outcome=run.counts,
    )


def _oldest_unsent(tx: Transaction, flow_id: int) -> float | None:
    found = tx.value(
        "SELECT min(r.created) FROM parcel p JOIN run r ON r.run_id=p.run_id "
        "WHERE p.flow_id=? AND p.state BETWEEN ? AND ?",
        flow_id,
        State.READY,
        State.UNKNOWN,
    )
    return None if found is None else float(found)


def _partitions(
    tx: Transaction, flow_id: int, now: float
) -> tuple[PartitionStatus, ...]:
    holes = ",".join("?" * len(_OPEN_RUNS))
    busy = tx.one(
        f"SELECT 1 FROM run WHERE flow_id=? AND kind<>'live' AND state IN ({holes})",
        flow_id,
        *_OPEN_RUNS,
    )
    rows = tx.all(
        "SELECT part, kind, state, owner, fence, tries, error, served_at, not_before, "
        "records, lease_until>=? AND boot IS ? FROM partition "
        "WHERE flow_id=? AND state NOT IN ('done','nothing') ORDER BY kind, part",
        boot_clock(),
        boot_id(),
        flow_id,
    )
    return tuple(_partition(row, now, busy=busy is not None) for row in rows)


def _partition(row: Any, now: float, *, busy: bool) -> PartitionStatus:
    part, kind, state, owner, fence, tries, error, served, due, records, held = row
    idle = now - max(served, due)
    return PartitionStatus(
        name=part,
        kind=kind,
        state=state,
        owner=owner if held else None,
        fence=fence,
        tries=tries,
        error=error,
        served=now - served if served else None,
        next=max(0.0, due - now),
        records=records,
        unserved=busy and state == "ready" and not held and idle > UNSERVED,
    )
