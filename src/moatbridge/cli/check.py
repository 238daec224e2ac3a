"""``moatbridge check``."""

from __future__ import annotations

from typing import Annotated

import typer

from moatbridge.cli import exit_codes
from moatbridge.cli.opening import opened_bridge
from moatbridge.cli.options import ConfigOption, JsonOption
from moatbridge.cli.show_check import check_lines
from moatbridge.cli.terminal import show, show_json


def check(
    context: typer.Context,
    *,
    strict: Annotated[
        bool, typer.Option("--strict", help="Warnings count as problems.")
    ] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Open every system and flow and tell everything that is wrong, at once.

    Shows who we are at each system, rights beyond the need, TLS and deadlines, and
    for each flow what leaves, what stays, and what can be promised. Writes nothing.
    Exits with 0, 1 (problems) or 2 (the file itself is wrong).
    """
    from moatbridge.run.checking import check as look  # noqa: PLC0415 - --help

    with opened_bridge(context, config) as bridge:
        found = look(bridge)
    if as_json:
        show_json(found.to_dict())
    else:
        show(check_lines(found))
    bad = found.problems or (strict and found.warned)
    raise typer.Exit(exit_codes.FOUND if bad else exit_codes.DONE)
