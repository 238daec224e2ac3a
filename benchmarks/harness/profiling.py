"""Where a variant's CPU goes: py-spy's samples, split by who works in them.

A sample belongs to the innermost frame of its stack that is one part's file; so what a
driver does for the adapter that called it is the adapter's.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Final

PARTS: Final = {
    "send": "HTTP: connections, the bytes of requests and answers",
    "encode": "records to requests, answers to receipts (the target's adapter)",
    "read": "rows to records (the source's adapter and its driver)",
    "ledger": "the ledger: opening it, statements, commits, and the texts, keys and hashes of what it keeps",
    "guard": "judging records and plans",
    "translate": "records to entities and back, and what else is done with entities: checks, paths",
    "flow": "all between them: opening, comparing, deciding, batches, threads, deadlines",
    "start": "settings, imports, and what is none of the others",
}
"""Names of the parts, and what is in them."""

_FILES: Final = (
    ("send", ("/moatbridge/http/", "/httpx2/", "/httpcore2/", "/moatbridge/resilience/")),
    ("encode", ("/moatbridge_scim/",)),
    ("read", ("/moatbridge_sql/", "/moatbridge_ldap/", "/moatbridge_sftp/", "/moatbridge_soap/")),
    ("ledger", ("/moatbridge/ledger/",)),
    ("guard", ("/moatbridge/guard/",)),
    ("translate", ("/moatbridge/translate/", "/moatbridge/entities/")),
    ("flow", ("/moatbridge/flow/", "/moatbridge/run/")),
)  # fmt: skip


def part(stack: str) -> str:
    """The part of a stack, root first: the innermost file that belongs to one.

    The resilience layer stands above every adapter, so it counts only where no adapter
    is below it.
    """
    found = "start"
    for frame in stack.split(";"):
        for name, files in _FILES:
            if any(file in frame for file in files):
                if name == "translate" and found in ("encode", "read"):
                    break  # an adapter that uses the entity's functions
                found = "flow" if "/moatbridge/resilience/" in frame else name
                break
    return found


def profiled(
    command: list[str], out: Path, **settings: Any
) -> tuple[dict[str, float], int]:
    """Run a command under py-spy; shares of the parts, and the number of samples."""
    spy = Path(sys.executable).with_name("py-spy")
    raw = [str(spy), "record", "-r", "200", "-f", "raw", "-F", "--full-filenames", "-o", str(out), "--", *command]  # fmt: skip
    done = subprocess.run(raw, capture_output=True, text=True, check=False, **settings)
    if done.returncode:
        raise SystemExit(f"py-spy failed:\n{done.stderr[-2000:]}")
    return split(out.read_text())


def split(raw: str) -> tuple[dict[str, float], int]:
    """Shares by part of py-spy's raw output: ``frame;frame;frame count`` a line."""
    counts: Counter[str] = Counter()
    for line in raw.splitlines():
        stack, _, count = line.rpartition(" ")
        measured = "harness/measuring.py" in stack and "_loop" not in stack
        # Or on a thread of the variant's own; importlib has a "_bootstrap" as well.
        if measured or "_bootstrap_inner" in stack:
            counts[part(stack)] += int(count)
    whole = counts.total() or 1
    return {name: count / whole for name, count in counts.items()}, counts.total()
