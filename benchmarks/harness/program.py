"""All benchmarks: ``make bench`` (see docs/explanation/performance.md).

    python benchmarks/run.py --only sql-http --rounds 3 --size 0.2
    python benchmarks/run.py --size 0.2,alone=1,postgres=0.02   # by the names of works
    python benchmarks/run.py --only sql-first --variants by-hand,moatbridge
    python benchmarks/run.py --profile sql-first     # where moatbridge's CPU goes

Raw numbers go to ``benchmarks/.results``, or where ``--out`` says; ``--write`` puts all
that is there into the page and draws the picture; with ``--rounds 0`` it does only that.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from harness import plot, weight
from harness import report as page
from harness.rounds import (
    VariantFailed,
    once,
    rehearsed,
    rounds,
    shares,
    summed,
)
from harness.scenario import Place, SinkProcess, Work

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parents[1]
SCENARIOS = ("to_platform", "to_table", "alone")
PROFILED = ("sql-first", "sql-rescan", "ldap-first", "csv-first", "soap-first")
"""Works whose profile the goals need; the first two stand on the page."""

GROUPS = {"sql-http": "sql-"}
"""Names for several works."""


def works() -> dict[str, type[Work]]:
    """All that there is, by name."""
    return {
        work.name: work
        for name in SCENARIOS
        for work in import_module(f"scenarios.{name}").WORKS
    }


def chosen(only: str, known: dict[str, type[Work]]) -> list[type[Work]]:
    """Works whose name is, or begins with, one of those asked for."""
    asked = [
        GROUPS.get(part.strip(), part.strip())
        for part in only.split(",")
        if part.strip()
    ]
    found = [
        w for n, w in known.items() if not asked or any(n.startswith(a) for a in asked)
    ]
    if not found and only != "weight":
        raise SystemExit(f"No work is called {only!r}. There are: {', '.join(known)}.")
    return found


def sizes(text: str) -> Callable[[str], float]:
    """``0.1,ldap=0.5``: the factor of a work by the longest beginning of its name."""
    named = {"": 1.0}
    for part in text.split(","):
        name, _, factor = part.rpartition("=")
        named[GROUPS.get(name, name)] = float(factor)

    def factor_of(work: str) -> float:
        return named[max(filter(work.startswith, named), key=len)]

    return factor_of


def main() -> int:
    given = options().parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if given.only in ("", "weight") and given.rounds and not given.profile:
        keep(
            given,
            "weight",
            {**weight.measured(given.rounds), "machine": page.machine()},
        )
    failed = 0
    with ExitStack() as stack:
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="moatbridge-bench-"))
        )
        sink = stack.enter_context(SinkProcess())
        for kind in (
            chosen(given.profile or given.only, works()) if given.rounds else ()
        ):
            begun = time.perf_counter()
            with ExitStack() as servers:
                scale = given.size(kind.name)
                work = kind(Place(folder, servers, sink, scale))
                try:
                    (profile_alone if given.profile else measure)(work, given)
                except VariantFailed as error:
                    print(f"FAILED: {error}", file=sys.stderr, flush=True)
                    failed = 1
            took = time.perf_counter() - begun
            print(f"  {kind.name} at {scale:g} took {took:,.0f} s", flush=True)
    if given.write:
        page.write(given.out)
        plot.draw(given.out)
    return failed


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", default="", help="names of works, comma-separated; a prefix will do"
    )
    parser.add_argument(
        "--variants",
        default="",
        help="only these, comma-separated; nothing is kept then",
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--size",
        type=sizes,
        default=sizes("1"),
        help="factor of the sizes, then those of works: 0.1,ldap=0.5,sql-first=1",
    )
    parser.add_argument(
        "--profile", default="", metavar="WORK", help="moatbridge's share by part, once"
    )
    parser.add_argument(
        "--write", action="store_true", help="tables and picture of the page"
    )
    parser.add_argument("--out", type=Path, default=HERE / ".results")
    return parser


def measure(work: Work, given: argparse.Namespace) -> None:
    """Run one work and keep its figures."""
    if given.variants:
        wanted = given.variants.split(",")
        work.variants = tuple(v for v in work.variants if v.name in wanted)
    print(f"{work.name}: {work.heading()}", flush=True)
    late = rehearsed(work)
    found = rounds(work, given.rounds, late, lambda line: print(line, flush=True))
    figures = summed(work, found)
    for each in figures:
        command = f"{each.command:.2f} s as a command, " if each.command else ""
        print(f"  {each.label:<66}{each.cpu:12,.1f} us{each.per_second:12,.0f}/s{each.peak_mib:8.0f} MiB{each.requests:8.0f} requests  {command}spread {each.spread:.0%}")  # fmt: skip
    if not given.variants:
        if work.name in PROFILED:
            cost = next(each.cpu for each in figures if each.ours)
            profile(work, given, late, cost)
        rest = {
            "rounds": given.rounds,
            "figures": [asdict(each) for each in figures],
            "runs": found,
        }
        keep(given, work.name, {**about(work), **rest})


def profile_alone(work: Work, given: argparse.Namespace) -> None:
    """The same without a measurement: one plain run says what a record costs."""
    work.variants = tuple(v for v in work.variants if v.ours)[:1]
    (ours,), late = work.variants, rehearsed(work)
    plain = once(work.place, work, ours, imports=late[ours.name])
    profile(work, given, late, plain["cpu"] / plain["records"] * 1e6)


def profile(
    work: Work, given: argparse.Namespace, late: dict[str, list[str]], cost: float
) -> None:
    """Where moatbridge's CPU goes in this work, which cost so much a record."""
    ours = next(v for v in work.variants if v.ours)
    parts, samples = shares(work.place, work, ours, late[ours.name])
    for name, share in sorted(parts.items(), key=lambda each: -each[1]):
        print(
            f"  {name:<12}{share:8.1%}{share * cost:10.1f} us a {work.unit}", flush=True
        )
    keep(
        given,
        f"{work.name}-profile",
        {**about(work), "parts": parts, "samples": samples, "cpu": cost},
    )


def about(work: Work) -> dict[str, object]:
    return {"work": work.name, "title": work.heading(), "unit": work.unit, "note": work.note, "machine": page.machine()}  # fmt: skip


def keep(given: argparse.Namespace, name: str, kept: dict[str, object]) -> None:
    (given.out / f"{name}.json").write_text(json.dumps(kept, indent=1))
