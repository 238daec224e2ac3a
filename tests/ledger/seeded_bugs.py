"""Bugs that the stateful test must find: each is patched in while one run lasts.

Bugs of the ledger's SQL are seeded by rewriting its statements on their way to the
database, so that they keep meaning something when the code around them moves. A bug
whose statement is nowhere to be found is an error, not a success.
"""

from __future__ import annotations

import contextlib
import itertools
from contextlib import contextmanager
from dataclasses import replace
from unittest import mock

from ledger import still_delivery, still_ground, still_reading
from moatbridge.ledger import admission, scans, transactions
from moatbridge.ledger.leases import Leases
from moatbridge.ledger.states import State

_SKEW = 600_000  # ten minutes, in milliseconds


@contextmanager
def rewritten(marker, old, new):
    """Statements that contain ``marker``, with ``old`` replaced."""
    changed = []

    def change(sql):
        if marker in sql and old in sql:
            changed.append(sql)
            return sql.replace(old, new)
        return sql

    def patched(method):
        return lambda tx, sql, *params: method(tx, change(sql), *params)

    with contextlib.ExitStack() as stack:
        for kind in (transactions.SqliteTransaction, transactions.PostgresTransaction):
            for name in ("all", "one", "run", "many"):
                if name in vars(kind):
                    method = patched(vars(kind)[name])
                    stack.enter_context(mock.patch.object(kind, name, method))
        yield
    assert changed, f"no statement holds {marker!r} and {old!r}: seed this bug anew"


@contextmanager
def leases_by_the_workers_clock():
    """The second worker's clock is ten minutes ahead."""
    ahead = [0]
    clock = transactions.Transaction.lease_clock

    def lease_clock(tx):
        ms, boot = clock(tx)
        return ms + ahead[0], boot

    def acting(_self, worker):
        ahead[0] = _SKEW if worker.name == "b" else 0

    with (
        mock.patch.object(transactions.Transaction, "lease_clock", lease_clock),
        mock.patch.object(still_ground.StillGround, "acting", acting),
    ):
        yield


@contextmanager
def renewal_of_a_lost_lease():
    def renew(self, leases):
        with self._db.write() as tx:
            now, _boot = tx.lease_clock()
            for lease in leases:
                tx.run(
                    "UPDATE partition SET lease_until=? WHERE flow_id=? AND part=?",
                    now + int(lease.ttl * 1000), lease.flow_id, lease.part,
                )  # fmt: skip
        return []

    with mock.patch.object(Leases, "renew", renew):
        yield


@contextmanager
def cursor_before_bits():
    """Seen bits are written with the commit after the one that moved the cursor."""
    late, save = [], scans.Bits.save

    def saved_later(self, tx):
        if late:
            save(late.pop(), tx)
        late.append(self)

    with mock.patch.object(scans.Bits, "save", saved_later):
        yield


def a_key_for_each_attempt():
    thaw, attempts = still_delivery.thaw, itertools.count()

    def fresh(item):
        request = thaw(item)
        return replace(request, key=f"{request.key}/{next(attempts)}")

    return mock.patch.object(still_delivery, "thaw", fresh)


def _flag(kind, name):
    return mock.patch.object(kind, name, new=True)


BUGS = {
    "the fence is not raised at a claim": lambda: rewritten("owner=?", "fence=fence+1", "fence=fence"),
    "a commit does not compare the fence": lambda: rewritten("seq=seq+1", "fence=?", "?>=0"),
    "done before the call": lambda: _flag(still_delivery.StillDelivery, "mark_first"),
    "the cursor before the seen bits": cursor_before_bits,
    "the cursor before what it passed": lambda: _flag(still_reading.StillReading, "stage_later"),
    "leases by the worker's clock": leases_by_the_workers_clock,
    "a release does not compare the fence": lambda: rewritten("owner=NULL", "fence=?", "?>=0"),
    "a lost lease can be renewed": renewal_of_a_lost_lease,
    "newer sent over unknown": lambda: mock.patch.object(admission, "_busy", return_value={}),
    "the life of a request is not waited for": lambda: rewritten("quiet_until", "quiet_until>?", "quiet_until>?+1e12"),
    "what the dead sent is not waited for": lambda: rewritten("SELECT link_id FROM intent", "quiet_until=?", "quiet_until=?-1e12"),
    "looked up while a request may linger": lambda: mock.patch.object(still_delivery, "LIFE", -1e9),
    "admission does not compare the mark": lambda: mock.patch.object(admission, "_moved", return_value=None),
    "unknown counts as not applied": lambda: mock.patch.dict(still_delivery.STATES, {"unknown": State.RETRY}),
    "each attempt has a key of its own": a_key_for_each_attempt,
}  # fmt: skip
"""Name -> context in which the bug is there."""

QUICK = (
    "the fence is not raised at a claim",
    "a commit does not compare the fence",
    "done before the call",
    "the cursor before the seen bits",
    "a release does not compare the fence",
)
"""Those that every run of the suite looks for."""
