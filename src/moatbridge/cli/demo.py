"""``moatbridge demo``."""

from __future__ import annotations

from typing import Annotated

import typer

from moatbridge.errors import ConfigurationError


def demo(
    *,
    quick: Annotated[
        bool, typer.Option("--quick", help="A much smaller company.")
    ] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep configuration, ledger and data.")
    ] = False,
    serve: Annotated[
        bool,
        typer.Option(
            "--serve", help="Go on afterwards, with a page to look at and answer on."
        ),
    ] = False,
) -> None:
    """Show in a minute what a bridge does, on this machine and with invented people.

    Exits with 0 only if everything that was expected was found, with 2 if a server
    is not installed.
    """
    from importlib import import_module  # noqa: PLC0415 - optional part

    try:
        main = import_module("moatbridge.demo").main
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"This installation holds no demo that can run ({type(error).__name__}); "
            "`moatbridge init` starts a bridge of your own.",
            code="demo.missing",
        ) from None
    code = main(quick=quick, keep=keep, serve=serve)
    raise typer.Exit(code if isinstance(code, int) else 0)
