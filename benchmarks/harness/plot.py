"""docs/explanation/performance.svg: CPU of each variant, work by work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PICTURE = Path(__file__).parents[2] / "docs" / "explanation" / "performance.svg"
PANELS = {
    "sql-first": "first load: CPU µs a record",
    "sql-rescan": "full pass, nothing changed: CPU µs a record",
    "sql-delta": "100 changes: CPU ms a pass, as a command",
}
OURS, OTHERS = "#00796b", "#90a4ae"
MOST = 200.0
"""Bars end here, with their figure written beside: one slow script would hide the rest."""


def draw(results: Path, picture: Path = PICTURE) -> None:
    """Draw it, if there are figures for all panels; else the picture stays as it is."""
    if not all((results / f"{name}.json").exists() for name in PANELS):
        return
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    mpl.rcParams.update(
        {"svg.fonttype": "none", "svg.hashsalt": "moatbridge", "font.size": 9}
    )
    figure, axes = plt.subplots(len(PANELS), 1, figsize=(8, 2.4 * len(PANELS)))
    for (name, title), axis in zip(PANELS.items(), axes, strict=True):
        kept = json.loads((results / f"{name}.json").read_text())
        bars = [
            (f["label"], _value(f, kept["unit"]), f["ours"]) for f in kept["figures"]
        ]
        limit = 1.15 * max(v for _, v, _ in bars) if kept["unit"] == "pass" else MOST
        labels, values, ours = zip(*reversed(bars), strict=True)
        axis.barh(labels, [min(v, limit) for v in values], color=[OURS if o else OTHERS for o in ours])  # fmt: skip
        axis.set_xlim(0, limit * 1.12)
        axis.set_title(title, loc="left", fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
        for at, value in enumerate(values):
            more = " →" if value > limit else ""
            axis.text(min(value, limit) + limit * 0.01, at, f"{value:,.0f}{more}" if value >= 10 else f"{value:.1f}", va="center")  # fmt: skip
    figure.tight_layout()
    figure.savefig(picture, metadata={"Date": None, "Creator": None})
    plt.close(figure)


def _value(figure: dict[str, Any], unit: str) -> float:
    if unit != "pass":
        return figure["cpu"]
    return figure["command"] * 1e3 or figure["cpu"] / 1e3
