"""A worker process of `Workers`: serves until a signal, as the command line does."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from moatbridge.cli.serving import serve
from moatbridge.resilience import deadline
from run.world import Workers


def main(folder, slots, *zones):
    logging.basicConfig(level=logging.WARNING)
    with Workers.found(Path(folder)).open() as bridge:
        grace = bridge.config.run.ttl / 4
        bridge._pool._watchdog = deadline.Watchdog(grace=min(deadline.GRACE, grace))
        return serve(
            bridge, list(bridge.config.flows), slots=int(slots), zones=zones or None
        )


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
