"""A file larger than the spool's memory, killed in the middle: small, and exact."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).parents[3] / "benchmarks" / "sftp_large.py"


def test_a_large_file_needs_little_memory_and_resumes_inside() -> None:
    done = subprocess.run(
        [sys.executable, str(BENCHMARK), "--size", "12 MiB"],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["lost"], told["doubled"], told["left"]) == (0, 0, [])
    assert 0 < told["killed_after"] < told["rows"]
    assert told["second_life"]["resumed_at"] is not None
    assert max(told["grew_mib"]) < 24
