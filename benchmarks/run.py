"""``make bench``; see `harness.program`."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests")]

from harness.program import main  # noqa: E402 - the path comes first

if __name__ == "__main__":
    raise SystemExit(main())
