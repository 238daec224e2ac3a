"""How a pass begins: the tail's position, the generation, and its partitions.

Three kinds of source. Most can be scanned from the beginning, each time. A drop folder
remembers in its cursor what it has read, so its scan goes on where the last pass that
came to anything ended: a pass whose plan nobody agreed to is read again. A source that
can only be followed has nothing to scan: its pass takes the position "now" and asks a
person to agree to what will be carried from then on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moatbridge.errors import ConfigurationError, CursorTooOld, NotApplied
from moatbridge.flow.envelope import Envelope
from moatbridge.guard.approval import PLAN_LIFE
from moatbridge.ledger import flows, marks, notices, runs, scans

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moatbridge.adapter import Partition
    from moatbridge.flow.route import Route
    from moatbridge.ledger import Lease, Ledger, Transaction
    from moatbridge.ledger.runs import Run
    from moatbridge.resilience.session import Session

LIVE: Final = "live"
_MAX_PARTITIONS: Final = 10_000


def only_follows(route: Route) -> bool:
    """Whether there is nothing to scan: changes are all that the source tells."""
    return not route.source.can("CanScan")


def continues(route: Route) -> bool:
    """Whether a scan goes on where the last pass ended (a drop folder)."""
    source = route.source
    return source.stream.snapshot_scan and source.can("CanSettle")


BY_ITSELF: Final = frozenset({"rescan", "missed"})
"""Who "begins" the passes that nobody asked for."""


def plan_waits(tx: Transaction, flow_id: int) -> bool:
    """Whether a plan waits for a person, and is not too old to be applied."""
    planned = runs.latest(tx, flow_id, "planned")
    return planned is not None and tx.now() - (planned.planned or 0.0) < PLAN_LIFE


def open_pass(
    route: Route,
    ledger: Ledger,
    lease: Lease,
    run: Run,
    *,
    source: Callable[[], Session],
    tidy: Callable[[Transaction], None],
) -> None:
    """Follow before scan: the tail's position is taken before anything is read.

    Raises:
        ConfigurationError: ``flow.partitions``.
    """
    session = source()
    server = session.probe().server  # not the one of yesterday's connection
    live = _live_position(route, ledger, session)
    split = _split(route, session)
    flow_id = route.row.flow_id
    with ledger.step(lease, cursor=None) as tx:
        generation = scans.begin(
            tx,
            flow_id,
            link_high=marks.highest(tx),
            server=server,
            query=route.source.stream.query,
        )
        tx.run("UPDATE run SET generation=? WHERE run_id=?", generation, run.run_id)
        flows.fresh_again(tx, flow_id)
        tidy(tx)
        tx.run(
            "UPDATE partition SET state='done' WHERE flow_id=? AND kind='scan'", flow_id
        )
        said = notices.carried(tx, flow_id)
        for part in split:
            ledger.leases.add(
                tx,
                flow_id,
                f"g{generation}/{part.key}",
                "scan",
                generation=generation,
                spec={"key": part.key, "spec": part.spec, "run": run.run_id, **said},
                cursor=_carried_on(tx, route, part.key),
            )
            said = {}  # kept once is enough
        if live is not None:
            ledger.leases.add(tx, flow_id, LIVE, LIVE, cursor=live)


def _split(route: Route, session: Session) -> Sequence[Partition]:
    if only_follows(route):
        return ()
    split = session.split(route.source.name, route.partitions)
    if not split or len(split) > _MAX_PARTITIONS:
        raise ConfigurationError(
            f"{route.source.address} splits into {len(split)} partitions; 1 to "
            f"{_MAX_PARTITIONS} are possible.",
            code="flow.partitions",
        )
    return split


def _carried_on(tx: Transaction, route: Route, key: str) -> dict[str, Any] | None:
    """Where the last pass that came to anything ended, as a fresh position."""
    if not continues(route):
        return None
    cursor = scans.last_position(tx, route.row.flow_id, key)
    return None if cursor is None else {**cursor, "seq": 0, "seen": 0, "whole": False}


def _live_position(
    route: Route, ledger: Ledger, session: Session
) -> dict[str, Any] | None:
    if not route.source.can("CanFollow"):
        return None
    server, query = route.source.probe.server, route.source.stream.query
    with ledger.read() as tx:
        cursor = ledger.leases.cursor(tx, route.row.flow_id, LIVE)
    try:
        if cursor and Envelope.from_json(cursor, server, query).at is not None:
            return None  # followed already
    except CursorTooOld:
        pass
    batches = list(session.changes(route.source.name, None))
    if not batches:
        raise NotApplied(
            "The source did not say where its changes stand now (its adapter has to "
            "yield one empty batch); try again, and tell the adapter's author.",
            code="source.no-position",
            stream=route.source.address,
        )
    return Envelope(batches[-1].cursor, server, query).to_json()
