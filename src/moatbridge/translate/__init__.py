"""Two-way translation between the records of a stream and entities.

Declared once per stream as a `Translator`, checked against the stream's description by
`Translator.bind`, compiled at first use. Pure functions, no I/O (entities 32-49).
"""

from __future__ import annotations

from moatbridge.translate.bound import BoundTranslator
from moatbridge.translate.references import (
    ReferenceKey,
    Replaced,
    reference_key,
    references_in,
    replace_references,
)
from moatbridge.translate.report import (
    Carried,
    JoinedReport,
    Line,
    Report,
    join_report,
)
from moatbridge.translate.sources import (
    ITEM,
    const,
    each,
    first,
    lines,
    lookup,
    only_in,
    only_out,
    ref,
    template,
    via,
)
from moatbridge.translate.translator import Translator

__all__ = [
    "ITEM",
    "BoundTranslator",
    "Carried",
    "JoinedReport",
    "Line",
    "ReferenceKey",
    "Replaced",
    "Report",
    "Translator",
    "const",
    "each",
    "first",
    "join_report",
    "lines",
    "lookup",
    "only_in",
    "only_out",
    "ref",
    "reference_key",
    "references_in",
    "replace_references",
    "template",
    "via",
]
