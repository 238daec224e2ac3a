"""``moatbridge apply``."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from moatbridge.cli.exit_codes import of_result
from moatbridge.cli.opening import opened_bridge
from moatbridge.cli.options import (
    ActorOption,
    ConfigOption,
    FlowArgument,
    JsonOption,
    again,
)
from moatbridge.cli.plan import setting_of
from moatbridge.cli.progress import progress
from moatbridge.cli.show_result import result_json, result_lines
from moatbridge.cli.show_status import try_lines
from moatbridge.cli.show_verdict import verdict_lines
from moatbridge.cli.terminal import interactive, show, show_json
from moatbridge.errors import NotApplied

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moatbridge.flow.plans import Plan
    from moatbridge.run import Bridge


def apply(
    context: typer.Context,
    flow: FlowArgument,
    digest: Annotated[
        str | None,
        typer.Argument(metavar="[DIGEST]", help="The plan that was looked at."),
    ] = None,
    *,
    confirm: Annotated[
        int | None,
        typer.Option(metavar="N", help="The number of records that the plan showed."),
    ] = None,
    accept: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RULE", help="Accept a stopping rule by name; repeatable."
        ),
    ] = None,
    actor: ActorOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Carry out a plan, if the guard and the people it asks for agree.

    On a terminal it asks for the number of records; elsewhere --confirm gives it.
    An interrupted apply goes on where it stopped, with the same command. Exits with 0
    (done), 20 (done, but items wait), 75 (work is left), or 10 to 12 (the guard).
    """
    from moatbridge.run import principal  # noqa: PLC0415 - --help stays quick
    from moatbridge.run.agreeing import agree, current_plan  # noqa: PLC0415

    with opened_bridge(context, config) as bridge:
        plan, open_ = current_plan(bridge, flow, digest)
        if open_:
            confirm = _asked(plan, confirm)
            agree(bridge, plan, actor=actor, confirm=confirm, accept=accept or ())
        with (
            saying_when(bridge, flow, again(context, config), as_json=as_json),
            progress("apply", flow) as step,
        ):
            result = bridge.apply(
                plan,
                actor=actor or principal(),
                confirm=confirm if open_ else None,
                accept=(accept or ()) if open_ else (),
                progress=step,
            )
        setting = setting_of(bridge, flow, again(context, config))
    if as_json:
        show_json(result_json(result, setting))
    else:
        show(result_lines(result, setting))
    raise typer.Exit(of_result(result))


@contextmanager
def saying_when(
    bridge: Bridge, flow: str, options: str, *, as_json: bool
) -> Iterator[None]:
    """Where a system cannot be reached: what waits for it now, and until when.

    Args:
        bridge: An open bridge.
        flow: Name.
        options: What a suggested command must repeat.
        as_json: Say it in the error's JSON line only.
    """
    try:
        yield
    except NotApplied as error:
        found = bridge.next_try(flow)
        if found is not None and error.code != "guard.kill-switch":
            error.details["next_try"] = asdict(found)
            if not as_json:
                for line in try_lines(flow, found, options):
                    typer.echo(line, err=True)
        raise


def _asked(plan: Plan, confirm: int | None) -> int | None:
    """Ask a person for the number, where one is needed, missing, and can be asked."""
    if plan.verdict.decision == "pass" or confirm is not None or not interactive():
        return confirm
    for line in verdict_lines(plan):
        typer.echo(line, err=True)
    typed: int = typer.prompt(
        f"To agree to plan {plan.digest}, type the number of records concerned",
        type=int,
        err=True,
    )
    return typed
