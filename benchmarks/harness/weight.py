"""What an import costs, and what an installation brings along.

CPU milliseconds of a process beyond those of a bare interpreter; distributions and MiB
are those that an extra needs, found through the metadata of what is installed here.
"""

from __future__ import annotations

import re
import resource
import statistics
import subprocess
import sys
from importlib.metadata import Distribution, distribution, requires
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

ADAPTERS = ("ldap", "mastodon", "scim", "sftp", "soap", "sql", "webhook")
EXTRAS = ("", *ADAPTERS, "gateway", "postgresql", "all")
MAIN = ["-c", "from moatbridge.cli import main; main()"]
COMMANDS = {
    "import moatbridge": ["-c", "import moatbridge"],
    **{
        f"import moatbridge_{name}": ["-c", f"import moatbridge_{name}"]
        for name in ADAPTERS
    },
    "moatbridge --help": [*MAIN, "--help"],
    "moatbridge plan --help": [*MAIN, "plan", "--help"],
}
MIB = 1024 * 1024


def closure(name: str, extras: tuple[str, ...] = ()) -> set[str]:
    """Names of all distributions that one of them, with extras, needs; itself included."""
    seen: set[tuple[str, tuple[str, ...]]] = set()
    waiting = [(_plain(name), extras)]
    while waiting:
        asked = waiting.pop()
        if asked in seen:
            continue
        seen.add(asked)
        for line in requires(asked[0]) or ():
            needed = Requirement(line)
            chosen = ({"extra": extra} for extra in ("", *asked[1]))
            if needed.marker is None or any(map(needed.marker.evaluate, chosen)):
                waiting.append((_plain(needed.name), tuple(sorted(needed.extras))))
    return {found for found, _extras in seen}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def size(name: str) -> int:
    """Bytes of a distribution's files, without compiled Python."""
    found: Distribution = distribution(name)
    spec = find_spec(name.replace("-", "_")) if name.startswith("moatbridge") else None
    if spec is not None and spec.submodule_search_locations:  # installed as editable
        folder = Path(next(iter(spec.submodule_search_locations)))
        return sum(
            f.stat().st_size
            for f in folder.rglob("*")
            if f.suffix != ".pyc" and f.is_file()
        )
    paths = (Path(str(found.locate_file(f))) for f in found.files or ())
    return sum(
        path.stat().st_size for path in paths if path.suffix != ".pyc" and path.exists()
    )


def cpu_ms(arguments: list[str]) -> float:
    """CPU milliseconds of one Python process."""
    from harness.peers import installed  # a test reads this file alone

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, *arguments]
    subprocess.run(command, capture_output=True, check=True, env=installed())
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1e3 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def measured(rounds: int) -> dict[str, Any]:
    """Medians of some rounds, in turns."""
    runs: dict[str, list[float]] = {name: [] for name in ("bare", *COMMANDS)}
    for _round in range(max(3, rounds)):
        for name, each in runs.items():
            each.append(cpu_ms(COMMANDS.get(name, ["-c", "pass"])))
    bare = statistics.median(runs.pop("bare"))
    needs = {
        extra: closure("moatbridge", (extra,) if extra else ()) for extra in EXTRAS
    }
    return {
        "weights": {
            name: statistics.median(each) - bare for name, each in runs.items()
        },
        "bare": bare,
        "extras": {
            f"moatbridge[{extra}]" if extra else "moatbridge": {
                "distributions": len(names),
                "mib": sum(map(size, names)) / MIB,
            }
            for extra, names in needs.items()
        },
    }
