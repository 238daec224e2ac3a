"""``moatbridge review``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from moatbridge.cli.opening import opened
from moatbridge.cli.options import (
    ActorOption,
    ConfigOption,
    JsonOption,
    again,
    config_path,
)
from moatbridge.cli.terminal import show, show_json
from moatbridge.errors import ConfigurationError

if TYPE_CHECKING:
    from moatbridge.config import BridgeConfig
    from moatbridge.ledger import Ledger


def review(
    context: typer.Context,
    flow: Annotated[
        str | None, typer.Argument(metavar="[FLOW]", help="None: all flows.")
    ] = None,
    item: Annotated[
        str | None, typer.Argument(metavar="[ITEM]", help="Its name in the list.")
    ] = None,
    action: Annotated[
        str | None,
        typer.Argument(
            metavar="[ACTION]",
            help="held: approve, refuse; parked: resend, arrived, give-up; "
            "rejected, expired: replay.",
        ),
    ] = None,
    *,
    reason: Annotated[str, typer.Option(help="Why; kept in the audit log.")] = "",
    values: Annotated[
        bool,
        typer.Option("--show", help="Show who is concerned and what would be sent."),
    ] = False,
    false_alarm: Annotated[
        bool,
        typer.Option(
            "--false-alarm",
            help="With approve: the rule was wrong about it; counted for that rule.",
        ),
    ] = False,
    actor: ActorOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """List what waits for a person, or decide about one item.

    Held items would do something that a rule wants seen, parked ones have an outcome
    nobody knows, rejected ones could not be read, translated or written. What was held
    until it expired was not sent, and is listed for 30 days.
    """
    if item is not None and action is None:
        raise typer.BadParameter("ITEM needs an ACTION; the list shows which there are")
    with opened(config_path(context, config)) as (settings, ledger):
        if flow is not None and flow not in settings.flows:
            known = ", ".join(settings.flows) or "none"
            raise ConfigurationError(
                f"No flow named {flow!r} (configured: {known}).", code="flow.unknown"
            )
        if flow is not None and item is not None and action is not None:
            why = (reason, false_alarm)
            _decide(settings, ledger, (flow, item, action), why, actor)
            said = f"moatbridge run {flow} --once{again(context, config)}"
            _decided((flow, item, action), said, as_json=as_json)
            return
        _list(settings, ledger, flow, values=values, as_json=as_json)


def _decide(
    settings: BridgeConfig,
    ledger: Ledger,
    what: tuple[str, str, str],
    why: tuple[str, bool],
    actor: str | None,
) -> None:
    from moatbridge.run.deciding import decide  # noqa: PLC0415 - --help stays quick

    flow, item, action = what
    decide(
        settings,
        ledger,
        flow,
        item,
        cast("Any", action),
        reason=why[0],
        actor=actor,
        false_alarm=why[1],
    )


def _decided(what: tuple[str, str, str], command: str, *, as_json: bool) -> None:
    flow, item, action = what
    if as_json:
        show_json({"flow": flow, "item": item, "action": action, "next": [command]})
    else:
        show([f"{item}: {action}. Next: {command}"])


def _list(
    settings: BridgeConfig,
    ledger: Ledger,
    flow: str | None,
    *,
    values: bool,
    as_json: bool,
) -> None:
    from moatbridge.cli.show_waiting import waiting_json, waiting_lines  # noqa: PLC0415
    from moatbridge.run.status import expired, waiting  # noqa: PLC0415

    names = [flow] if flow is not None else list(settings.flows)
    found = {n: [*waiting(ledger, n), *expired(ledger, n)] for n in names}
    if as_json:
        show_json(
            [
                waiting_json(name, item, values=values)
                for name, items in found.items()
                for item in items
            ]
        )
        return
    for name, items in found.items():
        show(waiting_lines(name, items, now=ledger.now(), values=values))
