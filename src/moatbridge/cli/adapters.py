"""``moatbridge adapters``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from moatbridge.cli import exit_codes
from moatbridge.cli.options import JsonOption
from moatbridge.cli.terminal import show, show_json


def adapters(
    *,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose",
            "-v",
            help="Also what each is for, what it needs, and what is not installed.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """List the installed adapters: name, distribution, version, what each can do.

    Exits with 1 if one cannot be used: two distributions claim a name, a package is
    missing, or its code fails.
    """
    from moatbridge.cli.installed import installed  # noqa: PLC0415 - --help stays quick
    from moatbridge.cli.show_adapters import (  # noqa: PLC0415 - as above
        adapter_lines,
        installed_lines,
    )
    from moatbridge.registry import Registry  # noqa: PLC0415 - as above

    found = installed(Registry())
    if as_json:
        whole = found.to_dict()
        show_json(whole if verbose else [_short(each) for each in whole["adapters"]])
    else:
        show(installed_lines(found) if verbose else adapter_lines(found.adapters))
    if any(each.problem for each in found.adapters):
        raise typer.Exit(exit_codes.FOUND)


def _short(found: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": found["name"],
        "problem": found["problem"],
        "abilities": sorted(found["abilities"] or ()),
        "distribution": found["distribution"],
        "version": found["version"],
        "class": found["target"],
    }
