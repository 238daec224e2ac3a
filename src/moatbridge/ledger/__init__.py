"""The durable memory in one SQL database: what was seen, intended, sent and answered.

Knows no guard, translator or adapter; `moatbridge.flow` composes its functions into the
three transactions of delivery: A stage, B in flight, C result.

* `database`, `schema`, `clock`, `keys`, `frozen`: the ground
* `leases`: who may work on what (fencing)
* `flows`, `marks`, `scans`: what is known of records, and what a pass saw
* `runs`, `parcels`, `admission`, `settlement`, `states`: the life of an intent
* `review`, `killswitch`, `counts`, `audit`: people, limits and the record of it
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moatbridge.ledger.database import Database, Transaction
from moatbridge.ledger.leases import Lease, Leases
from moatbridge.ledger.staging import KeySeed

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from typing import Any


class Ledger:
    """An open ledger; safe to share between threads, never across a fork.

    Args:
        url: ``sqlite:///PATH``.
        durability: ``full`` or ``normal``.
        scope: Tenant.
    """

    def __init__(
        self, url: str, *, durability: str = "full", scope: str = "default"
    ) -> None:
        self.db: Database = Database(url, durability=durability)
        self.scope = scope
        self.leases: Leases = Leases(self.db)
        with self.db.read() as tx:
            facts = dict(tuple(row) for row in tx.all("SELECT name, value FROM meta"))
        self.ledger_id: str = facts["ledger_id"]
        self.epoch: str = facts["epoch"]

    def read(self) -> AbstractContextManager[Transaction]:
        """A short read-only transaction."""
        return self.db.read()

    def write(self) -> AbstractContextManager[Transaction]:
        """A writing transaction outside any slice (faces, tests)."""
        return self.db.write()

    def step(self, lease: Lease, **cursor: Any) -> AbstractContextManager[Transaction]:
        """A slice's transaction; see `Leases.step`."""
        return self.leases.step(lease, **cursor)

    def seed(self, flow: str, server: str) -> KeySeed:
        """The common part of a flow's idempotency keys."""
        return KeySeed(self.scope, flow, server, self.ledger_id, self.epoch)

    def close(self) -> None:
        """Close every connection. Idempotent."""
        self.db.close()


__all__ = ["Database", "KeySeed", "Lease", "Leases", "Ledger", "Transaction"]
