"""``moatbridge init``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from moatbridge.cli import starter
from moatbridge.cli.options import DEFAULT, JsonOption
from moatbridge.cli.terminal import interactive, show, show_json
from moatbridge.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence


def init(
    *,
    legacy: Annotated[
        str | None,
        typer.Option(metavar="|".join(starter.LEGACY), help="Where people come from."),
    ] = None,
    platform: Annotated[
        str | None,
        typer.Option(metavar="|".join(starter.PLATFORMS), help="Where they go to."),
    ] = None,
    max_label: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(starter.LABELS),
            help="Highest label of data that the platform may receive.",
        ),
    ] = None,
    home_domain: Annotated[
        list[str] | None,
        typer.Option(metavar="DOMAIN", help="A mail domain of yours; repeatable."),
    ] = None,
    path: Annotated[
        Path, typer.Option("--path", metavar="PATH", help="The file to write.")
    ] = Path(DEFAULT),
    as_json: JsonOption = False,
) -> None:
    """Write a commented configuration file; never over an existing one.

    Asks what was not given on a terminal; elsewhere it takes the defaults. The file
    holds references to secrets, never secrets.
    """
    _free(path)
    ask = interactive()
    legacy = _chosen("Where do people come from", legacy, starter.LEGACY, ask=ask)
    platform = _chosen("Where do they go to", platform, starter.PLATFORMS, ask=ask)
    if max_label is not None or ask:
        words = "Highest label of data that the platform may receive"
        max_label = _chosen(
            words, max_label, starter.LABELS, ask=ask, first="confidential"
        )
    text = starter.starter(
        legacy=legacy,
        platform=platform,
        max_label=max_label,
        home_domains=home_domain or (),
    )
    _write(path, text)
    following = ["moatbridge check", "moatbridge discover hr", "moatbridge plan people"]
    lacking = _lacking(legacy, platform)
    if as_json:
        show_json({"path": str(path), "next": following, "install": lacking})
        return
    show([f"Wrote {path}. Put your addresses in, then: {', '.join(following)}"])
    if lacking:
        show([f"First of all: {lacking}"])


def _lacking(*adapters: str) -> str | None:
    """What to type so that the file's adapters are there; None if they are."""
    from moatbridge.registry import Registry, pip_line  # noqa: PLC0415 - --help

    installed = Registry().names()
    lacking = [name for name in adapters if name not in installed]
    return pip_line(",".join(lacking)) if lacking else None


def _chosen(
    words: str,
    given: str | None,
    choices: Sequence[str],
    *,
    ask: bool,
    first: str | None = None,
) -> str:
    default = first or choices[0]
    if given is None and ask:
        said = f"{words} ({', '.join(choices)})"
        given = str(typer.prompt(said, default=default, err=True)).strip()
    chosen = given or default
    if chosen not in choices:
        raise ConfigurationError(
            f"{words}: {chosen!r} is none of {', '.join(choices)}.", code="init.choice"
        )
    return chosen


def _free(path: Path) -> None:
    if path.exists() or path.is_symlink():
        raise ConfigurationError(
            f"{path} exists already and is left as it is; --path names another file.",
            code="init.exists",
        )


def _write(path: Path, text: str) -> None:
    _free(path)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        with os.fdopen(os.open(path, flags, 0o644), "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written ({type(error).__name__}).", code="init.write"
        ) from None
