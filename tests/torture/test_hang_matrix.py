"""The hang matrix of every adapter, one cell at a time: the table, and half a second."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINE = re.compile(r"^\.*(\w+ (?:opening|scan|fetch|write)) +(\w+ at +\d+%) +([\d.]+) s")
log = logging.getLogger(__name__).warning


def test_every_call_ends_within_half_a_second_of_its_deadline():
    ran = subprocess.run(
        [
            sys.executable, "-m", "pytest", "-q", "-s", "-k", "no_wire_holds",
            *map(str, sorted(ROOT.glob("adapters/*/tests/test_conformance.py"))),
        ],
        cwd=ROOT,
        env=os.environ | {"MOATBRIDGE_HANGS": "strict"},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    found = [LINE.match(line) for line in ran.stdout.splitlines()]
    cells = [(float(hit[3]), hit[1], hit[2]) for hit in found if hit]
    worst = sorted(cells, reverse=True)[:10]
    log("%d cells; the slowest:\n%s", len(cells), "\n".join(map(str, worst)))
    assert ran.returncode == 0, ran.stdout[-5000:]
    assert len(cells) > 300
