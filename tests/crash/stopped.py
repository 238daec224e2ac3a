"""Workers that stand still: SIGSTOP past the end of their lease, and SIGCONT later.

Triggers in the ledger write down every fence in the order in which transactions
committed, so that a write under an old fence cannot hide.
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field

import psycopg

from crash import loop, world
from moatbridge.errors import MoatbridgeError, NotApplied

BATCH = 250
"""New records before each time that a worker is stopped."""
LATE = frozenset(
    ["plan.replaced", "plan.none", "plan.stale", "guard.approval", "flow.busy", "ledger.unavailable"]
)  # fmt: skip
"""What a worker may say that finds its work done by somebody else."""
LOG = {
    "sqlite": """
        CREATE TABLE fences(n INTEGER PRIMARY KEY, part TEXT, fence INTEGER, seq INTEGER);
        CREATE TRIGGER watch AFTER UPDATE ON partition BEGIN
          INSERT INTO fences(part, fence, seq) VALUES(new.part, new.fence, new.seq);
        END;""",
    "postgresql": """
        CREATE TABLE fences(n SERIAL PRIMARY KEY, part TEXT, fence BIGINT, seq BIGINT);
        CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          INSERT INTO fences(part, fence, seq) VALUES(new.part, new.fence, new.seq);
          RETURN new; END $$;
        CREATE TRIGGER watch AFTER UPDATE ON partition
          FOR EACH ROW EXECUTE FUNCTION watch();""",
}


@dataclass
class Report:
    stopped: int = 0
    inside: int = 0
    phases: Counter = field(default_factory=Counter)
    longest: float = 0.0

    def words(self, proof):
        return (
            f"{self.stopped} workers stopped and thawed (and {self.inside} inside a transaction, which nobody overtakes) over "
            f"{proof.records} records: lost={len(proof.lost)} doubled={len(proof.doubled)} wrong={len(proof.wrong)} "
            f"unfinished={proof.unfinished}; longest takeover {self.longest:.1f} s; after: {dict(self.phases.most_common())}"
        )  # fmt: skip


def work(argument):
    """One life; what somebody else did meanwhile is no failure, nor a call cut off."""
    try:
        world.work(argument, parcel=25, whole=False)
    except MoatbridgeError as error:
        if error.code not in LATE and not error.code.endswith(".deadline"):
            raise


def successor(argument):
    """The worker that takes over; it must come to its end.

    PostgreSQL ends what a frozen worker has begun only after a while: whoever wants the
    same row is told that it cannot be had now, and tries again, as any runner does.
    """
    ends = time.monotonic() + 120
    while True:
        try:
            world.work(argument, parcel=25)
        except NotApplied as error:
            if error.code != "ledger.unavailable" or time.monotonic() > ends:
                raise
        else:
            return


def watch(folder):
    kind = world.place_for(folder).kind
    with closing(world.look(folder)) as ledger:
        run = ledger.executescript if kind == "sqlite" else ledger.execute
        run(LOG[kind])


def fences(folder):
    """Per partition the (fence, seq) of every change, in the order of the commits."""
    with closing(world.look(folder)) as ledger:
        rows = ledger.execute("SELECT part, fence, seq FROM fences ORDER BY n")
        found = {}
        for part, fence, seq in rows.fetchall():
            found.setdefault(part, []).append((fence, seq))
    return found


def opened(work, board):
    return loop.KillLoop(
        f"crash.stopped:{work}", folder=board, path=[loop.TESTS], prepare="crash.world:warm"
    )  # fmt: skip


def run(folder, *, times, seed=1):
    """Stop workers at random moments, and let another one do their work meanwhile."""
    chance, report, high = random.Random(seed), Report(), 0
    frozen_board, other_board = folder / "frozen", folder / "other"
    frozen_board.mkdir()
    other_board.mkdir()
    with (
        opened("work", frozen_board) as frozen,
        opened("successor", other_board) as other,
    ):  # fmt: skip
        assert other.life(str(folder)).status == 0
        watch(folder)
        while report.stopped < times:
            world.mutate(folder, new=range(high + BATCH, high + 2 * BATCH), changed=range(high, high + 20), gone=())  # fmt: skip
            high += BATCH
            life = frozen.life(
                str(folder),
                after=chance.uniform(0.0005, 0.2),
                frozen=lambda: _take_over(folder, other, report),
            )
            assert life.status == 0, f"the thawed worker failed after {life.phase}"
            report.phases[life.phase] += 1
            world.expire_leases(folder)
            assert other.life(str(folder)).status == 0
    return report, world.prove(folder)


def _take_over(folder, other, report):
    """The frozen worker's lease ends, and another one does the rest."""
    since = time.monotonic()
    try:
        for file in sorted(folder.glob("*.db")):
            _nobody_holds(file)
        world.expire_leases(folder)
    except (sqlite3.OperationalError, psycopg.errors.LockNotAvailable):
        report.inside += 1  # it holds a whole file: everybody waits until it thaws
        return
    assert other.life(str(folder)).status == 0
    report.stopped += 1
    report.longest = max(report.longest, time.monotonic() - since)


def _nobody_holds(file):
    """The systems of this world are SQLite files too: a frozen writer locks one whole."""
    with closing(sqlite3.connect(file, timeout=0.2, isolation_level=None)) as one:
        one.execute("BEGIN IMMEDIATE")
        one.execute("ROLLBACK")
