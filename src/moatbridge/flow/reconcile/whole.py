"""The whole of a reconciliation, step by step (delivery 54)."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from moatbridge.errors import ConfigurationError, NotApplied
from moatbridge.flow.reconcile.comparing import AgreedComparer, Comparer
from moatbridge.flow.reconcile.expecting import Expecting
from moatbridge.flow.reconcile.here import looks_here, read_here, walk_links
from moatbridge.flow.reconcile.looking import (
    AGAIN,
    ELSEWHERE,
    PARTLY,
    RETRACTED,
    SecondLook,
)
from moatbridge.flow.reconcile.repairing import repair as stage_repairs
from moatbridge.flow.reconcile.report import Reconciliation
from moatbridge.flow.reconcile.sight import doubtful
from moatbridge.flow.reconcile.there import check_readable, read_there
from moatbridge.flow.reconcile.work import Work
from moatbridge.ledger import audit, counts, marks, reconciling
from moatbridge.ledger.scans import Bits
from moatbridge.ledger.scratch import Found, Scratch

if TYPE_CHECKING:
    from collections.abc import Callable

    from moatbridge.flow.bridge import Bridge
    from moatbridge.flow.reconcile.report import Divergence, Normalised
    from moatbridge.flow.route import Route


def reconcile(
    bridge: Bridge,
    flow: str,
    *,
    actor: str,
    repair: bool = False,
    limit: int = 20,
    progress: Callable[[int, int], None] = lambda _read, _compared: None,
    each: Callable[[Divergence], None] = lambda _one: None,
) -> Reconciliation:
    """Compare a flow's target with what was delivered, and with the source.

    Nothing is written to the target; without ``repair`` the ledger gets one line of
    audit and nothing else. Memory is bounded at any size.

    Args:
        bridge: An open bridge.
        flow: The flow's name.
        actor: Who asks.
        repair: Stage a plan that repairs what diverges.
        limit: How many examples of each kind the report keeps.
        progress: Called with (target records read, records compared) as it goes.
        each: Called with every divergence, as it is found.

    Raises:
        ConfigurationError: ``reconcile.target``: the target cannot be read back;
            ``reconcile.flow``: the flow carries decisions, not records.
        NotApplied: ``reconcile.incomplete``, ``reconcile.blind``, or a system cannot be
            reached. Nothing is ever missing because it could not be read.
    """
    started, began = bridge.ledger.now(), time.monotonic()
    route = bridge.route(flow)
    _check(route)
    with ExitStack() as stack:
        work = _work(bridge, route, stack, limit, progress, each)
        read_there(work)
        read_here(work)
        walk_links(work)
        normalised = _look_again(work, started)
        work.tell(now=True)
        plan, left = stage_repairs(work, actor=actor) if repair else (None, {})
        tally = work.tally
        report = Reconciliation(
            flow=flow,
            source=route.source.address,
            target=route.target.address,
            read=tally.read,
            compared=tally.compared,
            counts=dict(+tally.counts),
            fields=dict(tally.fields.most_common()),
            normalised=tuple(normalised),
            unmanaged=tally.unmanaged,
            behind=dict(+tally.behind),
            examples=work.examples(),
            searched=work.scans_target,
            looked=looks_here(work),
            unreadable=tally.unreadable,
            seconds=time.monotonic() - began,
            plan=plan,
            left=left,
            run_id=plan.run_id if plan else None,
            doubtful=doubtful(work),
        )
    _record(bridge, report, actor)
    return report


def _check(route: Route) -> None:
    if route.writeback is not None or route.agreed_by is not None:
        raise ConfigurationError(
            f"Flow {route.name!r} carries people's decisions, each of them once; there "
            "is nothing to compare. Reconcile the flow that posts the questions.",
            code="reconcile.flow",
        )
    check_readable(route)


def _work(
    bridge: Bridge,
    route: Route,
    stack: ExitStack,
    limit: int,
    progress: Callable[[int, int], None],
    each: Callable[[Divergence], None],
) -> Work:
    scratch = Scratch()
    stack.callback(scratch.close)
    memory = counts.Window(bridge.ledger.db, route.row.flow_id)
    with bridge.ledger.read() as tx:
        high = marks.highest(tx)
    work = Work(
        bridge=bridge,
        route=route,
        scratch=scratch,
        comparer=Comparer(route.carry),
        expecting=Expecting(route, bridge.ledger, memory),
        stack=stack,
        limit=limit,
        each=each,
        progress=progress,
        high=high,
    )
    if looks_here(work):
        return work
    named = [path for path, _to, _by in route.source.bound.references]
    return replace(work, comparer=AgreedComparer(route.carry, named))


def _look_again(work: Work, started: float) -> list[Normalised]:
    """Everything that seemed to differ, page by page."""
    touched = Bits(0, 0, "")
    with work.ledger.read() as tx:
        for link_id in reconciling.sent_since(tx, work.route.row.pair_id, started):
            touched.add(link_id)
    look = SecondLook(work, touched)
    normalised, spelling, anyhow = look.normalised()
    for page in work.scratch.suspects():
        wanted = [
            one for one in page
            if one.kind != "changed" or (one.alike & ~spelling | one.differs) & ~anyhow
        ]  # fmt: skip
        _check_sight(work, missing=any(one.kind == "missing" for one in wanted))
        for one in look.look(wanted):
            found = look.judge(one, spelling, anyhow)
            if found is None:
                continue
            work.found(found)
            if found.why != ELSEWHERE:
                kind = {AGAIN: "enabled", PARTLY: RETRACTED}.get(found.why, found.kind)
                work.scratch.put_found([Found(found.link_id, kind, found.fields)])
        work.tell()
    look.extras()
    return normalised


def _check_sight(work: Work, *, missing: bool) -> None:
    """Records that could not be decoded and do not say who they are may be anybody."""
    if missing and work.tally.blind and not work.fetches(work.route.target):
        raise NotApplied(
            f"{work.tally.blind} target records could not be read and do not say which "
            "they are, so nobody can tell what is missing. Mend them and run it again.",
            code="reconcile.blind",
            stream=work.route.target.address,
        )


def _record(bridge: Bridge, report: Reconciliation, actor: str) -> None:
    with bridge.ledger.write() as tx:
        audit.record(
            tx,
            "reconcile",
            flow=report.flow,
            actor=actor,
            run=report.run_id,
            target=report.target,
            read=report.read,
            compared=report.compared,
            counts=report.counts,
            fields=sorted(report.fields),
            normalised=[one.path for one in report.normalised],
            behind=report.behind,
            unmanaged=report.unmanaged,
        )
