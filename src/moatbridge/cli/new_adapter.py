"""``moatbridge new-adapter``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

from moatbridge.cli.options import JsonOption
from moatbridge.cli.terminal import show, show_json


def new_adapter(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="What it is for, such as old-crm."),
    ],
    *,
    abilities: Annotated[
        str,
        typer.Option(
            metavar="LIST",
            help="Some of scan, follow, fetch, find, write, settle; by commas.",
        ),
    ] = "scan,fetch,find,write",
    functions: Annotated[
        bool,
        typer.Option(
            "--functions", help="Plain functions instead of a class; tcp has no class."
        ),
    ] = False,
    system: Annotated[
        Literal["http", "folder", "tcp"],
        typer.Option(help="What the code to begin with speaks to."),
    ] = "http",
    into: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="The folder to make; default moatbridge-NAME."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a publishable adapter to begin with; never over anything.

    A complete distribution with the chosen abilities, its tests and their server: it
    passes its own checks as it is. Then change it, function by function, until it
    speaks to your system; the conformance suite says when it is right.
    """
    from moatbridge.registry import KNOWN, Registry  # noqa: PLC0415 - --help is quick
    from moatbridge.scaffold import Choice, files, write  # noqa: PLC0415
    from moatbridge.scaffold.distribution import ABILITIES  # noqa: PLC0415
    from moatbridge.scaffold.names import checked, chosen  # noqa: PLC0415

    names = checked(name, {*KNOWN, *Registry().names()})
    form: Literal["class", "functions"] = (
        "functions" if functions or system == "tcp" else "class"
    )
    wanted = chosen(abilities, ABILITIES, "ability")
    made = files(Choice(names, wanted, form, system))
    folder = into or Path(names.dist)
    write(folder, made)
    following = [
        f"cd {shlex.quote(str(folder))}",
        "pip install -e . --group dev",
        "scripts/check",
    ]
    if as_json:
        paths = list(made)
        show_json(
            {
                "adapter": name,
                "distribution": names.dist,
                "folder": str(folder),
                "files": paths,
                "next": following,
            }
        )
        return
    home = f"src/{names.package}/adapter.py"
    show(
        [
            f"Wrote {len(made)} files into {folder}.",
            "Next:",
            *(f"  {line}" for line in following),
            f"Then put your system into {home} and its test server into tests/.",
        ]
    )
