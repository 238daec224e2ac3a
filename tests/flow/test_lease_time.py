"""``run.ttl`` is how long a killed worker's partitions stay taken (scale 2)."""

from __future__ import annotations

import pytest

from flow_world import World
from moatbridge.flow import run_slice
from moatbridge.flow.control import request_pass


class Hasty(World):
    ttl = None

    def config(self):
        return {**super().config(), "run": {"ttl": self.ttl} if self.ttl else {}}


@pytest.mark.parametrize(("ttl", "seconds"), [(None, 30), ("4s", 4)])
def test_a_lease_lasts_as_configured(tmp_path, ttl, seconds):
    Hasty.ttl = ttl
    world = Hasty(tmp_path, count=1)
    ledger, left = world.bridge.ledger, []

    def look():
        with ledger.read() as tx:
            until = tx.value("SELECT max(lease_until) FROM partition WHERE owner='me'")
            if until is not None:  # the janitor asks too, under no lease
                left.append((until - tx.lease_clock()[0]) / 1000)
        return True

    request_pass(ledger, world.bridge.route("people"), auto=False, actor="me")
    run_slice(world.bridge, "people", "control", owner="me", stopping=look)
    world.bridge.close()
    assert left
    assert all(seconds - 2 < each <= seconds for each in left)
