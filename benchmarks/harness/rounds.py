"""Rounds: every variant in its own process, in turns, the order reversed each time."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import peers, profiling

if TYPE_CHECKING:
    from harness.scenario import Place, Variant, Work

CHILD = Path(__file__).with_name("child.py")
PATIENCE = 3600.0


class VariantFailed(Exception):
    """A variant's process ended badly, or its result is wrong."""


@dataclass(frozen=True)
class Figures:
    """Medians of one variant. Times are microseconds for each record."""

    label: str
    ours: bool
    records: int
    runs: int
    cpu: float
    sink_cpu: float
    wall: float
    per_second: float
    command: float
    """CPU seconds of the whole process, start and imports included; 0: it is no command."""

    peak_mib: float
    grown_mib: float
    """By how much the peak was over what was there before the work began."""

    requests: float
    spread: float
    """(largest - smallest) / median of the CPU, normalised."""


Runner = Callable[["Variant", dict[str, Any], Path], dict[str, Any]]


def run(variant: Variant, order: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The process itself."""
    command, settings = process(variant, order, folder)
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False, **settings)  # fmt: skip
    if done.returncode:
        last = (done.stderr or done.stdout)[-3000:]
        raise VariantFailed(f"{variant.name} ended with {done.returncode}: {last}")
    return json.loads(Path(order["result"]).read_text())


def process(
    variant: Variant, order: dict[str, Any], folder: Path
) -> tuple[list[str], dict[str, Any]]:
    """Its command, and where and with what environment it runs."""
    written = folder / "order.json"
    written.write_text(json.dumps(order))
    python = peers.python(variant.peer) if variant.peer else sys.executable
    home = {"HOME": str(folder), "SINK_TOKEN": "benchmark", "DO_NOT_TRACK": "1"}
    known = peers.installed()
    settings = {"cwd": folder, "env": {**known, **home, **order.get("env", {})}}
    return [python, str(CHILD), str(written)], settings


def once(
    place: Place,
    work: Work,
    variant: Variant,
    run: Runner = run,
    imports: Sequence[str] = (),
) -> dict[str, Any]:
    """Run a variant one time and check what it did."""
    work.ready(variant)
    # The same path each time: to a ledger, a database elsewhere is another one.
    folder = place.folder / "run" / variant.name.removesuffix("-resident")
    folder.mkdir(parents=True)
    try:
        order = work.order(variant, folder)
        order |= {
            "module": variant.module, "function": variant.function, "folder": str(folder),
            "sink": place.sink.url, "result": str(folder / "result.json"), "imports": list(imports),
        }  # fmt: skip
        before = place.sink.cpu()
        found = run(variant, order, folder)
        found["sink_cpu"] = place.sink.cpu() - before
        found["records"] = order["records"]
        found["requests"] = place.sink.stats()["requests"]
        try:
            work.check(variant, order, found)
        except AssertionError as wrong:
            msg = f"{work.name}, {variant.name}: {wrong}; it said {found}"
            raise VariantFailed(msg) from None
        return found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def rehearsed(work: Work) -> dict[str, list[str]]:
    """What each variant imports while it works, by its name.

    Libraries load much of themselves when it is first needed. To import is no part of
    any figure but the command's, so all of that is imported before; a small run, on
    servers of its own, tells what it is.
    """
    place = work.place
    folder = place.folder / "rehearsal"
    folder.mkdir(exist_ok=True)
    with ExitStack() as servers:
        small = type(work)(replace(place, folder=folder, stack=servers, scale=1e-3))
        found = {v.name: once(small.place, small, v)["late"] for v in work.variants}
    shutil.rmtree(folder)
    return found


def shares(
    place: Place, work: Work, variant: Variant, imports: Sequence[str]
) -> tuple[dict[str, float], int]:
    """One run under the profiler: shares by part, and samples."""
    split: list[Any] = []

    def spied(variant: Variant, order: dict[str, Any], folder: Path) -> dict[str, Any]:
        command, settings = process(variant, order, folder)
        split.extend(profiling.profiled(command, folder / "spied", **settings))
        return json.loads(Path(order["result"]).read_text())

    once(place, work, variant, spied, imports)
    return split[0], split[1]


def rounds(
    work: Work, count: int, imports: dict[str, list[str]], tell: Any
) -> dict[str, list[dict[str, Any]]]:
    """All rounds of a work: what each variant's runs cost, by its name."""
    found: dict[str, list[dict[str, Any]]] = {v.name: [] for v in work.variants}
    for number in range(count):
        for variant in work.variants[:: 1 if number % 2 == 0 else -1]:
            one = once(work.place, work, variant, imports=imports[variant.name])
            del one["late"]
            found[variant.name].append(one)
            cost = one["cpu"] / one["records"] * 1e6
            tell(f"  round {number + 1}: {variant.name:<22}{cost:10.1f} us CPU a {work.unit}{one['wall']:9.2f} s")  # fmt: skip
    return found


def summed(work: Work, found: dict[str, list[dict[str, Any]]]) -> list[Figures]:
    """Medians, machine speed cancelled by the calibration loops around each run."""
    loops = [one["calibration"] for runs in found.values() for one in runs]
    usual = statistics.median(loops)
    return [
        _figures(v, found[v.name], usual, command=work.commands and not v.resident)
        for v in work.variants
        if found[v.name]
    ]


def _figures(
    variant: Variant, runs: list[dict[str, Any]], usual: float, *, command: bool
) -> Figures:
    def median(values: Any) -> float:
        return statistics.median(values)

    speed = [usual / one["calibration"] for one in runs]
    records = runs[0]["records"]
    costs = [
        one["cpu"] * fast / records * 1e6 for one, fast in zip(runs, speed, strict=True)
    ]
    wall = median(one["wall"] * fast for one, fast in zip(runs, speed, strict=True))
    return Figures(
        label=variant.label,
        ours=variant.ours,
        records=records,
        runs=len(runs),
        cpu=median(costs),
        sink_cpu=median(one["sink_cpu"] for one in runs) / records * 1e6,
        wall=wall / records * 1e6,
        per_second=records / wall,
        command=median(
            one["command_cpu"] * fast for one, fast in zip(runs, speed, strict=True)
        )
        if command
        else 0.0,
        peak_mib=median(one["peak_mib"] for one in runs),
        grown_mib=median(one["grown_mib"] for one in runs),
        requests=median(one["requests"] for one in runs),
        spread=(max(costs) - min(costs)) / median(costs),
    )
