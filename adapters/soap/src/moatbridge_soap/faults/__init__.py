"""Faults, results and statuses: what an answer means (soap 3.G, 4, 5)."""

from __future__ import annotations

from moatbridge_soap.faults._matching import (
    has_code,
    meaning_of_fault,
    meaning_of_result,
)
from moatbridge_soap.faults._verdicts import (
    Verdict,
    read_error,
    read_status_error,
    write_by_fault,
    write_by_meaning,
    write_by_status,
)

__all__ = [
    "Verdict",
    "has_code",
    "meaning_of_fault",
    "meaning_of_result",
    "read_error",
    "read_status_error",
    "write_by_fault",
    "write_by_meaning",
    "write_by_status",
]
