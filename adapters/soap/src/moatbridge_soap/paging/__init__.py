"""Paging engines (soap 3.F)."""

from __future__ import annotations

from moatbridge_soap.paging._pagers import (
    LoopGuard,
    NumberedPages,
    PageFacts,
    Pager,
    Windows,
    capped,
    foreign,
    pager_for,
)

__all__ = [
    "LoopGuard",
    "NumberedPages",
    "PageFacts",
    "Pager",
    "Windows",
    "capped",
    "foreign",
    "pager_for",
]
