"""``moatbridge kill`` and ``moatbridge resume``: the kill switch of the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from moatbridge.cli.opening import opened
from moatbridge.cli.options import ConfigOption, JsonOption, config_path
from moatbridge.cli.terminal import clean, complain, show, show_json
from moatbridge.errors import ConfigurationError, MoatbridgeError

if TYPE_CHECKING:
    from moatbridge.config import BridgeConfig

Scope: TypeAlias = Annotated[
    str, typer.Argument(metavar="SCOPE", help="all, flow:NAME or system:NAME.")
]
Reason: TypeAlias = Annotated[
    str, typer.Argument(metavar="REASON", help="Why; shown to everybody who asks.")
]


def kill(
    context: typer.Context,
    scope: Scope,
    reason: Reason,
    *,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Stop sending at once: everything, one flow, or everything to one system.

    Works from any host that reaches the ledger, without the systems. What was not
    sent yet waits. Without the ledger: create the kill file (guard.kill_file), or set
    MOATBRIDGE_KILL=1 where it runs.
    """
    try:
        _switch(config_path(context, config), scope, reason, on=True, as_json=as_json)
    except MoatbridgeError:
        complain(
            "NOTHING WAS SWITCHED OFF. Create the kill file (`moatbridge.kill`, unless "
            "guard.kill_file says otherwise) or set MOATBRIDGE_KILL=1 where it runs."
        )
        raise


def resume(
    context: typer.Context,
    scope: Scope,
    reason: Reason,
    *,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Allow sending again: lifts the switch that `kill` set for that scope."""
    _switch(config_path(context, config), scope, reason, on=False, as_json=as_json)


def _switch(path: Path, scope: str, reason: str, *, on: bool, as_json: bool) -> None:
    from moatbridge.ledger import killswitch  # noqa: PLC0415 - --help stays quick
    from moatbridge.run import principal  # noqa: PLC0415
    from moatbridge.run.status import kill_state  # noqa: PLC0415

    with opened(path) as (config, ledger):
        _known(scope, config)
        change = killswitch.switch_on if on else killswitch.switch_off
        with ledger.write() as tx:
            change(tx, scope, reason[:500], principal())
        left = kill_state(config, ledger).kills
    if as_json:
        show_json(
            [{"scope": k.scope, "reason": k.reason, "actor": k.actor} for k in left]
        )
        return
    show([f"{scope}: {'switched off' if on else 'switched on again'}."])
    show(
        f"  off: {kill.scope}, by {clean(kill.actor)}: {clean(kill.reason)}"
        for kill in left
    )


def _known(scope: str, config: BridgeConfig) -> None:
    kind, _, name = scope.partition(":")
    names = {"flow": set(config.flows), "system": set(config.systems)}.get(kind, set())
    if scope == "all" or name in names:
        return
    possible = ["all"]
    possible += [f"flow:{flow}" for flow in config.flows]
    possible += [f"system:{system}" for system in config.systems]
    raise ConfigurationError(
        f"There is no scope {scope!r}; there are: {', '.join(possible)}.",
        code="kill.scope",
    )
