"""The commands together, and the one place where an error becomes an exit code."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.main import get_command

from moatbridge.cli import exit_codes, options
from moatbridge.cli.adapters import adapters
from moatbridge.cli.apply import apply
from moatbridge.cli.check import check
from moatbridge.cli.config import schema, show
from moatbridge.cli.demo import demo
from moatbridge.cli.discover import discover
from moatbridge.cli.guard import explain
from moatbridge.cli.init import init
from moatbridge.cli.kill import kill, resume
from moatbridge.cli.ledger import backup, restored
from moatbridge.cli.logs import redacted_log
from moatbridge.cli.new_adapter import new_adapter
from moatbridge.cli.plan import plan
from moatbridge.cli.reconcile import reconcile
from moatbridge.cli.retract import retract
from moatbridge.cli.review import review
from moatbridge.cli.run import run as run_flows
from moatbridge.cli.serve import serve
from moatbridge.cli.status import status
from moatbridge.cli.terminal import complain, settle_encoding
from moatbridge.cli.worker import worker
from moatbridge.errors import MoatbridgeError

TRACE: Final = "MOATBRIDGE_TRACE"
"""Set to 1, this environment variable makes every error print its traceback."""

EPILOG: Final = "Exit codes:\n\n" + "\n\n".join(
    f"{code:>4}  {words}" for code, words in exit_codes.EXIT_CODES.items()
)

_COMMANDS: Final[dict[str, Callable[..., None]]] = {
    "init": init,
    "check": check,
    "discover": discover,
    "plan": plan,
    "apply": apply,
    "run": run_flows,
    "worker": worker,
    "serve": serve,
    "status": status,
    "review": review,
    "retract": retract,
    "reconcile": reconcile,
    "kill": kill,
    "resume": resume,
    "adapters": adapters,
    "new-adapter": new_adapter,
    "demo": demo,
}


def run(argv: Sequence[str]) -> int:
    """Carry out one command line.

    Args:
        argv: Arguments, without the program's name.

    Returns:
        The exit code, one of `exit_codes.EXIT_CODES`.
    """
    settle_encoding()
    command = get_command(build())
    try:
        command.main(args=list(argv), prog_name="moatbridge")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else exit_codes.DONE
    return exit_codes.DONE


def build() -> typer.Typer:
    """The command line, as a typer application."""
    app = typer.Typer(
        add_completion=False,
        no_args_is_help=True,
        rich_markup_mode="rich",
        epilog=EPILOG,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["--help", "-h"]},
    )
    app.callback()(_program)
    for name, command in _COMMANDS.items():
        app.command(name)(_guarded(command))
    group = typer.Typer(no_args_is_help=True, help="Look at the configuration.")
    group.command("show")(_guarded(show))
    group.command("schema")(_guarded(schema))
    app.add_typer(group, name="config")
    group = typer.Typer(no_args_is_help=True, help="Copy the ledger; after a restore.")
    group.command("backup")(_guarded(backup))
    group.command("restored")(_guarded(restored))
    app.add_typer(group, name="ledger")
    group = typer.Typer(no_args_is_help=True, help="The rules that judge a flow.")
    group.command("explain")(_guarded(explain))
    app.add_typer(group, name="guard")
    return app


def _program(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            metavar="PATH",
            envvar="MOATBRIDGE_CONFIG",
            help=f"Configuration file (default {options.DEFAULT}).",
        ),
    ] = None,
) -> None:
    """Carry legacy enterprise data to and from a social platform, safely.

    Nothing is sent before a plan was judged: look at it with `plan`, carry it out with
    `apply`, or let `run` do both where the guard lets it pass.
    """
    context.obj = config


def _guarded(command: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(command)
    def wrapped(*args: Any, **options: Any) -> None:
        with redacted_log(options.get("context")):
            carried_out(*args, **options)

    def carried_out(*args: Any, **options: Any) -> None:
        try:
            command(*args, **options)
        except MoatbridgeError as error:
            _trace(error)
            complain(
                _said(error),
                code=error.code,
                as_json=_wants_json(options),
                next_try=error.details.get("next_try"),
            )
            raise typer.Exit(exit_codes.of_error(error)) from None
        except KeyboardInterrupt:
            complain("Interrupted; run the same command again to go on.")
            raise typer.Exit(exit_codes.INTERRUPTED) from None
        except (typer.Exit, typer.Abort, typer.BadParameter):
            raise
        except Exception as error:  # noqa: BLE001 - its text may hold personal data
            _trace(error)
            complain(
                f"{_bug(error)} in moatbridge or an adapter. Please report it; "
                f"{TRACE}=1 shows where (the text may hold personal data).",
                code="cli.bug",
                as_json=_wants_json(options),
            )
            raise typer.Exit(exit_codes.BUG) from None

    return wrapped


def _said(error: MoatbridgeError) -> str:
    where = error.stream or error.system
    place = f" [{where}]" if where and where not in error.message else ""
    return f"{error.message}{place}"


def _bug(error: Exception) -> str:
    missing = error.name if isinstance(error, ImportError) else None
    return type(error).__name__ + (f" ({missing})" if missing else "")


def _wants_json(options: dict[str, Any]) -> bool:
    return bool(options.get("as_json"))


def _trace(error: Exception) -> None:
    if os.environ.get(TRACE) == "1":
        logging.getLogger(__name__).error("Where it came from:", exc_info=error)
