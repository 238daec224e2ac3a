"""The drawn state machine is the one that the ledger enforces."""

from __future__ import annotations

import re
from pathlib import Path

from moatbridge.ledger.states import MOVES

PAGE = Path(__file__).resolve().parents[2] / "docs/explanation/guarantees.md"


def test_the_drawing_shows_every_move_and_no_other():
    drawn = re.findall(r"^    (\w+) --> (\w+): \S", PAGE.read_text(), re.MULTILINE)
    assert sorted(drawn) == sorted(
        (old.name, new.name) for old, news in MOVES.items() for new in news
    )
