"""The command line: ``moatbridge plan people``.

One small file a command; what is printed is made by pure functions in ``show_*``.
typer and rich are imported only when a command line really runs.
"""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line of this process and exit; the console script."""
    from moatbridge.cli.app import run  # noqa: PLC0415 - brings typer

    sys.exit(run(sys.argv[1:]))
