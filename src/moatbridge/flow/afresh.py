"""Records that are read and judged afresh, between the passes or while one applies.

What fails is looked for in pieces, at once: each piece that does not fail is committed,
so that nobody waits for a record that does. Such a record is tried in `TRIES` slices;
then it is rejected, its fingerprint forgotten, and the next pass sees it as changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moatbridge.changes import Ref
from moatbridge.flow.observation import Observation
from moatbridge.flow.pieces import FEW, MOST, in_pieces
from moatbridge.flow.standing import DECIDED
from moatbridge.flow.writing import write
from moatbridge.ledger import flows, marks, settlement
from moatbridge.ledger.keys import key_hash
from moatbridge.resilience import heart

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moatbridge.flow.observe import Observer
    from moatbridge.flow.poison import Sieve
    from moatbridge.flow.route import Route
    from moatbridge.ledger import Lease, Ledger, Transaction
    from moatbridge.ledger.marks import Link

TRIES: Final = 5
"""Slices in which one record is tried until a new pass begins."""


class Afresh:
    """Takes records afresh, under the control lease.

    Args:
        route: The flow.
        ledger: Its ledger.
        lease: Lease of the control partition.
        observer: Compares and translates.
        sieve: Says what may be a record's fault, and which failed before.
    """

    def __init__(
        self,
        route: Route,
        ledger: Ledger,
        lease: Lease,
        *,
        observer: Observer,
        sieve: Sieve,
    ) -> None:
        self._route = route
        self._ledger = ledger
        self._lease = lease
        self._observer = observer
        self._sieve = sieve
        self._run_id = 0
        self._links: dict[int, Link] = {}
        self._forced: set[int] = set()

    def take(self, run_id: int, due: Sequence[tuple[int, str]]) -> None:
        """Look at the records of these links in the source, and stage what they say.

        Args:
            run_id: The run that intents are staged for.
            due: Rows of (link id, reason). Decided ones are staged if something about
                them changed, all others in any case.

        Raises:
            Exception: What a record raises that fails; all that do not are taken.
        """
        every = [link_id for link_id, _why in due]
        self._run_id = run_id
        self._forced = {link_id for link_id, why in due if why != DECIDED}
        with self._ledger.step(self._lease, got_on=False) as tx:
            flows.next_round(tx, sorted(self._forced))
            self._links = marks.links(tx, every)
        try:
            self._taken(every)
        except Exception as error:
            if not self._sieve.blames_one(error):
                raise
            alone = {every[0]: error} if len(every) == 1 else self._alone(every)
            if alone is None or self._failed(alone):
                raise

    def _taken(self, link_ids: Sequence[int]) -> None:
        """Look at these, and commit what that means."""
        route, found = self._route, Observation()
        refs = {
            link_id: ref
            for link_id in link_ids
            if (ref := self._ref(link_id)) is not None
        }
        if route.source.can("CanFetch"):
            found = self._looked(refs)
        with self._ledger.step(self._lease) as tx:
            write(tx, route, found, self._run_id, self._lease)
            if not route.source.can("CanFetch"):
                self._forget(tx, link_ids)
            flows.taken_again(tx, route.row.flow_id, link_ids)
            self._ledger.leases.wake(tx, route.row.flow_id, "lane")

    def _looked(self, refs: dict[int, Ref]) -> Observation:
        """What the source says of these; what is gone is for the next pass to judge."""
        found = Observation()
        for force in (True, False):
            chosen = [ref for i, ref in refs.items() if (i in self._forced) is force]
            if not chosen:
                continue
            back = self._observer.fetched(chosen, found)
            seen = self._observer.observe(back, force=force)
            found.upserts += seen.upserts
            found.touched += seen.touched
            found.rejects += seen.rejects
        found.disables.clear()
        found.deletes.clear()
        return found

    def _alone(self, every: Sequence[int]) -> dict[int, Exception] | None:
        """What fails alone, and with what; None if no single record is to blame."""
        bad: dict[int, Exception] = {}
        fine = False
        for piece in in_pieces(every):
            if len(piece) > 1 and self._fails(piece) is None:
                fine = True
                continue
            for one in piece:
                error = self._fails([one])
                if error is None:
                    fine = True
                else:
                    bad[one] = error
                if len(bad) > (MOST if fine else FEW):
                    return None
        return bad

    def _fails(self, link_ids: Sequence[int]) -> Exception | None:
        """What these raise together; an error that is no record's fault goes on."""
        try:
            self._taken(link_ids)
        except Exception as error:
            if not self._sieve.blames_one(error):
                raise
            return error
        finally:
            heart.beat()
        return None

    def _failed(self, alone: dict[int, Exception]) -> bool:
        """Count the try of what failed alone; False if all of it failed before."""
        flow_id, waits = self._route.row.flow_id, False
        with self._ledger.step(self._lease, got_on=False) as tx:
            for link_id, error in alone.items():
                ref = self._ref(link_id)
                known = ref is None or self._sieve.knows(ref)
                waits = waits or not known
                tries = flows.failed_again(tx, flow_id, link_id)
                if tries < TRIES and not known:
                    continue
                if ref is not None:
                    settlement.reject(tx, flow_id, [self._sieve.left_out(ref, error)])
                self._forget(tx, [link_id])
                flows.taken_again(tx, flow_id, [link_id])
        return waits

    def _forget(self, tx: Transaction, link_ids: Sequence[int]) -> None:
        """The next pass sees these as changed: nothing that was asked for is lost."""
        refs = [ref for i in link_ids if (ref := self._ref(i)) is not None]
        ks = [key_hash(ref.key) for ref in refs]
        marks.forget(tx, self._route.row.source_side, ks)

    def _ref(self, link_id: int) -> Ref | None:
        side = self._route.row.side
        link = self._links.get(link_id)
        key = None if link is None else link.key(side)
        return Ref.from_key(key, link.name(side)) if link is not None and key else None
