"""Four processes at 200 calls a second for twenty seconds: within three percent."""

from __future__ import annotations

import logging

from resilience import test_shared_quota as shared

server, place = shared.server, shared.place
RATE, BURST, SECONDS = 200.0, 40.0, 20.0
log = logging.getLogger(__name__).warning


def test_four_processes_are_granted_the_rate_within_three_percent_42(place):
    workers = place.workers(4, "quota", RATE, BURST, SECONDS)
    got = shared.results(workers)
    spent = sorted(pair for worker in got for pair in worker)
    times = sorted(after for _, after in spent)
    span = times[-1] - times[0]
    worst, first = 0, 0
    for last, at in enumerate(times):
        while times[first] < at - 1:
            first += 1
        worst = max(worst, last - first + 1)
    log(
        "%s: granted %.1f/s, worst second %d, by worker %s",
        place.url.partition(":")[0],
        (len(spent) - BURST) / span,
        worst,
        [len(worker) for worker in got],
    )
    assert 0.97 * RATE <= (len(spent) - BURST) / span <= 1.03 * RATE
    assert worst <= RATE + BURST
