"""Every test of flows and every crash point again, the ledgers on PostgreSQL."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SQLITE_ONLY = (
    "test_an_unchanged_pass_writes_no_intent_and_at_most_15_bytes_a_record",  # its log file
)


@pytest.mark.parametrize(
    "what",
    ["tests/flow", "tests/crash/test_crash_points.py", "tests/crash/test_zombie.py"],
)
def test_they_pass_on_the_other_database(what):
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--timeout", "900", what,
         "-k", " and ".join(f"not {name}" for name in SQLITE_ONLY)],
        cwd=ROOT, env={**os.environ, "LEDGER": "postgresql"}, check=False,
    )  # fmt: skip
    assert ran.returncode == 0
