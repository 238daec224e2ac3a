"""``moatbridge plan``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from moatbridge.cli.opening import opened_bridge
from moatbridge.cli.options import (
    ConfigOption,
    FlowArgument,
    JsonOption,
    again,
)
from moatbridge.cli.progress import progress
from moatbridge.cli.show_plan import plan_json, plan_lines
from moatbridge.cli.show_verdict import Setting
from moatbridge.cli.terminal import show, show_json

if TYPE_CHECKING:
    from moatbridge.run import Bridge


def plan(
    context: typer.Context,
    flow: FlowArgument,
    *,
    values: Annotated[
        bool,
        typer.Option(
            "--values/--no-values", help="Show who is concerned and the new values."
        ),
    ] = True,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Show everything a flow would do, judged by the guard. Nothing is sent.

    Reads the whole source, compares it with what was delivered before, and prints who
    would be created, changed or removed, what is held and why, and the exact command
    that comes next. Exits with 0 (may be applied), 10 (confirm), 11 (approve) or
    12 (stopped).
    """
    with opened_bridge(context, config) as bridge:
        with progress("plan", flow) as step:
            made = bridge.plan(flow, progress=step)
        waiting = bridge.review(flow)
        setting = setting_of(bridge, flow, again(context, config))
    if as_json:
        show_json(plan_json(made, waiting, setting, values=values))
    else:
        show(plan_lines(made, waiting, setting, values=values))
    raise typer.Exit(made.verdict.exit_code)


def setting_of(bridge: Bridge, flow: str, options: str) -> Setting:
    """Where the plans of a flow are made."""
    found = bridge.config.flows[flow]
    return Setting(found.source, found.target, options)
