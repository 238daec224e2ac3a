"""The tables of docs/explanation/performance.md, from the figures of the last runs.

Each table stands between ``<!-- bench: NAME -->`` and ``<!-- bench end -->``; what a run
did not measure stays as it is.
"""

from __future__ import annotations

import json
import os
import platform
import re
from pathlib import Path
from typing import Any

from harness import goals
from harness.profiling import PARTS

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "performance.md"
MARK = re.compile(
    r"(<!-- bench: (?P<name>[a-z-]+) -->\n).*?(<!-- bench end -->)", re.DOTALL
)

Kept = dict[str, Any]


def write(results: Path, page: Path = PAGE) -> None:
    """Put all tables that there are figures for into the page."""

    def table(found: re.Match[str]) -> str:
        if found["name"] == "goals":
            return f"{found[1]}{goals.table(results, found[0])}\n{found[3]}"
        kept = results / f"{found['name']}.json"
        if not kept.exists():
            return found[0]
        return f"{found[1]}{shown(json.loads(kept.read_text()))}\n{found[3]}"

    page.write_text(MARK.sub(table, page.read_text()))


def machine() -> str:
    """What it ran on, without any name."""
    cores, version = os.cpu_count(), platform.python_version()
    return f"{cores} cores, Python {version}, {platform.system()}"


def shown(kept: Kept) -> str:
    """One work's table, a profile's, or what things weigh."""
    if "weights" in kept:
        return _weights(kept)
    return _profile(kept) if "parts" in kept else _figures(kept)


def _weights(kept: Kept) -> str:
    lines = [_line(["", "CPU ms over a bare interpreter"]), _line(["---", "---:"])]
    lines += [
        _line([f"`{name}`", f"{ms:,.0f}"]) for name, ms in kept["weights"].items()
    ]
    lines += [
        "",
        f"A bare interpreter takes {kept['bare']:.0f} ms; {kept['machine']}.",
        "",
    ]
    lines += [
        _line(["installed", "distributions", "MiB"]),
        _line(["---", "---:", "---:"]),
    ]
    for name, each in kept["extras"].items():
        lines.append(
            _line([f"`{name}`", f"{each['distributions']}", f"{each['mib']:.0f}"])
        )
    return "\n".join(lines)


def _figures(kept: Kept) -> str:
    unit = kept["unit"]
    milli = unit == "pass"
    factor, sign = (1e-3, "ms") if milli else (1.0, "µs")
    ours = next((f["cpu"] for f in kept["figures"] if f["ours"]), None)
    head = ["", f"CPU {sign} a {unit}", "times ours", f"{_many(unit)} a second", "peak MiB", "requests", f"platform {sign}", "CPU s as a command", "spread"]  # fmt: skip
    if milli:
        head.remove(f"{_many(unit)} a second")
    rows = [head]
    for each in kept["figures"]:
        cells = [
            f"**{each['label']}**" if each["ours"] else each["label"],
            _short(each["cpu"] * factor),
            "" if ours is None or each["ours"] else f"{each['cpu'] / ours:.2f}",
            f"{each['per_second']:,.0f}",
            f"{each['peak_mib']:.0f}",
            f"{each['requests']:,.0f}" if each["requests"] else "",
            _short(each["sink_cpu"] * factor),
            f"{each['command']:.2f}" if each["command"] else "",
            f"{each['spread']:.0%}",
        ]
        if milli:
            del cells[3]
        rows.append(cells)
    told = _told(rows)
    lines = [_line(cells) for cells in told]
    lines.insert(1, _line(["---", *["---:"] * (len(told[0]) - 1)]))
    rounds = kept["rounds"]
    said = f"{kept['title']}; medians of {rounds} round{'s' * (rounds != 1)}; {kept['machine']}."
    most = max(f["records"] for f in kept["figures"])
    for each in kept["figures"]:
        if each["records"] < most and unit != "pass":
            said += f" Given only {each['records']:,} {_many(unit)}: “{each['label']}”."
    if kept["note"]:
        said += " " + kept["note"]
    return "\n".join([*lines, "", said])


def _profile(kept: Kept) -> str:
    lines = [_line(["part", "what is in it", "share of CPU", "µs a record"]), _line(["---", "---", "---:", "---:"])]  # fmt: skip
    for name, what in PARTS.items():
        share = kept["parts"].get(name, 0.0)
        lines.append(_line([name, what, f"{share:.0%}", _short(share * kept["cpu"])]))
    return "\n".join([*lines, "", f"{kept['title']}; {kept['samples']:,} samples of py-spy; {kept['machine']}."])  # fmt: skip


def _told(rows: list[list[str]]) -> list[list[str]]:
    """Without the columns that tell nothing about anybody."""
    columns = [c for c in zip(*rows, strict=True) if not set(c[1:]) <= {"", "0.0"}]
    return [list(cells) for cells in zip(*columns, strict=True)]


def _many(unit: str) -> str:
    return unit if unit == "MiB" else f"{unit}s"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
