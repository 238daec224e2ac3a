"""The command line: ``moatbridge plan people``.

One small file a command; what is printed is made by pure functions in ``show_*``.
typer and rich are imported only when a command line really runs.
"""

from __future__ import annotations

import gc
import sys
from typing import Final, NoReturn

_GARBAGE: Final = (20_000, 20, 20)
"""Objects between two looks for garbage in rings. Python's own 700 makes a short
command look dozens of times through modules and settings that stay until its end."""


def main() -> NoReturn:
    """Run the command line of this process and exit; the console script."""
    gc.set_threshold(*_GARBAGE)
    from moatbridge.cli.app import run  # noqa: PLC0415 - brings typer

    sys.exit(run(sys.argv[1:]))
