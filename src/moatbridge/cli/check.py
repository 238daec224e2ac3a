"""``moatbridge check``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from moatbridge.cli import exit_codes
from moatbridge.cli.opening import opened_bridge, opened_partly
from moatbridge.cli.options import ConfigOption, JsonOption, again
from moatbridge.cli.show_check import check_lines, host_key_lines
from moatbridge.cli.terminal import show, show_json
from moatbridge.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from moatbridge.run import Bridge


def check(
    context: typer.Context,
    *,
    strict: Annotated[
        bool, typer.Option("--strict", help="Warnings count as problems.")
    ] = False,
    show_host_key: Annotated[
        bool,
        typer.Option(
            "--show-host-key",
            help="Only show the host keys of SSH servers, to compare and pin.",
        ),
    ] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Open every system and flow and tell everything that is wrong, at once.

    Shows who we are at each system, rights beyond the need, TLS and deadlines, and
    for each flow what leaves, what stays, and what can be promised. Writes nothing.
    Of a file that is not finished it opens the systems that are, then tells the rest.
    Exits with 0, 1 (problems) or 2 (the file itself is wrong).
    """
    from moatbridge.run.checking import check as look  # noqa: PLC0415 - --help

    try:
        opened = opened_bridge(context, config)
    except ConfigurationError:
        _what_stands(context, config, as_json=as_json)
        raise
    with opened as bridge:
        if show_host_key:
            raise typer.Exit(_host_keys(bridge, as_json=as_json))
        found = look(bridge)
    if as_json:
        show_json(found.to_dict())
    else:
        show(check_lines(found, again(context, config)))
    bad = found.problems or (strict and found.warned)
    raise typer.Exit(exit_codes.FOUND if bad else exit_codes.DONE)


def _what_stands(context: typer.Context, config: Path | None, *, as_json: bool) -> None:
    """Look at the systems of a file that is not finished, before saying what it lacks.

    Raises:
        ConfigurationError: Nothing can be opened with this file.
    """
    from moatbridge.run.checking import check as look  # noqa: PLC0415 - --help

    bridge, file = opened_partly(context, config)
    with bridge:
        if not file.config.systems:
            return
        found = look(bridge, whole=False)
    if as_json:
        show_json(found.to_dict())
    else:
        show(check_lines(found, whole=False))


def _host_keys(bridge: Bridge, *, as_json: bool) -> int:
    from moatbridge.run.host_keys import host_keys  # noqa: PLC0415 - rarely used

    found = host_keys(bridge)
    if as_json:
        show_json([asdict(each) for each in found])
    else:
        show(host_key_lines(found))
    bad = any(each.problem for each in found)
    return exit_codes.FOUND if bad else exit_codes.DONE
