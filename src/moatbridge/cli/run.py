"""``moatbridge run``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from moatbridge.cli import exit_codes
from moatbridge.cli.apply import saying_when
from moatbridge.cli.opening import opened_bridge
from moatbridge.cli.options import ConfigOption, JsonOption, again
from moatbridge.cli.plan import setting_of
from moatbridge.cli.progress import progress
from moatbridge.cli.show_result import result_json, result_lines
from moatbridge.cli.terminal import complain, show, show_json
from moatbridge.cli.worker import Work, keep_going, known
from moatbridge.errors import MoatbridgeError, NotApplied

if TYPE_CHECKING:
    from moatbridge.run import Bridge


def run(
    context: typer.Context,
    flows: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FLOW]...", help="Names of flows; none: all of them."),
    ] = None,
    *,
    once: Annotated[
        bool, typer.Option("--once", help="One pass of each flow, then exit.")
    ] = False,
    max_seconds: Annotated[
        float | None,
        typer.Option(min=0.1, help="With --once: stop after about this long."),
    ] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Keep flows going, or with --once plan and apply each of them one time.

    A plan that passes the guard is applied; one that does not waits for `apply`.
    --once is all that cron, Kubernetes, Airflow and the like need: overlapping runs
    are harmless. It exits with 0 (done), 10 to 12 (guard), 20 (items wait for a
    person) or 75 (run again). Without --once it is a `worker`:
    it serves until SIGTERM or Ctrl-C; the first drains, the second ends at once; both
    are safe.
    """
    if max_seconds is not None and not once:
        raise typer.BadParameter("--max-seconds needs --once")
    if not once:
        keep_going(context, config, Work(tuple(flows or ())))
    with opened_bridge(context, config) as bridge:
        names = known(bridge, flows or [])
        told = _Told(again(context, config), as_json=as_json)
        code = _each(bridge, names, max_seconds, told)
    told.end()
    raise typer.Exit(code)


class _Told:
    """Says what became of each flow, as it happens or as one document."""

    def __init__(self, options: str, *, as_json: bool) -> None:
        self.options = options
        self.as_json = as_json
        self._found: list[dict[str, Any]] = []

    def result(self, bridge: Bridge, result: Any) -> None:
        setting = setting_of(bridge, result.flow, self.options)
        self._found.append(result_json(result, setting))
        if not self.as_json:
            show(result_lines(result, setting))

    def error(self, flow: str, error: MoatbridgeError, code: int) -> None:
        facts = {"code": error.code, "message": error.message}
        facts |= {k: error.details[k] for k in ("next_try",) if k in error.details}
        self._found.append({"flow": flow, "error": facts, "exit_code": code})
        if not self.as_json:
            complain(f"{flow}: {error.message}", code=error.code)

    def end(self) -> None:
        if self.as_json:
            show_json(self._found)


def _each(
    bridge: Bridge, flows: list[str], max_seconds: float | None, told: _Told
) -> int:
    """Every flow in turn: an error of one does not keep the others from running."""
    until = None if max_seconds is None else time.monotonic() + max_seconds
    codes = []
    for flow in flows:
        try:
            with saying_when(bridge, flow, told.options, as_json=told.as_json):
                result = _once(bridge, flow, until)
        except MoatbridgeError as error:
            codes.append(exit_codes.of_error(error))
            told.error(flow, error, codes[-1])
        else:
            codes.append(exit_codes.of_result(result))
            told.result(bridge, result)
    return exit_codes.worst(codes)


def _once(bridge: Bridge, flow: str, until: float | None) -> Any:
    left = None if until is None else until - time.monotonic()
    if left is not None and left <= 0:
        raise NotApplied("No time was left; run again.", code="run.time")
    with progress("apply", flow) as step:
        return bridge.run(flow, max_seconds=left, progress=step)
