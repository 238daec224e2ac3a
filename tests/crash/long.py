"""The long proof: ``python -m crash.long --kills 10000`` with ``tests`` on the path.

Exit status 0 says that nothing was lost, doubled, wrong or left in flight.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from crash import loop, world


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kills", type=int, default=10_000)
    options.add_argument("--records", type=int, default=200_000)
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="moatbridge-crash-") as name:
        folder = Path(name)
        first = given.records // 2
        world.make(folder, first)
        report, proof = loop.run(
            folder,
            kills=given.kills,
            records=given.records,
            first=first,
            step=max(2000, given.records // 20),
            seed=given.seed,
        )
    sys.stdout.write(f"{report.words(proof)}\npassed: {report.passed}\n")
    return 0 if proof.clean and proof.links == proof.records else 1


if __name__ == "__main__":
    sys.exit(main())
