"""The table of seeded faults: faulty class -> names of the checks that fail.

Names are without their ``test_``. The table is exact: a check that fails for a bug it
is not meant for is as wrong as one that does not fail for its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moatbridge.adapter import Adapter

SEEDED: dict[type[Adapter], frozenset[str]] = {}


def caught_by(*checks):
    def note(kind):
        SEEDED[kind] = frozenset(checks)
        return kind

    return note
