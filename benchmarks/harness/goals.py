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

    def over(self, work: str, label: str, other: str, field: str = "cpu") -> float:
        """One variant's figure over another's."""
        return self.of(work, label, field) / self.of(work, other, field)

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


def _rest(work: str) -> Callable[[Runs], float]:
    """All but the ledger's part of ours."""

    def rest(runs: Runs) -> float:
        kept = runs.kept(f"{work}-profile")
        return (1 - kept["parts"].get("ledger", 0.0)) * kept["cpu"]

    return rest


def _beside(
    work: str, share: float, least: float = 0.0, other: str = HAND
) -> Callable[[Runs], float]:
    """The other's CPU and so much of it, or so many microseconds, more."""

    def limit(runs: Runs) -> float:
        cost = runs.of(work, other)
        return cost + max(least, share * cost)

    return limit


def _ratio(work: str, label: str, other: str, field: str = "cpu") -> Callable[[Runs], float]:  # fmt: skip
    return lambda runs: runs.over(work, label, other, field)


def _fixed(limit: float) -> Callable[[Runs], float]:
    return lambda _runs: limit


GOALS: Final = (
    Goal("first load: records a second, over the best tool's", lambda r: r.of("sql-first", OURS, "per_second") / r.peer("sql-first", "per_second", max), _fixed(1.5), least=True, form="{:.2f} x"),
    Goal("first load: all but the ledger, µs a record, beside the best script without one", _rest("sql-first"), _beside("sql-first", 0.1, 1.5)),
    Goal("the same from CSV", _rest("csv-first"), _beside("csv-first", 0.1, 1.5)),
    Goal("the same from a SOAP service", _rest("soap-first"), _beside("soap-first", 0.1, 1.5)),
    Goal("the same from a directory", _rest("ldap-first"), _beside("ldap-first", 0.15)),
    Goal("first load: the ledger's part, µs a record", lambda r: r.part("sql-first", "ledger"), _fixed(22.0)),
    Goal("first load: peak MiB", lambda r: r.of("sql-first", OURS, "peak_mib"), _fixed(80.0), form="{:.0f}"),
    Goal("first load of ten times the records: peak MiB, over that of a tenth", _ratio("alone-memory", "moatbridge, all", "moatbridge, a tenth", "peak_mib"), _fixed(1.1), form="{:.2f} x"),
    Goal("a pass that finds few changes: records a second, over the best tool's", lambda r: r.of("sql-few", OURS, "per_second") / r.peer("sql-few", "per_second", max), _fixed(3.0), least=True, form="{:.2f} x"),
    Goal("an unchanged pass: µs a record, beside 1.5 times only reading, and 4", lambda r: r.of("sql-rescan", OURS), lambda r: 1.5 * r.of("sql-rescan", "only reading") + 4),
    Goal("an unchanged pass: the ledger's part, µs a record", lambda r: r.part("sql-rescan", "ledger"), _fixed(6.0)),
    Goal("told changes: CPU s as a command, beside a fifth of the best tool's", lambda r: r.of("sql-delta", "moatbridge, as a command", "command"), lambda r: r.peer("sql-delta", "command") / 5, form="{:.2f}"),
    Goal("told changes: CPU ms of a resident worker", lambda r: r.of("sql-delta", "moatbridge, resident") / 1e3, _fixed(50.0), form="{:.0f}"),
    Goal("people with groups, the whole flow: requests and searches, beside those of the best script and 40 to open and plan", lambda r: r.of("ldap-groups", OURS, "requests"), lambda r: r.of("ldap-groups", HAND, "requests") + 40, form="{:,.0f}"),
    Goal("people with groups, the whole flow: µs a record (1 s for 20,000)", lambda r: r.of("ldap-groups", OURS), _fixed(50.0)),
    Goal("people with groups, read only: searches, beside ldap3's two passes and 5", lambda r: r.of("alone-ldap-members", OURS, "requests"), lambda r: r.of("alone-ldap-members", "ldap3: people", "requests") + 5, form="{:.0f}"),
    Goal("people with groups, read only: µs a record (1 s for 20,000)", lambda r: r.of("alone-ldap-members", OURS), _fixed(50.0)),
    Goal("LDAP, read only: CPU over ldapsearch's", _ratio("alone-ldap-scan", OURS, "OpenLDAP's own"), _fixed(2.5), form="{:.2f} x"),
    Goal("LDAP, modify: records a second, over ldap3's", _ratio("alone-ldap-modify", OURS, "ldap3: modify", "per_second"), _fixed(5.0), least=True, form="{:.1f} x"),
    Goal("LDAP, modify: ldap3's CPU over ours", _ratio("alone-ldap-modify", "ldap3: modify", OURS), _fixed(6.0), least=True, form="{:.1f} x"),
    Goal("LDAP, add: ldap3's CPU over ours", _ratio("alone-ldap-add", "ldap3: add", OURS), _fixed(8.0), least=True, form="{:.1f} x"),
    Goal("SFTP, small files: files a second, over OpenSSH's sftp", _ratio("alone-sftp-small", OURS, "OpenSSH's own", "per_second"), _fixed(3.0), least=True, form="{:.1f} x"),
    Goal("SFTP, one large file: CPU over OpenSSH's sftp", _ratio("alone-sftp-large", OURS, "OpenSSH's own"), _fixed(2.5), form="{:.2f} x"),
    Goal("CSV, typed: CPU over csv.reader and dict, which convert nothing", _ratio("alone-csv-typed", OURS, "csv.reader and dict, nothing converted"), _fixed(1.5), form="{:.2f} x"),
    Goal("SOAP, one long answer: plain zeep's CPU over ours", _ratio("alone-soap-answer", "zeep", OURS), _fixed(5.0), least=True, form="{:.1f} x"),
    Goal("SOAP, one long answer: peak MiB over what was there before", lambda r: r.of("alone-soap-answer", OURS, "grown_mib"), _fixed(8.0)),
    Goal("SOAP, single calls: CPU over plain zeep's", _ratio("alone-soap-calls", OURS, "zeep"), _fixed(0.5), form="{:.2f} x"),
    Goal("SOAP, a WSDL of 300 operations opened again: CPU ms", lambda r: r.of("alone-soap-open", "moatbridge's soap adapter, again") / 1e3, _fixed(5.0)),
    Goal("SQL, rows read from PostgreSQL: CPU over psycopg's tuples", _ratio("alone-sql-scan", OURS, "psycopg"), _fixed(1.8), form="{:.2f} x"),
    Goal("SQL, rows upserted into PostgreSQL: CPU of SQLAlchemy Core's executemany over ours", _ratio("alone-sql-upsert", "SQLAlchemy Core", OURS), _fixed(4.0), least=True, form="{:.1f} x"),
    Goal("SCIM, users read: CPU over httpx2 and json", _ratio("alone-scim-scan", OURS, "httpx2"), _fixed(1.3), form="{:.2f} x"),
    Goal("SCIM, single creates: CPU over httpx2 and json", _ratio("alone-scim-create", OURS, "httpx2"), _fixed(1.25), form="{:.2f} x"),
    Goal("SCIM, creates a hundred a request: CPU of single creates by httpx2 over ours", lambda r: r.of("alone-scim-create", "httpx2") / r.of("alone-scim-bulk", OURS), _fixed(20.0), least=True, form="{:.1f} x"),
    Goal("`import moatbridge`: CPU ms", lambda r: r.kept("weight")["weights"]["import moatbridge"], _fixed(100.0), form="{:.0f}"),
    Goal("distributions of the core with its command line", lambda r: r.kept("weight")["extras"]["moatbridge"]["distributions"], _fixed(18.0), form="{:.0f}"),
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
