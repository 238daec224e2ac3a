"""All benchmarks: ``make bench`` (see docs/explanation/performance.md).

    python benchmarks/run.py --only sql-http --rounds 3 --size 0.2
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
from contextlib import ExitStack
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from harness import plot, weight
from harness import report as page
from harness.rounds import VariantFailed, rounds, shares, summed
from harness.scenario import Place, SinkProcess, Work

HERE = Path(__file__).parents[1]
SCENARIOS = ("to_platform", "to_table", "soap_calls")
PROFILED = ("sql-first", "sql-rescan")
"""Works whose profile stands on the page."""

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
            with ExitStack() as servers:
                work = kind(Place(folder, servers, sink, given.size))
                try:
                    (profile if given.profile else measure)(work, given)
                except VariantFailed as error:
                    print(f"FAILED: {error}", file=sys.stderr, flush=True)
                    failed = 1
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
    parser.add_argument("--size", type=float, default=1.0, help="factor of the sizes")
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
    found = rounds(work.place, work, given.rounds, lambda line: print(line, flush=True))
    figures = summed(work, found)
    for each in figures:
        print(f"  {each.label:<58}{each.cpu:12,.1f} us{each.per_second:12,.0f}/s{each.peak_mib:8.0f} MiB{each.requests:8.0f} requests  {each.command:.2f} s as a command, spread {each.spread:.0%}")  # fmt: skip
    if given.write and work.name in PROFILED:
        profile(work, given)
    if not given.variants:
        rest = {
            "rounds": given.rounds,
            "figures": [asdict(each) for each in figures],
            "runs": found,
        }
        keep(given, work.name, {**about(work), **rest})


def profile(work: Work, given: argparse.Namespace) -> None:
    """Where moatbridge's CPU goes in this work."""
    ours = next(v for v in work.variants if v.ours)
    parts, samples, cost = shares(work.place, work, ours)
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
