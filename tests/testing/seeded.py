"""Adapters with one classic bug each, and the checks that must fail: these, no others."""

from __future__ import annotations

from testing import seeded_reading, seeded_wire, seeded_writing
from testing.seeding import SEEDED

MODULES = (seeded_reading, seeded_writing, seeded_wire)

__all__ = ["MODULES", "SEEDED"]
