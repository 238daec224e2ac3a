"""Options and arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, TypeAlias

import typer

from moatbridge.errors import ConfigurationError

DEFAULT: Final = "moatbridge.toml"

ConfigOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="PATH",
        help=f"Configuration file (default {DEFAULT}, or $MOATBRIDGE_CONFIG).",
    ),
]
JsonOption: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print one JSON document instead of text.")
]
FlowArgument: TypeAlias = Annotated[
    str, typer.Argument(metavar="FLOW", help=r"Name of a flow: \[flows.NAME].")
]
ActorOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--as",
        metavar="PRINCIPAL",
        help="Another name to audit beside the login. Never counts as a second person.",
    ),
]


def config_path(context: typer.Context, given: Path | None) -> Path:
    """The configuration file: the command's option, the program's, or the default.

    Raises:
        ConfigurationError: ``config.file``: there is no such file.
    """
    path = given or context.obj or Path(DEFAULT)
    if not path.is_file():
        raise ConfigurationError(
            f"There is no file {path}. `moatbridge init` writes one; --config names "
            "another.",
            code="config.file",
        )
    return Path(path)


def again(context: typer.Context, given: Path | None) -> str:
    """What a suggested command must repeat so that it reads the same file."""
    import shlex  # noqa: PLC0415 - rarely needed

    path = given or context.obj
    return (
        "" if path in {None, Path(DEFAULT)} else f" --config {shlex.quote(str(path))}"
    )
