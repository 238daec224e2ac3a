"""The durable memory in one SQL database: what was seen, intended, sent and answered.

Knows no guard, translator or adapter; `moatbridge.flow` composes its functions into the
three transactions of delivery: A stage, B in flight, C result.

* `database`, `transactions`, `sqlite`, `sqlite_connections`, `postgresql`: one database
  behind one interface
* `tables`, `migrations`, `steps`, `clock`, `keys`, `frozen`: the ground
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
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from typing import Any, Self

    from moatbridge.adapter import Secret
    from moatbridge.config import LedgerConfig


class Ledger:
    """An open ledger; safe to share between threads, never across a fork.

    Args:
        url: ``sqlite:///PATH`` or ``postgresql+psycopg://USER@HOST/DATABASE``.
        durability: ``full`` or ``normal``.
        scope: Tenant.
        password: Where PostgreSQL's password is.
        keys: Keys that content is encrypted with; see `Database`.
        older: An old copy may be opened; see `Database`.
    """

    def __init__(
        self,
        url: str,
        *,
        durability: str = "full",
        scope: str = "default",
        password: Secret | None = None,
        keys: Sequence[Secret] = (),
        older: bool = False,
    ) -> None:
        self.db: Database = Database(
            url, durability=durability, password=password, keys=keys, older=older
        )
        self.scope = scope
        self.leases: Leases = Leases(self.db)
        with self.db.read() as tx:
            facts = dict(tuple(row) for row in tx.all("SELECT name, value FROM meta"))
        self.ledger_id: str = facts["ledger_id"]

    @classmethod
    def configured(
        cls, config: LedgerConfig, *, scope: str = "default", older: bool = False
    ) -> Self:
        """The ledger that ``[ledger]`` names; errors as for `Database`."""
        return cls(
            config.url,
            durability=config.durability,
            scope=scope,
            password=config.password,
            keys=config.key_file,
            older=older,
        )

    def read(self) -> AbstractContextManager[Transaction]:
        """A short read-only transaction over one snapshot."""
        return self.db.read()

    def write(
        self,
        *,
        alone: bool = True,
        settled: Callable[[Transaction], bool] | None = None,
    ) -> AbstractContextManager[Transaction]:
        """A writing transaction outside any slice; see `Database.write`."""
        return self.db.write(alone=alone, settled=settled)

    def now(self) -> float:
        """The ledger's wall time, POSIX seconds; inside a transaction ask that."""
        return self.db.now()

    def step(self, lease: Lease, **cursor: Any) -> AbstractContextManager[Transaction]:
        """A slice's transaction; see `Leases.step`."""
        return self.leases.step(lease, **cursor)

    def seed(self, flow: str, server: str) -> KeySeed:
        """The common part of a flow's idempotency keys."""
        return KeySeed(self.scope, flow, server, self.ledger_id)

    def close(self) -> None:
        """Close every connection. Idempotent."""
        self.db.close()


__all__ = ["Database", "KeySeed", "Lease", "Leases", "Ledger", "Transaction"]
