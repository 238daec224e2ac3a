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


def test_what_the_page_for_a_company_shows_stands_among_the_proofs():
    proofs = PAGE.read_text()
    page = PAGE.with_name("moat.md").read_text()
    rows = re.findall(r"^\| (.*?) \| `([^`]*pytest [^`]*)` \|$", page, re.MULTILINE)
    assert len(rows) >= 7
    for seen, command in rows:
        [proof] = [line for line in proofs.splitlines() if f"`{command}`" in line]
        figures = re.findall(r"\d[\d,.]*", seen)
        assert all(figure.rstrip(".,") in proof for figure in figures), seen
