"""What a vanished record means for its target record (delivery 44)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from moatbridge.ledger import admitting, marks
from moatbridge.ledger.keys import key_hash
from moatbridge.ledger.staging import Staged

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from moatbridge.changes import Ref
    from moatbridge.flow.observation import Observation
    from moatbridge.flow.route import Route
    from moatbridge.ledger import Ledger
    from moatbridge.ledger.marks import Link, Mark

GONE: Final = admitting.GONE
"""Source fingerprint of a record that vanished: any observation differs from it."""


class Removals:
    """Stages disables and removals, by the flow's policy."""

    def __init__(self, route: Route, ledger: Ledger) -> None:
        self._route = route
        self._ledger = ledger

    def vanished(
        self,
        links: Iterable[Link],
        result: Observation,
        *,
        why: str,
        hold: bool,
        waits: Collection[bytes] = (),
        unanswered: bool = False,
    ) -> None:
        """Stage what a vanished record means for its target record (delivery 44).

        Args:
            links: Links whose source record is gone, confirmed.
            result: Where to add the intents.
            why: ``missing``, ``deleted`` or ``left-scope``.
            hold: A person must look at each of them first.
            waits: Records, by key hash, of which something is staged that this takes
                the place of.
            unanswered: Also those whose create is still on its way.
        """
        policy, other = self._route.config.deletes, 1 - self._route.row.side
        chosen = [link for link in links if unanswered or link.key(other)]
        if policy == "ignore" or not self._route.creates:
            result.count("removals-ignored", len(chosen))
            return
        side = self._route.row.side
        with self._ledger.read() as tx:
            found = marks.lookup(
                tx,
                self._route.row.source_side,
                [key_hash(link.key(side) or "") for link in chosen],
            )
        for link in chosen:
            k = key_hash(link.key(side) or "")
            mark = found.get(k)
            if mark is not None and (mark.fp != GONE or k in waits):
                self._remove(link, mark, k, policy, result, why=why, hold=hold)

    def _remove(
        self,
        link: Link,
        mark: Mark,
        k: bytes,
        policy: str,
        result: Observation,
        *,
        why: str,
        hold: bool,
    ) -> None:
        side = self._route.row.side
        staged = self._staged(k, link.key(side) or "", policy, why=why, hold=hold)
        staged.ref = (link.key(side) or "", link.name(side))
        staged.link_id, staged.prev_fp, staged.round = link.link_id, mark.fp, link.round
        staged.out_fp = key_hash(f"{staged.op}/{why}/{link.round}")
        _add(result, staged)

    def _staged(
        self, k: bytes, key: str, policy: str, *, why: str, hold: bool
    ) -> Staged:
        disables = policy.startswith("disable")
        can_disable = "active" in self._route.target.bound.paths
        op = "disable" if disables else "delete"
        entity = {"active": False} if disables else None
        needs_person = hold or (disables and not can_disable)
        if disables and not can_disable:
            op, entity = "delete", None
        return Staged(
            k=k,
            ref=(key, None),
            op=op,
            link_id=None,
            prev_fp=None,
            fp=GONE,
            out_fp=key_hash(f"{op}/{why}/0"),
            payload=json.dumps({"entity": entity, "why": why}),
            label=self._route.source.bound.label,
            lane=self._route.lane_of(key),
            hold=("removal", "removals", why) if needs_person else None,
        )

    def unborn(self, refs: Iterable[Ref], result: Observation, *, why: str) -> None:
        """Stage the removal of records whose create is staged and not admitted yet.

        Args:
            refs: The records; nothing is linked to them so far.
            result: Where to add the intents; folding drops those that need none.
            why: As in `vanished`.
        """
        policy = self._route.config.deletes
        if policy == "ignore" or not self._route.creates:
            return
        for ref in refs:
            staged = self._staged(
                key_hash(ref.key), ref.key, policy, why=why, hold=False
            )
            staged.ref = (ref.key, ref.name)
            _add(result, staged)

    def expired(self, links: Iterable[Link], result: Observation) -> None:
        """Stage the removal of disabled records whose undo window is over."""
        side = self._route.row.side
        for link in links:
            key = link.key(side) or ""
            k = key_hash(key)
            result.deletes.append(
                Staged(
                    k=k,
                    ref=(key, link.name(side)),
                    op="delete",
                    link_id=link.link_id,
                    prev_fp=GONE,
                    fp=GONE,
                    out_fp=key_hash(f"delete/expired/{link.round}"),
                    payload=json.dumps({"entity": None, "why": "expired"}),
                    label=self._route.source.bound.label,
                    round=link.round,
                    lane=self._route.lane_of(key),
                )
            )


def _add(result: Observation, staged: Staged) -> None:
    (result.disables if staged.op == "disable" else result.deletes).append(staged)
