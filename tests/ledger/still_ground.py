"""Two workers and one ledger: leases, time, death, and one transaction after the other."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path

from ledger.still_flow import LIFE, Source, Target, Worker
from moatbridge.errors import LeaseLost
from moatbridge.ledger import Ledger, flows, runs, schema, settlement
from moatbridge.ledger.leases import UNSET

PARTS = ("live", "pass", "lane/0")
TTL = 30.0
WALL = {
    "partition": ("not_before",), "parcel": ("not_before", "deadline", "first_sent", "last_sent"),
    "link": ("quiet_until", "remove_at"), "run": ("created", "planned"), "hold": ("created",),
}  # fmt: skip
"""Columns that hold wall time."""


class Killed(BaseException):
    """What a SIGKILL is inside a transaction: nothing of it was ever there."""


def _kill_if(now):
    if now:
        raise Killed


class StillGround:
    """The world of one example; all its time passes when it is told to."""

    place = None
    """Where the ledger of every example lies; None: in a new SQLite file each."""

    def open_ledger(self):
        self.folder = Path(tempfile.mkdtemp(prefix="moatbridge-still-"))
        if self.place is not None:
            ledger = Ledger(self.place.url, password=self.place.password)
            empty(ledger)
            return ledger
        shutil.copy(template(), self.folder / "ledger.db")
        return Ledger(f"sqlite:///{self.folder}/ledger.db", durability="normal")

    def make(self, kind, size, batch):
        self.size, self.batch = size, batch
        self.target, self.source = Target(kind), Source()
        self.workers = [Worker("a"), Worker("b")]
        self.now = 0.0  # seconds of real time, as far as leases and requests see it
        self.sent_at = []  # when each lingering request left
        self.until = dict.fromkeys(PARTS)  # part -> end of its lease in real time
        self.shadow = {}  # part -> (fence, seq, cursor) at its highest
        self.seen = {}  # generation -> links whose bits were committed
        self.sent = set()  # keys of what was ever put in flight
        self.policy = settlement.Policy(
            unknown_wait=LIFE if kind.dedup == "lookup" else 5.0, quiet=kind.quiet
        )
        with self.ledger.write() as tx:
            self.row = flows.ensure(
                tx, "default", "people", "hr/people", "social/people"
            )
            for part in PARTS:
                self.ledger.leases.add(
                    tx, self.row.flow_id, part, part.partition("/")[0], cursor={"at": 0}
                )
            self.live_run = runs.live(tx, self.row.flow_id)

    def clear(self):
        self.ledger.close()
        shutil.rmtree(self.folder)

    def clock(self):
        return self.ledger.now()

    def acting(self, worker):
        """This worker does something with its lease now."""

    # --- time ------------------------------------------------------------------------

    def time_passes(self, seconds):
        self.now += seconds
        while self.sent_at and self.sent_at[0] + LIFE <= self.now:
            self.sent_at.pop(0)  # it never arrives
            self.target.lingering.pop(0)
        self.shift(wall=seconds, lease=seconds)

    def the_wall_clock_is_set(self, hours):
        # Forward only where no wait stands on it: the life of a request is wall time.
        if hours < 0 or not self.target.lingering:
            self.shift(wall=hours * 3600.0)

    def the_host_is_booted_again(self):
        for worker in self.workers:
            worker.crash()
        self.until = dict.fromkeys(PARTS)
        if self.place is not None:
            self.shift(wall=0.0, lease=3600.0)  # the server is another host
            return
        with self.ledger.write() as tx:
            tx.run(
                "UPDATE partition SET boot='before', lease_until=lease_until+?", 10**9
            )

    def shift(self, *, wall, lease=0.0):
        """Make everything that the ledger wrote so much older."""
        with self.ledger.write() as tx:
            for table, columns in WALL.items():
                for column in columns:
                    tx.run(
                        f"UPDATE {table} SET {column}={column}-? WHERE {column}>0", wall
                    )
            tx.run(
                "UPDATE partition SET lease_until=lease_until-? WHERE owner IS NOT NULL",
                int(lease * 1000),
            )

    # --- leases ----------------------------------------------------------------------

    def claim(self, who, part):
        worker = self.workers[who]
        self.acting(worker)
        lease = self.ledger.leases.claim(self.row.flow_id, part, worker.name, ttl=TTL)
        free = self.until[part] is None or self.until[part] < self.now
        assert (lease is not None) == free, (
            "a lease was given that still runs, or refused though it was free"
        )
        if lease is not None:
            worker.lose(part)
            worker.leases[part] = lease
            self.until[part] = self.now + TTL
            fence = self.shadow.get(part, (0, 0, 0))[0]
            assert lease.fence > fence, "a fence was given twice"

    def renew(self, who, part):
        if lease := self.workers[who].leases.get(part):
            self.acting(self.workers[who])
            lost = self.ledger.leases.renew([lease])
            assert bool(lost) == (lease.fence != self.fence(part))
            self._renewed(who, part, lost)

    def _renewed(self, who, part, lost):
        if lost:
            self.workers[who].lose(part)
        else:
            self.until[part] = self.now + TTL

    def release(self, who, part):
        worker = self.workers[who]
        if lease := worker.leases.get(part):
            if lease.fence == self.fence(part):
                self.until[part] = None
            self.ledger.leases.release(lease)
            worker.lose(part)

    def fence(self, part):
        return self.value("SELECT fence FROM partition WHERE part=?", part)

    def value(self, sql, *params):
        with self.ledger.read() as tx:
            return tx.value(sql, *params)

    def commit(self, worker, part, body, *, die=None, cursor=UNSET):
        """One transaction of a slice; whether it took place (its worker may be dead)."""
        lease, current = worker.leases[part], self.fence(part)
        self.acting(worker)
        try:
            with self.ledger.step(lease, cursor=cursor) as tx:
                body(tx)
                _kill_if(die == "inside")
        except LeaseLost:
            assert lease.fence != current, "the holder of a lease lost it"
            worker.lose(part)
            return False
        except Killed:
            worker.crash()
            return False
        assert lease.fence == current, "an old fence committed"
        self.until[part] = self.now + TTL
        if die == "after":
            worker.crash()
        return True


def empty(ledger):
    """Forget all that an example did."""
    with ledger.write() as tx:
        for table in reversed(schema.metadata.sorted_tables):
            if table.name != "meta":
                tx.run(f"DELETE FROM {table.name}")
        tx.run("UPDATE meta SET value='1' WHERE name='next_link'")


_templates: dict[str, Path] = {}


def template():
    """An empty ledger, made once: opening one costs more than an example."""
    if "path" not in _templates or not _templates["path"].exists():
        folder = Path(tempfile.mkdtemp(prefix="moatbridge-template-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        Ledger(f"sqlite:///{folder}/ledger.db").close()
        _templates["path"] = folder / "ledger.db"
    return _templates["path"]
