"""``moatbridge reconcile``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from moatbridge.cli.exit_codes import DONE, FOUND, WAITING
from moatbridge.cli.opening import opened_bridge
from moatbridge.cli.options import ConfigOption, FlowArgument, again
from moatbridge.cli.plan import setting_of
from moatbridge.cli.progress import progress
from moatbridge.cli.show_plan import plan_lines
from moatbridge.cli.show_reconcile import (
    divergence_json,
    reconcile_json,
    reconcile_lines,
)
from moatbridge.cli.terminal import show

if TYPE_CHECKING:
    from moatbridge.flow.reconcile import Divergence, Reconciliation


def reconcile(
    context: typer.Context,
    flow: FlowArgument,
    *,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Stage a plan that repairs what diverges."),
    ] = False,
    limit: Annotated[
        int,
        typer.Option(metavar="N", min=0, help="How many of each kind are listed."),
    ] = 20,
    values: Annotated[
        bool, typer.Option("--values/--no-values", help="Show who is concerned.")
    ] = True,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print JSON lines: every divergence, then all counts."
        ),
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Compare a flow's target with what was delivered there. Nothing is sent.

    Reads the target and the source and names what is missing, changed, doubled or
    extra there; what was only not delivered yet is counted apart. With --repair a plan
    is staged, judged by the guard and carried out by `apply` like any other; nothing is
    ever deleted. Exits with 0 (nothing diverges), 1 (something does), 75 (a system is
    unreachable, or a pass was not complete), and with --repair as `plan` does.
    """

    def line(one: Divergence) -> None:
        show([json.dumps(divergence_json(flow, one, values=values))])

    with opened_bridge(context, config) as bridge:
        with progress("reconcile", flow) as step:
            report = bridge.reconcile(
                flow,
                repair=repair,
                limit=limit,
                progress=step,
                each=line if as_json else _ignore,
            )
        waiting = bridge.review(flow) if report.plan else []
        options = again(context, config)
        setting = setting_of(bridge, flow, options)
    if as_json:
        show([json.dumps(reconcile_json(report))])
    else:
        show(reconcile_lines(report, options, values=values))
        if report.plan is not None:
            show(["", "The repair", ""])
            show(plan_lines(report.plan, waiting, setting, values=values))
    raise typer.Exit(code_of(report))


def code_of(report: Reconciliation) -> int:
    """The exit code for what was found."""
    if not report.diverging:
        return DONE
    if report.plan is None:
        return FOUND
    if report.plan.empty:
        return WAITING if report.plan.held else FOUND
    return report.plan.verdict.exit_code or FOUND


def _ignore(_one: Divergence) -> None:
    return
