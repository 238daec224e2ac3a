"""``moatbridge discover``."""

from __future__ import annotations

from typing import Annotated

import typer

from moatbridge.cli.opening import opened_bridge
from moatbridge.cli.options import ConfigOption, JsonOption, again, config_path
from moatbridge.cli.terminal import show, show_json


def discover(
    context: typer.Context,
    system: Annotated[
        str, typer.Argument(metavar="SYSTEM", help=r"Its name: \[systems.NAME].")
    ],
    *,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Ask a system what it holds and print configuration to paste.

    Only reads. Needs the system's address and credentials; suggests streams, fields,
    keys and translators. What is uncertain is printed as a comment.
    """
    from moatbridge.adapter import Suggestions  # noqa: PLC0415 - --help stays quick
    from moatbridge.cli.show_suggestions import (  # noqa: PLC0415 - brings pydantic
        suggestion_json,
        suggestion_lines,
    )

    with (
        opened_bridge(context, config) as bridge,
        bridge.session(system) as session,
    ):
        able = "CanDiscover" in session.abilities
        found = session.discover() if able else Suggestions()
        configured = bridge.config.streams_of(system)
        streams = session.streams() if configured else ()
    if as_json:
        show_json(suggestion_json(system, found, streams))
    else:
        path = config_path(context, config)
        following = f"moatbridge check{again(context, config)}"
        show(suggestion_lines(system, found, streams))
        show(["", f"# Next: put what fits into {path}, then: {following}"])
