"""How partitions and workers are doing: `moatbridge.run.status` puts it together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from moatbridge.config.answers import SYSTEM
from moatbridge.flow.ending import STUCK
from moatbridge.ledger import workers
from moatbridge.ledger.states import State

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from moatbridge.config import BridgeConfig
    from moatbridge.ledger import Ledger, Transaction

UNSERVED: Final = 300.0
"""Seconds after which due work that nobody took is an alarm (scale 22)."""

_OPEN_RUNS: Final = ("scanning", "applying")


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """One partition. Times are seconds.

    Args:
        name: Partition.
        kind: ``control``, ``scan``, ``live`` or ``lane``.
        state: ``ready``, ``done`` or ``blocked`` (after too many tries).
        owner: Who works on it now; None if nobody does.
        fence: Number of its lease; rises with each claim.
        tries: Claims without a commit since.
        error: Code of what went wrong last.
        served: Since it was claimed, or committed something, last; None if never.
        next: Until it is due; 0 if it is.
        records: Records read.
        unserved: Due, with work to do, and nobody took it for five minutes.
        zone: Network zone whose workers serve it.
        late: Since when it is due without an owner; 0 if it is not.
        lag: Age of the oldest thing it has to send; None for other kinds.
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
    zone: str
    late: float
    lag: float | None


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """A worker as it last described itself. Times are seconds.

    Args:
        owner: Host and process id.
        zones: Zones it serves.
        slots: Slices at once.
        busy: Slots at work.
        lost: Slots whose calls never came back.
        up: Since it began.
        seen: Since its last sign of life.
        alive: That was a short while ago; else it was killed, or its host is gone.
    """

    owner: str
    zones: tuple[str, ...]
    slots: int
    busy: int
    lost: int
    up: float
    seen: float
    alive: bool


def workers_of(tx: Transaction, ledger: Ledger) -> tuple[WorkerStatus, ...]:
    """All workers that were seen within a day."""
    now = tx.now()
    return tuple(
        WorkerStatus(
            owner=each.owner,
            zones=each.zones,
            slots=each.slots,
            busy=each.busy,
            lost=each.lost,
            up=max(0.0, now - each.begun),
            seen=max(0.0, now - each.seen),
            alive=now - each.seen <= workers.ALIVE,
        )
        for each in workers.known(tx, ledger.scope)
    )


def partitions_of(
    tx: Transaction, config: BridgeConfig, flow: str, flow_id: int, *, served: bool
) -> tuple[PartitionStatus, ...]:
    """The partitions of a flow that are not over.

    Args:
        tx: Open transaction.
        config: Of the bridge.
        flow: Name.
        flow_id: Its id.
        served: Workers were seen lately: then tails should be served too.
    """
    clock, boot = tx.lease_clock()
    rows = tx.all(
        "SELECT part, kind, state, owner, fence, tries, error, served_at, not_before, "
        "records, CASE WHEN lease_until>=? AND boot=? THEN 1 ELSE 0 END FROM partition "
        "WHERE flow_id=? AND state NOT IN ('done','nothing') ORDER BY kind, part",
        clock,
        boot,
        flow_id,
    )
    look = _Look(
        now=tx.now(),
        since=_work_since(tx, flow_id),
        served=served,
        zones=_zones(config, flow),
        oldest=_oldest_unsent(tx, flow_id),
    )
    return tuple(map(look.partition, rows))


@dataclass(frozen=True, slots=True)
class _Look:
    """What all partitions of one flow are judged by."""

    now: float
    since: float | None
    served: bool
    zones: tuple[str, str]
    oldest: dict[int, float]

    def partition(self, row: Any) -> PartitionStatus:
        part, kind, state, owner, fence, tries, error, at, due, records, held = row
        waits = state == "ready" and not held
        # One that was never served is late since there is work for it.
        known = max(at, due) or self.since or self.now
        late = max(0.0, self.now - known) if waits else 0.0
        watched = self.since is not None or (self.served and kind == "live")
        since = self.oldest.get(int(part.partition("/")[2])) if kind == "lane" else None
        return PartitionStatus(
            name=part,
            kind=kind,
            state=state,
            owner=owner if held else None,
            fence=fence,
            tries=tries,
            error=error,
            served=max(0.0, self.now - at) if at else None,
            next=max(0.0, due - self.now),
            records=records,
            unserved=watched and late > UNSERVED,
            zone=self.zones[kind == "lane"],
            late=late,
            lag=None if since is None else max(0.0, self.now - since),
        )


def _zones(config: BridgeConfig, flow: str) -> tuple[str, str]:
    """Where a flow is read and where it is delivered."""
    ends = (config.flows[flow].source, config.flows[flow].target)
    source, target = (end.partition("/")[0] for end in ends)
    there = config.systems[target].zone
    return (there if source == SYSTEM else config.systems[source].zone), there


def _work_since(tx: Transaction, flow_id: int) -> float | None:
    """When the work began that is not done yet; None if there is none."""
    holes = ",".join("?" * len(_OPEN_RUNS))
    begun = tx.value(
        "SELECT min(created) FROM run WHERE flow_id=? AND kind<>'live' "
        f"AND state IN ({holes})",
        flow_id,
        *_OPEN_RUNS,
    )
    times = [*_oldest_unsent(tx, flow_id).values()]
    return min([*times, *([] if begun is None else [float(begun)])], default=None)


def _oldest_unsent(tx: Transaction, flow_id: int) -> dict[int, float]:
    """Lane -> when the oldest run began that it still has to send something of."""
    rows = tx.all(
        "SELECT p.lane, min(r.created) FROM parcel p JOIN run r ON r.run_id=p.run_id "
        "WHERE p.flow_id=? AND p.state<10 AND p.state<=? AND r.state='applying' "
        "GROUP BY p.lane",
        flow_id,
        State.UNKNOWN,
    )
    return {int(lane): float(since) for lane, since in rows}


def alarms(
    flows: Sequence[tuple[str, Sequence[PartitionStatus]]],
    there: Sequence[WorkerStatus],
) -> Iterator[str]:
    """Sentences about what does not mend itself."""
    zones = {zone for each in there if each.alive for zone in each.zones}
    for flow, parts in flows:
        for part in parts:
            where = f"flow {flow}, partition {part.name}"
            if part.unserved:
                why = "does a worker run?"
                if zones and part.zone not in zones:
                    why = f"no worker serves zone {part.zone}"
                minutes = int(part.late // 60)
                yield f"{where}: due for {minutes} min, and nobody takes it: {why}"
            if part.state == "blocked":
                yield (
                    f"{where}: blocked after {part.tries} tries "
                    f"({part.error or 'no error'}); see to it, then `moatbridge run "
                    f"{flow} --once`"
                )
            elif part.error == STUCK:
                yield f"{where}: a call did not come back after its deadline"
    for worker in there:
        if worker.lost:
            lost = f"{worker.lost} of {worker.slots} slots are lost"
            yield f"worker {worker.owner}: {lost}"
