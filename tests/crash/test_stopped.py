"""A process that froze past its lease and thawed writes nothing and doubles nothing."""

from __future__ import annotations

import itertools
import logging
import os
import signal
import sqlite3
import subprocess
import sys

import pytest

from crash import stopped, world
from flow_world import World
from moatbridge.errors import NotApplied


def check(folder, report, proof):
    logging.getLogger(__name__).warning(report.words(proof))
    assert proof.clean, proof
    assert proof.links == proof.records
    for part, seen in stopped.fences(folder).items():
        assert seen == sorted(seen), f"{part}: an old fence wrote"
        for (fence, seq), (next_fence, next_seq) in itertools.pairwise(seen):
            assert next_seq - seq in {0, 1}, f"{part}: a step is missing or came twice"
            assert next_fence - fence in {0, 1}


def test_5_workers_stopped_past_their_lease_double_nothing_and_write_nothing(tmp_path):
    world.make(tmp_path, stopped.BATCH)
    report, proof = stopped.run(tmp_path, times=5)
    check(tmp_path, report, proof)
    assert report.stopped == 5


HOLD = """
import sqlite3, sys
ledger = sqlite3.connect(sys.argv[1], isolation_level=None)
ledger.execute("BEGIN IMMEDIATE")
ledger.execute("UPDATE partition SET seq=seq+1")
print("inside", flush=True)
sys.stdin.readline()
ledger.execute("ROLLBACK")
"""


def test_a_process_stopped_inside_a_transaction_holds_up_others_with_a_typed_error(
    tmp_path,
):
    made = World(tmp_path, count=10)
    made.apply()
    made.put(11)
    path = tmp_path / "ledger.db"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout.readline() == b"inside\n"
        os.kill(holder.pid, signal.SIGSTOP)
        impatient(made.bridge)
        with pytest.raises(NotApplied) as error:
            made.apply()
        assert error.value.code == "ledger.unavailable"
        assert len(made.there()) == 10
        os.kill(holder.pid, signal.SIGCONT)
        holder.communicate(b"\n", timeout=60)
    with sqlite3.connect(path) as ledger:
        ledger.execute("UPDATE partition SET not_before=0")
    ledger.close()
    made.apply()
    assert len(made.there()) == 11
    assert made.social.doubled() == []
    made.bridge.close()


def impatient(bridge):
    """Connections of this bridge wait for a lock 200 ms, not half a minute."""
    bridge.ledger.close()  # those that wait longer are thrown away
    bridge.ledger.db._store.connections.opened.append(
        lambda connection: connection.execute("PRAGMA busy_timeout=200")
    )
