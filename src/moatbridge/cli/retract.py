"""``moatbridge retract``."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from moatbridge.cli.opening import opened_bridge
from moatbridge.cli.options import ActorOption, ConfigOption, JsonOption, again
from moatbridge.cli.progress import progress
from moatbridge.cli.terminal import interactive, show, show_json

if TYPE_CHECKING:
    from moatbridge.flow.retract.report import Retraction
    from moatbridge.run import Bridge


def retract(
    context: typer.Context,
    run: Annotated[
        int, typer.Argument(metavar="RUN", help="Number of the run, as status shows.")
    ],
    *,
    dry: Annotated[
        bool, typer.Option("--dry", help="Only show what would be taken back.")
    ] = False,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Only what was sent since: 2h (ago), or 2026-07-01T08:00.",
        ),
    ] = None,
    links: Annotated[
        list[str] | None,
        typer.Option(
            metavar="REF", help="Only this record: its key or name; repeatable."
        ),
    ] = None,
    confirm: Annotated[
        int | None,
        typer.Option(metavar="N", help="The number of records that the plan showed."),
    ] = None,
    values: Annotated[
        bool,
        typer.Option("--values/--no-values", help="Show who was not taken back."),
    ] = True,
    actor: ActorOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Take back what a run did, as far as the target allows.

    Newest first: what was created is disabled (or removed, where it cannot be),
    what was changed is put back, what was disabled or removed comes back. What
    somebody else changed since is left alone and named. It is a plan of its own: it
    is shown, a person confirms the number, and it goes on after an interruption with
    the same command. Exits with 0 (all undone), 20 (some could not be), 75 (work is
    left), or 10 to 11 (the guard asks for a person).
    """
    from moatbridge.cli.show_retract import (  # noqa: PLC0415 - --help stays quick
        exit_code,
        retract_json,
        retract_lines,
    )

    if dry and confirm is not None:
        raise typer.BadParameter(
            "--dry sends nothing, so there is nothing to --confirm; leave one away"
        )
    moment = None if since is None else _moment(since)
    asked: dict[str, Any] = {
        "since": moment, "said": since or "", "refs": tuple(links or ()),
    }  # fmt: skip
    with opened_bridge(context, config) as bridge:
        found = _retracted(bridge, run, asked, dry=dry, actor=actor, confirm=confirm)
        kept = _days(bridge.config.ledger.keep_undo)
    command = _command(run, since, links or (), again(context, config))
    if as_json:
        show_json(retract_json(found, command=command, values=values))
    else:
        show(retract_lines(found, command=command, kept=kept, values=values))
    raise typer.Exit(exit_code(found))


def _retracted(
    bridge: Bridge,
    run: int,
    asked: dict[str, Any],
    *,
    dry: bool,
    actor: str | None,
    confirm: int | None,
) -> Retraction:
    from moatbridge.run.agreeing import agree  # noqa: PLC0415 - --help stays quick

    with progress("plan", f"run {run}") as step:
        found = bridge.plan_retract(run, actor=actor, progress=step, **asked)
    plan = found.plan
    if plan is not None and not dry:
        confirm = _typed(found, confirm)
        if confirm is None and plan.verdict.decision != "pass":
            return found
        agree(bridge, plan, actor=actor, confirm=confirm, accept=())
    with progress("apply", f"run {run}") as step:
        return bridge.retract(
            run, dry=dry, actor=actor, confirm=confirm, progress=step, **asked
        )


def _typed(found: Retraction, confirm: int | None) -> int | None:
    """Ask a person for the number, where one is needed, missing, and can be asked."""
    plan = found.plan
    if plan is None or plan.verdict.decision == "pass" or confirm is not None:
        return confirm
    if not interactive():
        return None
    from moatbridge.cli.show_retract import retract_lines  # noqa: PLC0415

    for line in retract_lines(found, command="", kept="", values=True):
        typer.echo(line, err=True)
    typed: int = typer.prompt(
        f"To take back run {found.of}, type the number of records concerned",
        type=int,
        err=True,
    )
    return typed


def _moment(text: str) -> float:
    """A time, or how long ago, as POSIX seconds."""
    from moatbridge.config.durations import parse_duration  # noqa: PLC0415

    try:
        return datetime.now(UTC).timestamp() - parse_duration(text)
    except ValueError:
        pass
    try:
        # Without a zone: this machine's own.
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            "--since takes how long ago (30min, 2h, 7d) or a time such as "
            "2026-07-01T08:00"
        ) from None


def _days(seconds: float) -> str:
    hours = seconds / 3600
    return f"{hours / 24:g} d" if hours >= 24 or not hours else f"{hours:g} h"  # noqa: PLR2004 - a day


def _command(
    run: int, since: str | None, links: list[str] | tuple[str, ...], options: str
) -> str:
    parts = ["moatbridge", "retract", str(run)]
    parts += ["--since", since] if since else []
    for ref in links:
        parts += ["--links", ref]
    return shlex.join(parts) + options
