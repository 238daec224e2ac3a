"""Staging a retract: page by page, newest first, resumable after any kill.

The run's row holds how far it got; a page's intents and that position are written in
one transaction of the control lease.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from moatbridge.changes import Record, Ref
from moatbridge.flow.judging import judge_run, verdict_to_json
from moatbridge.flow.retract import reasons
from moatbridge.flow.retract.asked import Asked
from moatbridge.flow.retract.undoing import UNSEEN, No, Undo, decide
from moatbridge.guard import Finding
from moatbridge.ledger import audit, marks, runs, undo
from moatbridge.ledger.keys import idempotency_key
from moatbridge.ledger.staging import Staged
from moatbridge.resilience.crash import crash_point

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from moatbridge.flow.route import Route
    from moatbridge.guard import PlanSummary, PlanVerdict
    from moatbridge.ledger import Lease, Ledger, Transaction
    from moatbridge.ledger.marks import Link, Mark
    from moatbridge.ledger.undo import Done
    from moatbridge.resilience.session import Session

PAGE: Final = 500
PATIENCE: Final = 10.0
"""Seconds that a retract waits for calls of the run that are out."""

_SHOWN: Final = 100


class Planning:
    """Stages what takes a run back, under the control lease.

    Args:
        route: The flow.
        ledger: Its ledger.
        lease: Lease of the control partition.
        target: Gives an open session of the target, to look at records.
    """

    def __init__(
        self,
        route: Route,
        ledger: Ledger,
        lease: Lease,
        *,
        target: Callable[[], Session],
    ) -> None:
        self._route = route
        self._ledger = ledger
        self._lease = lease
        self._target = target
        self._several: dict[int, set[int]] = {}

    def work(self, run: runs.Run) -> bool:
        """Stage the next page, or judge what was staged; False to look again later."""
        asked = Asked.of_run(run)
        at = run.counts.get("after")
        with self._ledger.read() as tx:
            patient = at is None and tx.now() < run.created + PATIENCE
            if patient and undo.flying(tx, asked.of):
                return False
            after = (at[0], at[1]) if at else None
            page = undo.delivered(
                tx, asked.of, before=after, since=asked.since, limit=PAGE
            )
            chains = self._chains(tx, run, asked, page)
            seen = run.counts.get("seen", undo.count(tx, asked.of, asked.since))
        if page:
            self._stage(run, chains, {"after": list(page[-1].at), "seen": seen})
        else:
            self._judge(run, asked, seen)
        return True

    # --- a page -----------------------------------------------------------------

    def _chains(
        self, tx: Transaction, run: runs.Run, asked: Asked, page: Sequence[Done]
    ) -> list[list[Done]]:
        """What the run did to each record of a page, from its newest intent on."""
        if run.run_id not in self._several:
            self._several[run.run_id] = undo.several(tx, asked.of, asked.since)
        many = self._several[run.run_id]
        shared = [one.link_id for one in page if one.link_id in many]
        whole = undo.of_links(tx, asked.of, shared, asked.since)
        chains = []
        for one in page:
            chain = whole.get(one.link_id, [one])
            if chain[0].at == one.at and asked.wants(one.ref):
                chains.append(chain)
        return chains

    def _stage(
        self,
        run: runs.Run,
        chains: Sequence[Sequence[Done]],
        position: dict[str, Any],
    ) -> None:
        found = Looked.at(self._route, self._ledger, chains, self._target)
        planned: list[tuple[Sequence[Done], Link | None, Staged, Undo | No]] = []
        for chain in chains:
            link = found.links.get(chain[0].link_id)
            answer = decide(self._route, chain, found.now(link), link)
            item = self._staged(chain, answer, link, found.marks.get(chain[0].k))
            planned.append((chain, link, item, answer))
        flow_id = self._route.row.flow_id
        with self._ledger.step(self._lease) as tx:
            if _is_over(tx, run):
                return
            epoch = str(tx.value("SELECT value FROM meta WHERE name='epoch'"))
            staged, failed = [], []
            for chain, link, item, answer in planned:
                key = _key(chain, link, run.run_id, epoch)
                if isinstance(answer, No):
                    failed.append((item, key, answer.reason))
                else:
                    staged.append((item, key))
            undo.stage(
                tx,
                flow_id=flow_id,
                run_id=run.run_id,
                size=self._route.parcel,
                items=staged,
            )
            undo.stage_failed(tx, flow_id=flow_id, run_id=run.run_id, items=failed)
            crash_point("retract.half")
            runs.set_state(tx, run.run_id, "scanning", counts=position)

    def _staged(
        self,
        chain: Sequence[Done],
        answer: Undo | No,
        link: Link | None,
        mark: Mark | None,
    ) -> Staged:
        newest, side = chain[0], self._route.row.side
        key, name = json.loads(newest.ref)
        payload = ""
        if isinstance(answer, Undo):
            payload = json.dumps(_payload(self._route, chain, answer))
        return Staged(
            k=newest.k,
            ref=(key, link.name(side) if link else name),
            op=answer.op,
            link_id=newest.link_id,
            prev_fp=mark.fp if mark else None,
            fp=mark.fp if mark else None,
            out_fp=mark.out_fp if mark else None,
            payload=payload,
            label=newest.label or "",
            lane=newest.lane % self._route.lanes,
        )

    # --- the whole of it ----------------------------------------------------------

    def _judge(self, run: runs.Run, asked: Asked, seen: int) -> None:
        self._unsure(run, asked)
        summary, verdict, digest = judge_run(
            self._route,
            self._ledger,
            run,
            scan=None,
            complete=True,
            server_changed=False,
            missing=0,
            new_fields=(),
        )
        verdict = agreed_by_a_person(summary, verdict, asked.of)
        with self._ledger.step(self._lease) as tx:
            if _is_over(tx, run):
                return
            facts = asked.to_json() | {
                "delivered": seen,
                "waits": undo.waiting(tx, asked.of) if asked.whole else 0,
            }
            runs.set_state(
                tx,
                run.run_id,
                "planned",
                plan_digest=digest,
                planned=tx.now(),
                verdict=verdict_to_json(summary, verdict) | {"retract": facts},
                counts={},
            )
            audit.record(
                tx,
                "retract",
                flow=self._route.name,
                run=run.run_id,
                of=asked.of,
                decision=verdict.decision,
                counts=dict(summary.counts),
                actor=run.actor,
            )

    def _unsure(self, run: runs.Run, asked: Asked) -> None:
        """What nobody knows of: it is reported, and left to a person."""
        with self._ledger.read() as tx:
            rows = undo.unsure(tx, asked.of)
        failed = [
            (
                Staged(
                    k=k, ref=tuple(json.loads(ref)), op=op, link_id=link_id,
                    prev_fp=None, fp=None, out_fp=None, payload="", lane=lane,
                ),
                idempotency_key(run.run_id, link_id, "unsure"),
                reasons.UNKNOWN,
            )
            for link_id, k, ref, op, lane in rows
            if asked.wants(ref)
        ]  # fmt: skip
        with self._ledger.step(self._lease) as tx:
            if _is_over(tx, run):
                return
            already = tx.value(
                "SELECT count(*) FROM intent i JOIN parcel p "
                "ON p.parcel_id=i.parcel_id WHERE p.run_id=? AND i.error=?",
                run.run_id,
                reasons.UNKNOWN,
            )
            if not already:
                undo.stage_failed(
                    tx,
                    flow_id=self._route.row.flow_id,
                    run_id=run.run_id,
                    items=failed,
                )


def _is_over(tx: Transaction, run: runs.Run) -> bool:
    """Whether somebody called it off while we looked: it does not come back."""
    return runs.get(tx, run.run_id).state != "scanning"


@dataclass(frozen=True, slots=True)
class Looked:
    """What is known of the records of some chains, and how the target shows them."""

    links: Mapping[int, Link]
    marks: Mapping[bytes, Mark]
    records: Mapping[str, Record | None] | None
    side: int

    @classmethod
    def at(
        cls,
        route: Route,
        ledger: Ledger,
        chains: Sequence[Sequence[Done]],
        target: Callable[[], Session],
    ) -> Looked:
        """One look-up and one fetch for all of them.

        Raises:
            NotApplied: The target cannot be asked now.
        """
        other = 1 - route.row.side
        newest = [chain[0] for chain in chains]
        with ledger.read() as tx:
            links = marks.links(tx, [one.link_id for one in newest])
            found = marks.lookup(tx, route.row.source_side, [one.k for one in newest])
        if not route.target.can("CanFetch") or not route.traits.retractable:
            return cls(links, found, None, other)
        refs = [
            Ref.from_key(key, link.name(other))
            for link in links.values()
            if (key := link.key(other))
        ]
        answers = target().fetch(route.target.name, refs) if refs else ()
        records = {
            ref.key: answer if isinstance(answer, Record) else None
            for ref, answer in zip(refs, answers, strict=True)
        }
        return cls(links, found, records, other)

    def now(self, link: Link | None) -> Record | str | None:
        """A chain's record as it is now."""
        key = link.key(self.side) if link else None
        if key is None:
            return None
        return UNSEEN if self.records is None else self.records.get(key)


def _key(chain: Sequence[Done], link: Link | None, run_id: int, epoch: str) -> str:
    """From the originals, for another round: the target must not take it for them.

    A ledger that was restored gives the numbers of its runs a second time, hence the
    epoch.
    """
    round_ = (link.round if link else 0) + 1
    originals = (one.key for one in chain)
    return idempotency_key("retract", epoch, run_id, round_, *originals)


def _payload(route: Route, chain: Sequence[Done], answer: Undo) -> dict[str, Any]:
    """What the plan shows of an undoing, and which intents it takes back."""
    entity = None if answer.entity is None else _short(answer.entity)
    shown: dict[str, Any] = {
        "entity": entity,
        "of": [list(one.at) for one in chain],
        "why": "retract",
    }
    if entity is not None and answer.op in {"update", "disable"}:
        values = route.carry.values(entity)
        changed = [*values, *(["active"] if "active" in entity else [])]
        shown["changed"] = list(dict.fromkeys(changed))
        shown["blank"] = [p for p in values if values[p] in (None, [], "")]
    return shown


def _short(entity: dict[str, Any]) -> dict[str, Any]:
    """Without long lists: nobody reads them, and it is made again when it is sent."""
    return {
        name: value
        for name, value in entity.items()
        if not isinstance(value, list) or len(value) <= _SHOWN
    }


def agreed_by_a_person(
    summary: PlanSummary, verdict: PlanVerdict, of: int
) -> PlanVerdict:
    """Limits ask for a person instead of stopping; somebody always confirms.

    See guard 48.
    """
    asks = "approve" if verdict.four_eyes else "confirm"
    findings: list[Finding] = [
        replace(each, decision=asks) if each.decision == "stop" else each  # type: ignore[arg-type]
        for each in verdict.findings
    ]
    decision: Any = asks if verdict.decision == "stop" else verdict.decision
    if summary.touched and decision == "pass":
        decision = "confirm"
    if summary.touched:
        findings.append(
            Finding(
                rule="retract",
                mode="enforce",
                decision="confirm",
                seen=summary.touched,
                limit=0,
                nearest_pass=0,
                sentence=f"takes back what run {of:,} did to {summary.touched:,} "
                f"{summary.noun}",
            )
        )
    return replace(verdict, decision=decision, findings=tuple(findings))
