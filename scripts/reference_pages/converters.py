"""`converters.md`: the converters that every translator knows."""

from __future__ import annotations

import inspect
from importlib.metadata import entry_points
from typing import Any

from moatbridge.entities.conversion import Converter
from moatbridge.entities.converters import GROUP
from moatbridge.entities.core_converters import CORE
from reference_pages.text import document, meanings, summary, table

_SAMPLES: dict[str, tuple[Any, ...]] = {
    "date": ("%d.%m.%Y",),
    "lookup": ({"a": "b"},),
    "prefix": ("x",),
    "split": (",",),
}
"""Arguments for those that cannot be made without."""
_INTRODUCTION = """\
A converter is one pair of functions between a record's value and an entity's. In a
translator: `{ from = "x", via = "lower" }`, with arguments
`{ from = "x", via = { date = "%d.%m.%Y" } }`, or a chain, record side first:
`via = ["strip", { decimal = 2 }]`. In Python: `via("x", "lower")`.

*Normalising* converters come back in their own spelling (` Ada ` as `Ada`). A
`lookup` with a default, or with two keys for one value, has no way back."""


def page() -> str:
    """The whole page."""
    offers: dict[str, Any] = dict(CORE)
    offers |= {point.name: point.load() for point in entry_points(group=GROUP)}
    rows = [_row(name, offer) for name, offer in sorted(offers.items())]
    heads = ("name", "arguments", "what it does", "way back")
    return document("Converters", _INTRODUCTION, "", *table(heads, rows))


def _row(name: str, offer: Any) -> tuple[str, str, str, str]:
    if isinstance(offer, Converter):
        return f"`{name}`", "", meanings("converters")[name], offer.reversible
    signature = inspect.signature(offer)
    taken = [
        f"`{each.name}`"
        for each in signature.parameters.values()
        if each.kind is not each.KEYWORD_ONLY
    ]
    words = summary(offer).partition(": ")[2]
    back = offer(*_SAMPLES.get(name, ())).reversible
    return f"`{name}`", ", ".join(taken), words[:1].upper() + words[1:], back
