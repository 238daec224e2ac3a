"""Staging (transaction A): planned intents, appended; nothing else is touched."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from moatbridge.ledger import texts
from moatbridge.ledger.holds import end_held, outdate_holds, said_again
from moatbridge.ledger.keys import idempotency_key, prefixed
from moatbridge.ledger.states import State
from moatbridge.ledger.waiting import LISTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from moatbridge.ledger.database import Transaction


@dataclass(slots=True)
class Staged:
    """One intent to stage.

    Args:
        k: Hash of the source record's key.
        ref: Source key and name.
        op: ``create``, ``update``, ``disable`` or ``delete``.
        link_id: Link of the record; None for a record never seen before.
        prev_fp: Mark that it was compared with (compare-and-set at admission).
        fp: Source fingerprint to set at admission.
        out_fp: Fingerprint of the entity to be sent.
        payload: JSON text of ``{"entity": ..., "adopt": ...}``.
        label: Confidentiality label.
        version: Source version, if it never repeats for the record.
        round: The link's round.
        lane: Delivery lane.
        hold: (reason, rule, detail) when a person must decide first.
        once: Text that stands for the effect as a whole: the key is made of it alone,
            so that the record can never have a second one, whatever it says later.
    """

    k: bytes
    ref: tuple[str, str | None]
    op: str
    link_id: int | None
    prev_fp: bytes | None
    fp: bytes | None
    out_fp: bytes | None
    payload: str
    label: str = ""
    version: str | None = None
    round: int = 0
    lane: int = 0
    hold: tuple[str, str, str] | None = None
    once: str | None = None


class KeySeed(NamedTuple):
    """What every idempotency key of a flow has in common (delivery 14)."""

    scope: str
    flow: str
    server: str
    ledger_id: str


class Stager:
    """Appends parcels of one run; one object per transaction."""

    def __init__(
        self,
        tx: Transaction,
        *,
        flow_id: int,
        run_id: int,
        seed: KeySeed,
        part: str,
        upto: int,
        size: int,
        waits: Callable[[str], float | None] = lambda _reason: None,
        once: bool = False,
    ) -> None:
        """Append to one run.

        Args:
            tx: Open transaction.
            flow_id: The flow.
            run_id: The run.
            seed: What all keys have in common.
            part: The partition that was read.
            upto: Number of the commit.
            size: Intents of a parcel, at most.
            waits: Reason of a hold -> seconds until it expires; None: it does not.
            once: Nobody tells it again in the next pass: what is told anew after it
                expired is asked anew.
        """
        self._tx, self._waits, self._once = tx, waits, once
        self._flow_id = flow_id
        self._run_id = run_id
        self._seed = seed
        self._part = part
        self._upto = upto
        self._size = size
        # Read here: a ledger that was restored while this process slept has a new one.
        self._epoch = str(tx.value("SELECT value FROM meta WHERE name='epoch'"))
        self._before_keys = prefixed(seed.scope, seed.flow, seed.server)

    def stage(self, items: Iterable[Staged], *, phase: int = 0) -> None:
        """Append the intents, lane by lane; held ones each in a parcel of its own."""
        lanes: dict[int, list[Staged]] = {}
        items = list(items)
        newer = {i.k: (i.op, i.out_fp) for i in items if i.hold is None}
        stays = said_again(self._tx, self._flow_id, newer)
        outdate_holds(self._tx, self._flow_id, list(newer.keys() - stays))
        for item in items:
            if item.hold is None:
                lanes.setdefault(item.lane, []).append(item)
            else:
                self._hold(item, phase)
        for lane, mine in lanes.items():
            for start in range(0, len(mine), self._size):
                part = mine[start : start + self._size]
                self._append(part, lane, phase, State.PLANNED)

    def _append(
        self, items: Sequence[Staged], lane: int, phase: int, state: State
    ) -> int:
        parcel_id = self._tx.insert(
            "INSERT INTO parcel(flow_id, run_id, lane, phase, part, upto, state, n) "
            "VALUES(?,?,?,?,?,?,?,?)",
            self._flow_id,
            self._run_id,
            lane,
            phase,
            self._part,
            self._upto,
            state,
            len(items),
        )
        self._tx.many(
            "INSERT INTO intent(parcel_id, pos, link_id, k, ref, op, key, prev_fp, fp, "
            "out_fp, payload, label) VALUES(?,?,?,?,?,?,?,?,?,?,?,?)",
            [
                (
                    parcel_id,
                    pos,
                    item.link_id,
                    item.k,
                    texts.dumps(item.ref),
                    item.op,
                    self._key(item, parcel_id, pos),
                    item.prev_fp,
                    item.fp,
                    item.out_fp,
                    item.payload,
                    item.label,
                )
                for pos, item in enumerate(items)
            ],
        )
        return parcel_id

    def _key(self, item: Staged, parcel_id: int, pos: int) -> str:
        seed = self._seed
        if item.once is not None:
            return idempotency_key(item.once, after=self._before_keys)
        version: tuple[str | int, ...]
        if item.version is None:
            return idempotency_key(
                pos,
                item.out_fp,
                item.round,
                after=self._before_keys
                + prefixed(item.ref[0])
                + _alike(item.op, seed.ledger_id, self._epoch, parcel_id),
            )
        if self._epoch == "0" or (item.op == "create" and not item.round):
            version = (item.version,)  # the same from a ledger that was made anew
        else:
            # A restored ledger counts rounds again that the target remembers, and
            # may have to say again what the target was told before. A first create
            # is the exception: a repeat must never make a second record.
            version = (item.version, self._epoch)
        return idempotency_key(
            item.ref[0],
            item.op,
            *version,
            item.out_fp,
            item.round,
            after=self._before_keys,
        )

    def _hold(self, item: Staged, phase: int) -> None:
        reason, rule, detail = item.hold or ("", "", "")
        known = self._tx.one(
            "SELECT h.hold_id, h.parcel_id, coalesce(i.out_fp, h.out_fp), h.decided, "
            "p.state, h.expires FROM hold h "
            "LEFT JOIN parcel p ON p.parcel_id=h.parcel_id "
            "LEFT JOIN intent i ON i.parcel_id=h.parcel_id AND i.k=h.k "
            "WHERE h.flow_id=? AND h.k=?",
            self._flow_id,
            item.k,
        )
        if known and known[2] == item.out_fp:
            if known[3] in {None, "refuse"}:
                return  # the same content waits already, or was refused already
            # A ledger of a former version may not know when it expired.
            listed = (known[5] or 0.0) > self._tx.now() - LISTED
            if known[3] == "expire" and listed and not self._once:
                return  # people still see that nobody decided, and may ask anew
            if known[3] == "approve" and known[4] == State.PLANNED:
                return  # it was agreed to, and leaves with the next parcels
        if known:
            self._tx.run("DELETE FROM hold WHERE hold_id=?", known[0])
            end_held(self._tx, known[1], State.SUPERSEDED)
        parcel_id = self._append([item], item.lane, phase, State.HELD)
        self._tx.run(
            "INSERT INTO hold(flow_id, parcel_id, k, out_fp, reason, rule, detail, "
            "created, expires) VALUES(?,?,?,?,?,?,?,?,?)",
            self._flow_id,
            parcel_id,
            item.k,
            item.out_fp,
            reason,
            rule,
            detail,
            self._tx.now(),
            None if (ttl := self._waits(reason)) is None else self._tx.now() + ttl,
        )


@lru_cache(maxsize=64)
def _alike(op: str, ledger_id: str, epoch: str, parcel_id: int) -> bytes:
    """What the keys of a parcel have in common behind the record's own key."""
    return prefixed(op, ledger_id, epoch, parcel_id)
