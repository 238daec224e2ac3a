"""Servers that die at once, again and again, while workers use them."""

from __future__ import annotations

import logging
import random
import threading

from crash import loop, world
from crash.test_target_dies import kill_targets
from servers.ledgers import LedgerServer
from servers.places import put_on

STOPS = 15


def test_a_ledger_server_that_is_killed_loses_and_doubles_nothing(tmp_path):
    chance, died = random.Random(7), 0
    with (
        LedgerServer() as server,
        loop.open_loop(tmp_path, "work_patient") as workers,
    ):
        put_on(server, tmp_path)
        world.make(tmp_path, 2000)
        for number in range(STOPS):
            timer = threading.Timer(chance.uniform(0.1, 1.5), server.crash)
            timer.start()
            life = workers.life(str(tmp_path))
            timer.join()
            server.restart()
            died += life.status != 0
            world.expire_leases(tmp_path)
            low = 2000 + number * 1000
            world.mutate(
                tmp_path, new=range(low, low + 1000), changed=range(100), gone=()
            )
        assert workers.life(str(tmp_path)).status == 0
        proof = world.prove(tmp_path)
    logging.getLogger(__name__).warning(
        "%d stops, %d of them under a worker: %s", STOPS, died, proof
    )
    assert died >= STOPS // 3
    assert proof.clean, proof
    assert proof.links == proof.records == 2000 + STOPS * 1000


def test_100_deaths_of_the_target_after_the_effect_double_nothing(tmp_path):
    count = kill_targets(tmp_path, 100)
    proof = world.prove(tmp_path)
    assert proof.clean, proof
    assert proof.links == proof.records == count
