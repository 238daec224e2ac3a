"""A worker that spends a shared quota, or sits on shared seats, as fast as it may.

    python spender.py quota URL PASSWORD RATE BURST SECONDS
    python spender.py seats URL PASSWORD MOST SECONDS

Says ``ready``, waits for a line, and prints what it got: one JSON list of pairs of
times on the clock that all processes of this machine share.
"""

from __future__ import annotations

import json
import sys
import time

from pydantic import SecretStr

from moatbridge.adapter import Quota
from moatbridge.ledger import Ledger
from moatbridge.ledger.quota import LedgerQuotas
from moatbridge.resilience import SystemQuota


def spend(store: LedgerQuotas, rate: float, burst: float, seconds: float) -> list:
    quota = SystemQuota("social", {"write": Quota(rate, burst)}, store)
    got, until = [], time.monotonic() + seconds
    while (before := time.monotonic()) < until:
        wait = quota.take("write")
        if wait == 0:
            got.append((before, time.monotonic()))
        else:
            time.sleep(min(wait, 0.5))  # what the caller of a busy system does
    return got


def sit(store: LedgerQuotas, most: int, seconds: float) -> list:
    got, until = [], time.monotonic() + seconds
    while time.monotonic() < until:
        seat = store.enter("erp", most)
        if seat is None:
            time.sleep(0.001)
            continue
        inside = time.monotonic()
        time.sleep(0.005)
        got.append((inside, time.monotonic()))
        store.leave(seat)
    return got


def main() -> None:
    what, url, password, *numbers = sys.argv[1:]
    ledger = Ledger(url, password=SecretStr(password) if password else None)
    store = LedgerQuotas(ledger)
    print("ready", flush=True)  # noqa: T201 - the test waits for it
    sys.stdin.readline()
    if what == "quota":
        got = spend(store, *map(float, numbers))
    else:
        got = sit(store, int(numbers[0]), float(numbers[1]))
    print(json.dumps(got), flush=True)  # noqa: T201 - the test reads it
    sys.stdin.readline()
    store.close()
    ledger.close()


main()
