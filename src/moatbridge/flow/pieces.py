"""Looking for the one record that fails: in pieces, and how many may be at fault."""

from __future__ import annotations

import math
import secrets
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")

MOST: Final = 50
"""Records of one batch that may be at fault; more than that is something else."""

FEW: Final = 3
"""A batch no larger than this may consist of such records alone."""


def in_pieces(units: Sequence[T]) -> list[Sequence[T]]:
    """Pieces of the square root of their number, so that few tries find one record.

    In no order: a system that is left alone after failures is first asked about other
    records, most of the time.
    """
    size = math.isqrt(len(units)) or 1
    pieces = [units[at : at + size] for at in range(0, len(units), size)]
    secrets.SystemRandom().shuffle(pieces)
    return pieces
