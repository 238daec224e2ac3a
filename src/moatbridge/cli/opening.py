"""The bridge; or the ledger alone, for commands that must work with systems down."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from moatbridge.cli import collect_as_usual
from moatbridge.cli.logs import redactor_of
from moatbridge.cli.options import config_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import typer

    from moatbridge.config import BridgeConfig, PartlyRead
    from moatbridge.ledger import Ledger
    from moatbridge.run import Bridge


def opened_bridge(context: typer.Context, given: Path | None) -> Bridge:
    """Open the bridge of a command; its secrets are kept out of what is logged.

    Args:
        context: Of the command.
        given: Its option ``--config``.

    Raises:
        ConfigurationError: Everything that is wrong with the file, at once.
        NotApplied: ``ledger.unavailable``.
    """
    from moatbridge.run import Bridge  # noqa: PLC0415 - --help stays quick

    found = Bridge.open(config_path(context, given), redactor=redactor_of(context))
    collect_as_usual()
    return found


def opened_partly(
    context: typer.Context, given: Path | None
) -> tuple[Bridge, PartlyRead]:
    """Open as much of a bridge as its file allows, to look at systems only.

    Args:
        context: Of the command.
        given: Its option ``--config``.

    Returns:
        The bridge, and what its file says.

    Raises:
        ConfigurationError: Nothing can be opened with this file.
        NotApplied: ``ledger.unavailable``.
    """
    from moatbridge.config import load_partly  # noqa: PLC0415 - --help stays quick
    from moatbridge.registry import Registry  # noqa: PLC0415
    from moatbridge.run import Bridge  # noqa: PLC0415

    found = Registry()
    read = load_partly(config_path(context, given), found)
    allowed = found.allowing(read.config.adapters)
    made = Bridge(read.config, registry=allowed, redactor=redactor_of(context))
    collect_as_usual()
    return made, read


@contextmanager
def opened(path: Path, *, older: bool = False) -> Iterator[tuple[BridgeConfig, Ledger]]:
    """Read a configuration without its adapters, and open its ledger.

    Args:
        path: Configuration file. Adapters need not be installed.
        older: An old copy of the ledger may be opened; see `Database`.

    Raises:
        ConfigurationError: The file or the ledger cannot be used.
        NotApplied: ``ledger.unavailable``.
    """
    from moatbridge.config import load  # noqa: PLC0415 - --help stays quick
    from moatbridge.ledger import Ledger  # noqa: PLC0415

    config = load(path)
    ledger = Ledger.configured(config.ledger, older=older)
    try:
        yield config, ledger
    finally:
        ledger.close()
