"""A ledger that was restored from a backup: what it wrote since then is not in it.

Keys that it makes from now on must not be those it made before, for other content: a
target that remembers them would swallow the change. So the epoch, which is part of
every key that is made of the ledger's own numbers, grows by one. Fences jump, since
targets that remember the highest fence they saw would refuse us otherwise. Whoever
restores the same backup twice does not come to the same epoch twice, as far as the note
beside the ledger tells (`anchor`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moatbridge.errors import ConfigurationError
from moatbridge.ledger import workers
from moatbridge.ledger.audit import record

if TYPE_CHECKING:
    from moatbridge.ledger.database import Transaction

LEAP: Final = 1_000_000
"""More claims than any backup can be behind."""


def restored(tx: Transaction, *, actor: str, last: int = 0) -> int:
    """Begin a new epoch; returns its number.

    Args:
        tx: Open transaction.
        actor: Who says that it was restored.
        last: The newest epoch there ever was, as far as anybody knows.

    Raises:
        ConfigurationError: ``ledger.in-use``: somebody holds a lease, or is a worker
            between two of them, and would go on with the old epoch.
    """
    _refuse_if_used(tx)
    before = int(tx.value("SELECT value FROM meta WHERE name='epoch'"))
    epoch = max(before, last) + 1
    tx.run("UPDATE meta SET value=? WHERE name='epoch'", str(epoch))
    tx.run(
        "UPDATE partition SET fence=fence+?, owner=NULL, lease_until=NULL",
        LEAP * (epoch - before),
    )
    record(tx, "ledger-restored", actor=actor, epoch=epoch)
    return epoch


def _refuse_if_used(tx: Transaction) -> None:
    now, boot = tx.lease_clock()
    owner = tx.value(
        "SELECT owner FROM partition WHERE owner IS NOT NULL AND lease_until>=? "
        "AND boot=? LIMIT 1",
        now,
        boot,
    )
    if owner is not None:
        raise ConfigurationError(
            f"{owner} works with this ledger. Stop every worker, wait until its leases "
            "are over (`moatbridge status` shows owners), and say it again.",
            code="ledger.in-use",
        )
    owner = workers.alive(tx)
    if owner is not None:
        raise ConfigurationError(
            f"The worker {owner} works with this ledger, or did {workers.ALIVE:.0f} "
            "seconds ago or less. Stop every worker; one that was killed is forgotten "
            "after that time, and so is one that the backup knows. Then say it again.",
            code="ledger.in-use",
        )
