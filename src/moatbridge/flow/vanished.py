"""What a whole pass did not see: enumerated, confirmed, staged (delivery F).

A record missing from a scan is gone only when the source says so again: by a fetch
without the stream's filter, by one consistent snapshot, or to a person. Each step moves
the cursor of the control partition, so a kill repeats nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moatbridge.changes import Ref
from moatbridge.flow.observation import Observation
from moatbridge.flow.writing import write
from moatbridge.ledger import marks, scans
from moatbridge.ledger.states import LinkState
from moatbridge.resilience.crash import crash_point

if TYPE_CHECKING:
    from moatbridge.flow.observe import Observer
    from moatbridge.flow.route import Route
    from moatbridge.ledger import Lease, Ledger
    from moatbridge.ledger.marks import Link
    from moatbridge.ledger.runs import Run
    from moatbridge.ledger.scans import Scan

_LOOK = 20_000
_CONFIRM = 500


class Vanished:
    """Stages what vanished from a flow's source, under the control lease."""

    def __init__(
        self, route: Route, ledger: Ledger, lease: Lease, observer: Observer
    ) -> None:
        self._route = route
        self._ledger = ledger
        self._lease = lease
        self._observer = observer

    def stage(self, run: Run, scan: Scan) -> int:
        """Stage what is missing, and what was disabled long enough ago.

        Returns:
            How many links the pass did not see, confirmed or not.
        """
        state = self._lease.cursor or {"after": 0, "missing": 0}
        after, missing = state["after"], int(state["missing"])
        while after is not None:
            with self._ledger.read() as tx:
                ids, after = scans.missing(
                    tx,
                    self._route.row.flow_id,
                    scan,
                    self._route.row.pair_id,
                    after=after,
                    limit=_LOOK,
                )
                gone = list(marks.links(tx, sorted(ids)).values())
            for start in range(0, len(gone), _CONFIRM):
                part = gone[start : start + _CONFIRM]
                missing += len(part)
                at = {"after": part[-1].link_id, "missing": missing}
                self._confirm(run, scan, part, at)
            self._move({"after": after, "missing": missing})
        self._stage_expired(run)
        return missing

    def _move(self, cursor: dict[str, Any]) -> None:
        with self._ledger.step(self._lease, cursor=cursor):
            pass

    def _confirm(
        self, run: Run, scan: Scan, gone: list[Link], cursor: dict[str, Any]
    ) -> None:
        """One step of delivery 43: confirmed by fetch, by snapshot, or by a person."""
        found = Observation()
        source, side = self._route.source, self._route.row.side
        crash_point("fetch.confirm")
        if source.can("CanFetch"):
            refs = [
                Ref.from_key(link.key(side) or "", link.name(side)) for link in gone
            ]
            found.merge(self._observer.observe(self._observer.fetched(refs, found)))
        elif source.stream.snapshot_scan:
            self._observer.removals.vanished(gone, found, why="missing", hold=False)
        else:
            twice = [link for link in gone if self._missing_twice(link)]
            self._observer.removals.vanished(twice, found, why="missing", hold=True)
        with self._ledger.step(self._lease, cursor=cursor) as tx:
            tx.many(
                "UPDATE link SET missing_gen=? WHERE link_id=?",
                [(scan.generation, link.link_id) for link in gone],
            )
            write(tx, self._route, found, run.run_id, self._lease)
            crash_point("delete.staged")

    def _missing_twice(self, link: Link) -> bool:
        """Missing in this pass, and in the last complete one before it."""
        with self._ledger.read() as tx:
            before = tx.value(
                "SELECT missing_gen FROM link WHERE link_id=?", link.link_id
            )
            last = tx.value(
                "SELECT max(generation) FROM scan WHERE flow_id=? AND state='complete'",
                self._route.row.flow_id,
            )
        return before is not None and before == last

    def _stage_expired(self, run: Run) -> None:
        """Disabled records whose undo window is over are staged for removal."""
        removes = self._route.config.deletes == "disable_then_remove"
        if not removes or not self._route.creates:
            return
        found = Observation()
        with self._ledger.read() as tx:
            rows = tx.all(
                "SELECT link_id FROM link WHERE pair_id=? AND state=? AND remove_at<=?",
                self._route.row.pair_id,
                LinkState.DISABLED,
                tx.now(),
            )
            links = marks.links(tx, [link_id for (link_id,) in rows])
        if not links:
            return
        self._observer.removals.expired(links.values(), found)
        with self._ledger.step(self._lease) as tx:
            write(tx, self._route, found, run.run_id, self._lease)
