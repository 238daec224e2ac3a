"""More slots than connections: they wait for each other, and none of them fails."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

SLOTS = 64


def test_many_slots_at_once_wait_for_no_connection_in_vain(ground):
    """Each step also reads beside itself, as long as everybody else waits to write."""
    ledger, flow_id = ground.ledger, ground.row.flow_id
    with ledger.write() as tx:
        for number in range(SLOTS):
            ledger.leases.add(tx, flow_id, f"many/{number}", "lane")
    gate = threading.Barrier(SLOTS)

    def work(number):
        gate.wait(60)
        lease = ledger.leases.claim(flow_id, f"many/{number}", f"slot-{number}")
        for at in range(3):
            with ledger.step(lease, cursor=at) as tx:
                tx.run("UPDATE run SET counts=coalesce(counts, '') || 'x'")
                with ledger.read() as other:
                    other.value("SELECT count(*) FROM partition")
        assert ledger.leases.renew([lease]) == []
        ledger.leases.release(lease)

    with ThreadPoolExecutor(SLOTS) as pool:
        list(pool.map(work, range(SLOTS)))
    assert len(ground.value("SELECT counts FROM run")) == 3 * SLOTS
