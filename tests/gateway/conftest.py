from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing

import pytest

from moatbridge.testing import MemorySystem
from servers.gateway import GatewayProcess, open_bridge, write_config


class World:
    """A folder with a configuration, and what came of it."""

    def __init__(self, folder):
        self.folder = folder

    def bridge(self):
        return open_bridge(self.folder)

    def agree(self):
        """A person agrees, once, to carry what will be pushed."""
        with self.bridge() as bridge:
            plan = bridge.plan("people")
            bridge.apply(plan, confirm=plan.verdict.count)

    def target(self):
        system = MemorySystem(path=self.folder / "target.db")
        try:
            return [row.data for row in system.all("people")]
        finally:
            system.store.close()

    def effects(self):
        """Keys of every effect that ever happened at the target."""
        system = MemorySystem(path=self.folder / "target.db")
        try:
            return [entry.key for entry in system.effects()]
        finally:
            system.store.close()

    def inbox(self):
        return self.rows("SELECT seq, delivery_id, content FROM inbox ORDER BY seq")

    def rows(self, sql, *params):
        """What the ledger says, asked by other means than our code."""
        with closing(
            sqlite3.connect(f"file:{self.folder}/ledger.db?mode=ro", uri=True)
        ) as db:
            return db.execute(sql, params).fetchall()

    def settled(self):
        """Whether every delivery was read and everything staged was delivered."""
        (newest,) = self.rows("SELECT coalesce(max(seq), 0) FROM inbox")[0]
        cursors = self.rows("SELECT cursor FROM partition WHERE kind='live'")
        read = cursors and json.loads(cursors[0][0])["at"]["inbox"] >= newest
        # A change of a record that is in flight waits in `again`; one look at both.
        return read and not self.rows(
            "SELECT 1 FROM parcel WHERE state < 10 UNION SELECT 1 FROM again WHERE due"
        )

    def landed(self):
        """The target's records by uid, once everything is settled."""
        self.until(self.settled)
        return {row["uid"]: row for row in self.target()}

    def until(self, found, seconds=60.0):
        """Wait for a condition; its last answer."""
        deadline = time.monotonic() + seconds
        while not (answer := found()):
            assert time.monotonic() < deadline, (
                self.rows(
                    "SELECT part, state, cursor, error, not_before, owner, woken FROM partition"
                )
                + self.rows("SELECT * FROM parcel")
                + self.rows("SELECT op, error, state FROM intent")
            )
            time.sleep(0.05)
        return answer


@pytest.fixture
def world(tmp_path):
    write_config(tmp_path)
    return World(tmp_path)


@pytest.fixture
def gateway(world):
    with GatewayProcess(world.folder) as process:
        yield process


@pytest.fixture
def working(world):
    """A gateway whose process also runs the flows; a person agreed to them."""
    world.agree()
    with GatewayProcess(world.folder, "--flows") as process:
        yield process
