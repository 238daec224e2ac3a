"""Paging engines (soap 3.F)."""

from __future__ import annotations

from moatbridge_soap.paging._base import LoopGuard, PageFacts, Pager, capped, foreign
from moatbridge_soap.paging._pagers import NumberedPages, pager_for
from moatbridge_soap.paging._windows import Windows

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
