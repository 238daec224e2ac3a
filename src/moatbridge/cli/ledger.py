"""``moatbridge ledger``: copies of the ledger, and what to say after a restore."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from moatbridge.cli.opening import opened
from moatbridge.cli.options import ConfigOption, JsonOption, config_path
from moatbridge.cli.terminal import show, show_json


def backup(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A new file; only you may read it.")
    ],
    *,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Copy the whole ledger to a new file, consistently, while it is in use.

    A ledger on PostgreSQL is copied with pg_dump; this says how. After a restore run
    `moatbridge ledger restored`.
    """
    with opened(config_path(context, config)) as (_settings, ledger):
        ledger.db.backup(file)
    if as_json:
        show_json({"file": str(file), "bytes": file.stat().st_size})
    else:
        show([f"Copied to {file} ({file.stat().st_size:,} bytes)."])


def restored(
    context: typer.Context,
    *,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Say that this ledger was restored from a backup, before anything runs again.

    Keys made from now on differ from those made before, so that no target takes a new
    change for one it has seen. Stop all workers first: while one was seen lately this
    is refused. What was sent after the backup is not known here: `moatbridge reconcile
    FLOW` finds it at the target.
    """
    from moatbridge.ledger.restoring import restored as restore  # noqa: PLC0415 - --help
    from moatbridge.run import principal  # noqa: PLC0415

    with opened(config_path(context, config), older=True) as (settings, ledger):
        ledger.db.check_whole()
        with ledger.write() as tx:
            epoch = restore(tx, actor=principal(), last=ledger.db.last_epoch)
        flows = list(settings.flows)
    following = [f"moatbridge reconcile {flow}" for flow in flows]
    if as_json:
        show_json({"epoch": epoch, "next": following})
        return
    show([f"This is epoch {epoch} of the ledger now. Before anything runs again:"])
    show(f"  {line}" for line in following)
