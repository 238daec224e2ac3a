"""How a slice ends when something goes wrong, and when to call again (scale 13-18).

A system that is away is no fault of the partition: it is asked again soon, however
long that lasts. What fails while the system is there is tried again ever later, and
after `TRIES` times without a commit it is *blocked*: the others go on, ``status`` says
so, and a person's next `plan` or `run` of the flow tries again. A list that moved while
it was read is no better from the place that was reached: reading begins anew.
"""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from moatbridge.errors import (
    ConfigurationError,
    CursorTooOld,
    GuardStopped,
    LeaseLost,
    NotApplied,
    Rejected,
)
from moatbridge.flow import inbox
from moatbridge.flow.control import begin_pass
from moatbridge.flow.opening import continues, only_follows
from moatbridge.ledger import audit, flows, partitions, scans
from moatbridge.ledger.store import ValueRefused

if TYPE_CHECKING:
    from moatbridge.errors import MoatbridgeError
    from moatbridge.flow.route import Route
    from moatbridge.ledger import Lease, Ledger, Transaction

Outcome = Literal["done", "more", "idle", "held", "stopped"]

LONGEST_WAIT: Final = 300.0
TRIES: Final = 20
"""Claims without a commit after which a partition is blocked."""

STUCK: Final = "runtime.stuck"
"""Error of a partition whose slice did not come back from a call."""

_FIRST_BACKOFF: Final = 5.0
_LONGEST_BACKOFF: Final = 600.0
_LONGEST_ASKED: Final = 3600.0
_STOPPED: Final = 60.0
_AWAY: Final = ("breaker.", "pool.", "quota.", "ledger.", "system.")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SliceResult:
    """What became of a slice, and when to call again.

    Args:
        outcome: ``done`` for ever; ``more`` work is left; ``idle`` for ``wait``
            seconds; ``held`` by somebody else; ``stopped`` by a person or the guard.
        wait: Seconds until the next call makes sense.
        error: What ended it, if something did; for faces in the same process only.
        worked: Something was committed.
        goes_on: The error ended a pass that had got on: the rest is read after ``wait``
            seconds, so that nobody needs to be told.
    """

    outcome: Outcome
    wait: float = 0.0
    error: MoatbridgeError | None = None
    worked: bool = False
    goes_on: bool = False


def failed(
    route: Route,
    ledger: Ledger,
    lease: Lease,
    error: MoatbridgeError,
    *,
    opening: bool,
    worked: bool,
) -> SliceResult:
    """Give the lease back after an error, as its kind asks.

    Args:
        route: The flow.
        ledger: Its ledger.
        lease: Ours, unless the error says otherwise.
        error: What ended the slice.
        opening: A connection was being made: the partition itself was not tried.
        worked: Something was committed.
    """
    if isinstance(error, LeaseLost):
        return SliceResult("held", lease.ttl, worked=worked)
    if _position_is_lost(route, lease, error):
        anew = _begin_anew if lease.kind == "scan" else _rescan
        return anew(route, ledger, lease, error)
    if isinstance(error, ConfigurationError | Rejected | GuardStopped):
        ledger.leases.release(lease, wait=_STOPPED, error=error.code)
        return SliceResult("stopped", _STOPPED, error, worked=worked)
    got_on = worked and lease.kind == "scan" and isinstance(error, NotApplied)
    if opening or is_away(error):
        return replace(_away(ledger, lease, error, worked=worked), goes_on=got_on)
    wait = put_off(route, ledger, lease, error.code)
    if wait is None:
        return SliceResult("stopped", _STOPPED, error, worked=worked)
    wait = min(wait, LONGEST_WAIT)
    return SliceResult("idle", wait, error, worked=worked, goes_on=got_on)


def put_off(route: Route, ledger: Ledger, lease: Lease, code: str) -> float | None:
    """Give the lease back after a failed try; seconds to wait, None if blocked.

    Args:
        route: The flow.
        ledger: Its ledger.
        lease: Ours.
        code: What went wrong.
    """
    tries = ledger.leases.tries(lease.flow_id, lease.part)
    if tries < TRIES:
        wait = backoff(tries)
        ledger.leases.release(lease, wait=wait, error=code)
        return wait
    with ledger.write() as tx:
        _block(tx, route, ledger, lease, code, tries)
    return None


def _block(
    tx: Transaction, route: Route, ledger: Ledger, lease: Lease, code: str, tries: int
) -> None:
    """Give a partition up until a person looks; never without a word about it."""
    if ledger.leases.give_back(tx, lease, error=code, state="blocked"):
        facts = {"flow": route.name, "part": lease.part, "error": code}
        audit.record(tx, "blocked", tries=tries, **facts)
    _log.error(
        "flow %s, partition %s: blocked after %d tries (%s); everything else goes on. "
        "See to it, then `moatbridge run %s --once` tries again.",
        route.name,
        lease.part,
        tries,
        code,
        route.name,
    )


def backoff(tries: int) -> float:
    """Seconds until the next try after so many: 5 s doubling to 10 min, with jitter."""
    wait = min(_LONGEST_BACKOFF, _FIRST_BACKOFF * 2.0 ** min(max(tries - 1, 0), 10))
    return wait * (75 + secrets.randbelow(26)) / 100


def is_impossible(lease: Lease, error: Exception) -> bool:
    """Whether the flow must stand still for a person: no try helps.

    Text that cannot be encoded, and what the ledger cannot hold, is met again each
    time. Where records are read, the one that holds it is found and left out.
    """
    if isinstance(error, UnicodeEncodeError | ValueRefused):
        return lease.kind not in {"scan", "live", "control"}
    return isinstance(error, AssertionError)


def bug(ledger: Ledger, lease: Lease, error: Exception) -> None:
    """An impossible state was met: the flow stands still until a person looked."""
    with ledger.write() as tx:
        flows.stop_on_bug(tx, lease.flow_id, str(error))
        ledger.leases.give_back(tx, lease, error="flow.bug", state="blocked")


def is_away(error: MoatbridgeError) -> bool:
    """Whether nothing could be tried: a system is away, or asks for time."""
    asks = isinstance(error, NotApplied) and error.retry_after is not None
    return asks or error.code.startswith(_AWAY) or error.code.endswith(".unreachable")


def _away(
    ledger: Ledger, lease: Lease, error: MoatbridgeError, *, worked: bool
) -> SliceResult:
    asked = error.retry_after if isinstance(error, NotApplied) else None
    wait = max(_FIRST_BACKOFF, min(asked or 0.0, _LONGEST_ASKED))
    with ledger.write() as tx:
        ledger.leases.give_back(tx, lease, wait=wait, error=error.code)
        partitions.not_tried(tx, lease)
    return SliceResult("idle", min(wait, LONGEST_WAIT), error, worked=worked)


def _position_is_lost(route: Route, lease: Lease, error: MoatbridgeError) -> bool:
    """Also if a list ended too early: its rest is not at the place that was reached."""
    if isinstance(error, CursorTooOld):
        return lease.kind in {"live", "scan"}
    cut = lease.kind == "scan" and error.code == "source.incomplete"
    return cut and not continues(route)


def _begin_anew(
    route: Route, ledger: Ledger, lease: Lease, error: MoatbridgeError
) -> SliceResult:
    """Read the partition from its beginning; after `TRIES` times it is blocked.

    A person who waits for it is told from the second time on, or at once if it was no
    mere move.
    """
    spec, leases = lease.spec or {}, ledger.leases
    restarts = int(spec.get("restarts", 0)) + 1
    wait = 1.0 if restarts == 1 else backoff(restarts - 1)
    gone = not isinstance(error, CursorTooOld) or restarts > 1
    with ledger.write() as tx:
        if not leases.give_back(tx, lease, wait=wait, error=error.code):
            return SliceResult("held", lease.ttl)
        if not inbox.keeps_position(route):
            leases.forget(tx, lease)
        blocked = restarts >= TRIES
        leases.describe(tx, lease, {**spec, "restarts": 0 if blocked else restarts})
        if blocked:
            _block(tx, route, ledger, lease, error.code, restarts)
    if blocked:
        return SliceResult("stopped", _STOPPED, error, worked=True)
    wait = min(wait, LONGEST_WAIT)
    return SliceResult("idle", wait, error if gone else None, worked=True)


def _rescan(
    route: Route, ledger: Ledger, lease: Lease, error: MoatbridgeError
) -> SliceResult:
    """The tail's position is worth nothing any more: a pass begins, links are kept.

    One transaction: a tail that ends without the pass that begins it anew would be
    followed by nobody.
    """
    leases = ledger.leases
    with ledger.write() as tx:
        if not leases.give_back(tx, lease, error=error.code, state="done"):
            return SliceResult("held", lease.ttl)
        if only_follows(route):
            # Whoever tells it is another one: a person agrees once more.
            scans.position_lost(tx, lease.flow_id)
        if not inbox.keeps_position(route):
            leases.forget(tx, lease)
        begin_pass(tx, ledger, route, auto=True, actor="rescan")
    return SliceResult("done", worked=True)
