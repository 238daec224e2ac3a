"""``moatbridge status``."""

from __future__ import annotations

import typer

from moatbridge.cli.opening import opened
from moatbridge.cli.options import ConfigOption, JsonOption, config_path
from moatbridge.cli.show_status import status_lines
from moatbridge.cli.terminal import show, show_json


def status(
    context: typer.Context, *, as_json: JsonOption = False, config: ConfigOption = None
) -> None:
    """Show how each flow is doing, from the ledger alone.

    Works while systems are down: last pass, what is open, who works on what, what
    waits for a person and for how long, when what could not be delivered is tried
    again, and every kill switch that is on.
    """
    from moatbridge.run.status import status as look  # noqa: PLC0415 - --help stays quick

    with opened(config_path(context, config)) as (settings, ledger):
        found = look(settings, ledger)
    if as_json:
        show_json(found.to_dict())
    else:
        show(status_lines(found))
