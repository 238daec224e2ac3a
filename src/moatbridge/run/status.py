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
from moatbridge.ledger import Ledger, counts, killswitch, notices, review, runs
from moatbridge.ledger.states import LinkState, State
from moatbridge.ledger.tries import NextTry, next_try
from moatbridge.run.flow_ids import flow_id_of
from moatbridge.run.partition_status import (
    UNSERVED,
    PartitionStatus,
    WorkerStatus,
    alarms,
    partitions_of,
    workers_of,
)
from moatbridge.run.retract_status import RetractStatus, live_run, newest_retract

if TYPE_CHECKING:
    from moatbridge.config import BridgeConfig
    from moatbridge.ledger import Transaction
    from moatbridge.ledger.review import Waiting

__all__ = [
    "UNSERVED",
    "FlowStatus",
    "NoticeStatus",
    "PartitionStatus",
    "PassStatus",
    "RetractStatus",
    "Status",
    "WorkerStatus",
    "expired",
    "flow_id_of",
    "kill_state",
    "status",
    "waiting",
]

_MOST: Final = 10_000


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
class NoticeStatus:
    """A sentence of the source's adapter, and when it was said last (POSIX time)."""

    at: float
    words: str


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
        live_run: Number of the run of the live tail; None if there is none.
        retract: The newest run that takes another one back; None if there is none.
        waiting: Kind -> items that wait for a person.
        oldest_waiting: Seconds that the oldest of them has waited.
        oldest_unsent: Seconds since the oldest run that still has something to send.
        partitions: Those that are not over.
        next_try: When what could not be delivered is tried again; None: nothing waits.
        let_go: ``MODE.RULE`` -> changes sent within 24 hours although a rule of the
            guard warned of them or observed them; ``mask.RULE``: it masked something.
        expired: Held items that nobody decided in time, of the last 30 days.
        notices: What the source's adapter noticed within a week (`Adapter.notices`).
    """

    flow: str
    source: str
    target: str
    bug: str | None = None
    links: int = 0
    open: dict[str, int] = field(default_factory=dict)
    last_pass: PassStatus | None = None
    live_run: int | None = None
    retract: RetractStatus | None = None
    waiting: dict[str, int] = field(default_factory=dict)
    oldest_waiting: float | None = None
    oldest_unsent: float | None = None
    partitions: tuple[PartitionStatus, ...] = ()
    next_try: NextTry | None = None
    let_go: dict[str, int] = field(default_factory=dict)
    expired: int = 0
    notices: tuple[NoticeStatus, ...] = ()


@dataclass(frozen=True, slots=True)
class Status:
    """All flows and workers, what is switched off, and what does not mend itself.

    ``now`` is when it was looked at: POSIX seconds by the ledger's clock.
    """

    flows: tuple[FlowStatus, ...]
    kills: tuple[Kill, ...]
    workers: tuple[WorkerStatus, ...] = ()
    alarms: tuple[str, ...] = ()
    now: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


def status(config: BridgeConfig, ledger: Ledger) -> Status:
    """How every configured flow is doing.

    Raises:
        NotApplied: ``ledger.unavailable``.
    """
    with ledger.read() as tx:
        there = workers_of(tx, ledger)
    flows = tuple(
        _flow(config, ledger, name, served=bool(there)) for name in config.flows
    )
    return Status(
        flows,
        kill_state(config, ledger).kills,
        there,
        tuple(alarms([(flow.flow, flow.partitions) for flow in flows], there)),
        ledger.now(),
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


def expired(ledger: Ledger, flow: str) -> list[Waiting]:
    """What of a flow nobody decided in time, of the last 30 days."""
    with ledger.read() as tx:
        flow_id = flow_id_of(tx, ledger, flow)
        return [] if flow_id is None else review.expired(tx, flow_id)


def _flow(
    config: BridgeConfig, ledger: Ledger, name: str, *, served: bool
) -> FlowStatus:
    settings = config.flows[name]
    now = ledger.now()
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
            live_run=live_run(tx, flow_id),
            retract=newest_retract(tx, flow_id, name),
            waiting=_kinds(items),
            oldest_waiting=now - min(since) if since else None,
            oldest_unsent=None if unsent is None else now - unsent,
            partitions=partitions_of(tx, config, name, flow_id, served=served),
            next_try=next_try(tx, flow_id),
            let_go=counts.let_go(tx, flow_id, hours=24),
            expired=len(review.expired(tx, flow_id)),
            notices=_notices(tx, flow_id),
        )


def _notices(tx: Transaction, flow_id: int) -> tuple[NoticeStatus, ...]:
    """Of the newest pass, and of the tail."""
    found = tx.value(
        "SELECT max(generation) FROM run WHERE flow_id=? AND kind='pass'", flow_id
    )
    told = (*notices.of_pass(tx, flow_id, found), *notices.of_tail(tx, flow_id))
    return tuple(NoticeStatus(*each) for each in told)


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
