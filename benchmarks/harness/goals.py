"""What was wanted, and whether the last runs reached it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PEERS: Final = ("singer-sdk: tap and target, piped", "dlt: resource and custom destination", "airbyte-cdk: source and destination, piped")  # fmt: skip
HAND: Final = "best script by hand, no ledger"
OURS: Final = "moatbridge"


class Runs:
    """The kept figures; `KeyError` and `FileNotFoundError` where there are none."""

    def __init__(self, results: Path) -> None:
        self._results = results

    def kept(self, name: str) -> dict[str, Any]:
        """One work's, or one profile's."""
        return json.loads((self._results / f"{name}.json").read_text())

    def of(self, work: str, label: str, field: str = "cpu") -> float:
        """The figure of the variant whose label begins so."""
        found = {f["label"]: f[field] for f in self.kept(work)["figures"]}
        return next(value for name, value in found.items() if name.startswith(label))

    def peer(self, work: str, field: str, best: Callable[..., float] = min) -> float:
        """The best of the tools as they are deployed."""
        return best(self.of(work, label, field) for label in PEERS)

    def part(self, work: str, part: str) -> float:
        """Microseconds a record of one part of ours."""
        kept = self.kept(f"{work}-profile")
        return kept["parts"].get(part, 0.0) * kept["cpu"]


@dataclass(frozen=True)
class Goal:
    """One line: what is measured, and the limit that it must keep."""

    what: str
    seen: Callable[[Runs], float]
    limit: Callable[[Runs], float]
    least: bool = False
    """The limit is the least; else it is the most."""

    form: str = "{:,.1f}"


def _rest(runs: Runs) -> float:
    kept = runs.kept("sql-first-profile")
    return (1 - kept["parts"].get("ledger", 0.0)) * kept["cpu"]


GOALS: Final = (
    Goal("first load: records a second, over the best tool's", lambda r: r.of("sql-first", OURS, "per_second") / r.peer("sql-first", "per_second", max), lambda _r: 1.5, least=True, form="{:.2f} x"),
    Goal("first load: all but the ledger, µs a record, beside the best script without one", _rest, lambda r: r.of("sql-first", HAND) + max(1.5, 0.1 * r.of("sql-first", HAND))),
    Goal("first load: the ledger's part, µs a record", lambda r: r.part("sql-first", "ledger"), lambda _r: 22.0),
    Goal("first load: peak MiB", lambda r: r.of("sql-first", OURS, "peak_mib"), lambda _r: 80.0, form="{:.0f}"),
    Goal("a pass that finds few changes: records a second, over the best tool's", lambda r: r.of("sql-few", OURS, "per_second") / r.peer("sql-few", "per_second", max), lambda _r: 3.0, least=True, form="{:.2f} x"),
    Goal("an unchanged pass: µs a record, beside 1.5 times only reading, and 4", lambda r: r.of("sql-rescan", OURS), lambda r: 1.5 * r.of("sql-rescan", "only reading") + 4),
    Goal("an unchanged pass: the ledger's part, µs a record", lambda r: r.part("sql-rescan", "ledger"), lambda _r: 6.0),
    Goal("told changes: CPU s as a command, beside a fifth of the best tool's", lambda r: r.of("sql-delta", "moatbridge, as a command", "command"), lambda r: r.peer("sql-delta", "command") / 5, form="{:.2f}"),
    Goal("told changes: CPU ms of a resident worker", lambda r: r.of("sql-delta", "moatbridge, resident") / 1e3, lambda _r: 50.0, form="{:.0f}"),
    Goal("people with groups: µs a record (1 s for 20,000)", lambda r: r.of("ldap-groups", OURS), lambda _r: 50.0),
    Goal("`import moatbridge`: CPU ms", lambda r: r.kept("weight")["weights"]["import moatbridge"], lambda _r: 100.0, form="{:.0f}"),
    Goal("distributions of the core with its command line", lambda r: r.kept("weight")["extras"]["moatbridge"]["distributions"], lambda _r: 18.0, form="{:.0f}"),
)  # fmt: skip


def table(results: Path, before: str = "") -> str:
    """All goals that there are figures for, here or in the table before."""
    runs = Runs(results)
    old = {line.split(" | ")[0]: line for line in before.splitlines()}
    lines = ["| | wanted | seen | |", "| --- | ---: | ---: | --- |"]
    for goal in GOALS:
        try:
            seen, limit = goal.seen(runs), goal.limit(runs)
        except (FileNotFoundError, KeyError, StopIteration):
            lines += filter(None, [old.get(f"| {goal.what}")])
            continue
        good = seen >= limit if goal.least else seen <= limit
        cells = ("at least " if goal.least else "at most ") + goal.form.format(limit)
        reached = "reached" if good else "**missed**"
        lines.append(
            f"| {goal.what} | {cells} | {goal.form.format(seen)} | {reached} |"
        )
    return "\n".join(lines)
