"""``moatbridge worker``: one of any number of processes that carry the work."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from moatbridge.cli.opening import opened_bridge
from moatbridge.cli.options import ConfigOption, config_path
from moatbridge.cli.serving import counted_signals, serve
from moatbridge.cli.terminal import complain
from moatbridge.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moatbridge.run import Bridge


@dataclass(frozen=True, slots=True)
class Work:
    """What a worker does; None leaves it to ``run`` in the configuration.

    Args:
        flows: Names; none: all of them.
        slots: Slices at once per process.
        processes: Worker processes.
        zones: Network zones; none: ``run.zones``.
    """

    flows: tuple[str, ...] = ()
    slots: int | None = None
    processes: int | None = None
    zones: tuple[str, ...] = ()

    def command_line(self, config: Path) -> list[str]:
        """Arguments for one process of this work."""
        slots = [] if self.slots is None else ["--slots", str(self.slots)]
        zones = [word for zone in self.zones for word in ("--zone", zone)]
        options = ["--processes", "1", *slots, *zones]
        return ["--config", str(config), "worker", *options, "--", *self.flows]


def worker(
    context: typer.Context,
    flows: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FLOW]...", help="Names of flows; none: all of them."),
    ] = None,
    *,
    slots: Annotated[
        int | None,
        typer.Option(min=1, max=256, help="Slices at once per process."),
    ] = None,
    processes: Annotated[
        int | None, typer.Option(min=1, max=64, help="Worker processes.")
    ] = None,
    zone: Annotated[
        list[str] | None,
        typer.Option(metavar="ZONE", help="Serve this network zone; may be repeated."),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Carry work until SIGTERM or Ctrl-C: as many of these as you like, anywhere.

    All workers on one ledger share the work; which of them takes what is decided by
    leases, so starting, stopping and killing any of them is safe. Options that are not
    given follow `run` in the configuration. The first signal drains within run.drain,
    the second ends at once.
    """
    work = Work(tuple(flows or ()), slots, processes, tuple(zone or ()))
    keep_going(context, config, work)


def keep_going(context: typer.Context, config: Path | None, work: Work) -> NoReturn:
    """Do the work in this process, or supervise the processes that do; then exit.

    Raises:
        ConfigurationError: Everything that is wrong with the configuration, at once;
            ``flow.unknown``; ``run.zone``.
        NotApplied: ``ledger.unavailable``.
    """
    with opened_bridge(context, config) as bridge:
        names, settings = known(bridge, list(work.flows)), bridge.config.run
        _check_zones(bridge, names, work.zones or settings.zones)
        processes = work.processes or settings.processes
        if processes == 1:
            code = serve(
                bridge, names, slots=work.slots, zones=work.zones or settings.zones
            )
            raise typer.Exit(code)
    arguments = work.command_line(config_path(context, config))
    raise typer.Exit(_supervise(arguments, processes, settings.drain))


def _supervise(arguments: list[str], processes: int, drain: float) -> int:
    from moatbridge.run.supervisor import Supervisor  # noqa: PLC0415 - rare

    supervisor = Supervisor(
        one_worker, (arguments,), processes=processes, tell=complain
    )
    with counted_signals(lambda _seen: None) as seen:
        complain(f"supervising {processes} workers; Ctrl-C drains and ends")
        return supervisor.run(seen, drain=drain)


def one_worker(arguments: list[str]) -> NoReturn:
    """A supervised process: the command line of a single worker."""
    from moatbridge.cli.app import run  # noqa: PLC0415 - it knows this command
    from moatbridge.run.supervisor import in_worker  # noqa: PLC0415 - rare

    in_worker()
    sys.exit(run(arguments))


def known(bridge: Bridge, flows: list[str]) -> list[str]:
    """The named flows (none: all), and those that carry their answers.

    Raises:
        ConfigurationError: ``flow.unknown``.
    """
    from moatbridge.config.answers import answers_of  # noqa: PLC0415 - --help stays quick

    unknown = [flow for flow in flows if flow not in bridge.config.flows]
    there = ", ".join(bridge.config.flows) or "none"
    if unknown or not bridge.config.flows:
        raise ConfigurationError(
            f"No flow named {', '.join(unknown) or 'anything'} (configured: {there}).",
            code="flow.unknown",
        )
    configured = bridge.config.flows
    chosen = flows or list(configured)
    answers = (answers_of(flow) for flow in chosen)  # what people get back goes along
    return list(dict.fromkeys([*chosen, *(a for a in answers if a in configured)]))


def _check_zones(bridge: Bridge, flows: Sequence[str], zones: Sequence[str]) -> None:
    from moatbridge.run.dispatch import served  # noqa: PLC0415 - --help stays quick

    found = [served(bridge.config, flow, zones) for flow in flows]
    idle = [each.name for each in found if not (each.reads or each.writes)]
    if len(idle) < len(found):
        if idle:
            complain(f"in zone {', '.join(zones)} nothing is done of {', '.join(idle)}")
        return
    there = sorted({system.zone for system in bridge.config.systems.values()})
    raise ConfigurationError(
        f"Nothing is to be done in zone {', '.join(zones)}: no flow reads or writes a "
        f"system there. Zones of systems: {', '.join(there)}.",
        code="run.zone",
    )
