"""The second look: whatever seemed to differ is read again, both ends, by its id.

The two streams were read one after the other while people and the flow itself went on
working, so a difference is only believed when both ends still show it, nothing of that
record is on its way, and the ledger did not move while we looked.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from moatbridge.changes import Absent, OutOfScope, Record, Ref
from moatbridge.errors import TranslationError
from moatbridge.flow.reconcile.comparing import NOTHING, numbers
from moatbridge.flow.reconcile.expecting import Source
from moatbridge.flow.reconcile.here import looks_here
from moatbridge.flow.reconcile.report import Divergence, Normalised
from moatbridge.flow.reconcile.undone import stays_back
from moatbridge.flow.reconcile.work import called
from moatbridge.ledger import marks, reconciling
from moatbridge.ledger.keys import key_hash
from moatbridge.ledger.states import LinkState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moatbridge.changes import Fetched
    from moatbridge.flow.reconcile.comparing import Difference
    from moatbridge.flow.reconcile.work import Work
    from moatbridge.ledger.marks import Link, Mark
    from moatbridge.ledger.reconciling import TakenBack
    from moatbridge.ledger.scans import Bits
    from moatbridge.ledger.scratch import Extra, Suspect

SHARE: Final = 0.9
"""Above this share of the compared records a path is normalised by the target."""

FEWEST: Final = 20
FEWEST_ALIKE: Final = 5
"""Compared records from which that share means something; fewer do if all that differs
is spelling."""

ELSEWHERE: Final = "it is there, but no longer in the stream that the flow writes"
AGAIN: Final = "disabled, and somebody enabled it again"
RETRACTED: Final = "retracted"
PARTLY: Final = "a retract took other fields of it back; these stay so"
REPLACED: Final = "another record there says that it is this one"


@dataclass(slots=True)
class _Looked:
    suspect: Suspect
    link: Link
    busy: str = ""
    mark: Mark | None = None
    undone: TakenBack | None = None
    there: Fetched | None = None
    here: Fetched | None = None
    found: Difference = NOTHING
    who: str = ""
    behind: bool = False


class SecondLook:
    """Looks at suspects again, and says what really diverges.

    Args:
        work: The reconciliation.
        touched: Links to which something was sent since it began.
    """

    def __init__(self, work: Work, touched: Bits) -> None:
        self._work = work
        self._route = work.route
        self._touched = touched
        self._side = work.route.row.side
        self._sees_there = work.fetches(work.route.target)
        self._sees_here = work.fetches(work.route.source)

    # --- what the target normalises -------------------------------------------------

    def normalised(self) -> tuple[list[Normalised], int, int]:
        """Paths that the target writes in its own way.

        Returns:
            The paths, the bits of those that differ in spelling only, and the bits of
            those that differ anyhow.
        """
        work, tally = self._work, self._work.tally
        found: list[Normalised] = []
        spelling = anyhow = 0
        for number, path in enumerate(work.comparer.paths):
            compared, alike, differs = tally.of_path(number)
            if compared >= FEWEST_ALIKE and alike > SHARE * compared:
                found.append(Normalised(path, alike, compared, spelling=True))
                spelling |= 1 << number
            elif compared >= FEWEST and alike + differs > SHARE * compared:
                found.append(
                    Normalised(path, alike + differs, compared, spelling=False)
                )
                anyhow |= 1 << number
        lossy = self._lossy(spelling | anyhow)
        kept = [
            one for one in found
            if not lossy >> work.comparer.paths.index(one.path) & 1
        ]  # fmt: skip
        return kept, spelling & ~lossy, anyhow & ~lossy

    def _lossy(self, bits: int) -> int:
        """Of these paths, those that our own translator cannot send any better."""
        if not bits or not (self._sees_here and self._sees_there):
            return 0
        page: list[Suspect] = next(iter(self._work.scratch.suspects()), [])
        some = [s for s in page if s.kind == "changed" and (s.alike | s.differs) & bits]
        looked = [one for one in self.look(some) if isinstance(one.there, Record)]
        lossy = 0
        for number in numbers(bits):
            bit = 1 << number
            had = [o for o in looked if (o.suspect.alike | o.suspect.differs) & bit]
            still = sum(bool(o.found.any & bit) for o in had)
            if had and still < SHARE * len(had):
                lossy |= bit
        return lossy

    # --- one page -------------------------------------------------------------------

    def look(self, suspects: Sequence[Suspect]) -> list[_Looked]:
        """Read both ends of these links again, and what the ledger says of them."""
        work, row = self._work, self._route.row
        ids = [one.link_id for one in suspects]
        looked, before = self._known(suspects, ids)
        target, source = self._route.target, self._route.source
        if self._sees_there:
            refs = [_ref(one.link, 1 - self._side) for one in looked]
            for one, answer in zip(looked, work.fetch(target, refs), strict=True):
                one.there = answer
        if self._sees_here:
            refs = [_ref(one.link, self._side) for one in looked]
            for one, answer in zip(looked, work.fetch(source, refs), strict=True):
                one.here = answer
        ks = [key_hash(one.link.key(self._side) or "") for one in looked]
        with work.ledger.read() as tx:
            busy = reconciling.busy(tx, ids)
            after = marks.lookup(tx, row.source_side, ks)
            links = marks.links(tx, ids)
            undone = reconciling.taken_back(tx, row.flow_id, ids)
        for one, k in zip(looked, ks, strict=True):
            one.mark = after.get(k)
            one.undone = undone.get(one.link.link_id)
            moved = one.mark != before.get(k) or links.get(one.link.link_id) != one.link
            one.busy = busy.get(one.link.link_id, "waiting" if moved else one.busy)
        self._compare(looked)
        return looked

    def _known(
        self, suspects: Sequence[Suspect], ids: Sequence[int]
    ) -> tuple[list[_Looked], dict[bytes, Mark]]:
        work, row = self._work, self._route.row
        with work.ledger.read() as tx:
            links = marks.links(tx, ids)
            busy = reconciling.busy(tx, ids)
            ks = [key_hash(link.key(self._side) or "") for link in links.values()]
            before = marks.lookup(tx, row.source_side, ks)
        looked = [
            _Looked(one, links[one.link_id], busy.get(one.link_id, ""))
            for one in suspects
            if one.link_id in links
        ]
        for one in looked:
            link_id = one.link.link_id
            blind = not (self._sees_there and self._sees_here)
            if work.moving.has(link_id) or (blind and self._touched.has(link_id)):
                one.busy = one.busy or "waiting"
        return looked, before

    def _compare(self, looked: Sequence[_Looked]) -> None:
        """Exactly what differs, where both ends were read again."""
        work = self._work
        asked = [
            one for one in looked
            if isinstance(one.here, Record) and one.suspect.kind != "enabled"
        ]  # fmt: skip
        expected = work.expecting.of([_source(one) for one in asked], exactly=True)
        for one, should in zip(asked, expected, strict=True):
            if should is None:
                one.busy = one.busy or "unreadable"
                continue
            assert isinstance(one.here, Record)  # noqa: S101 - chosen so
            one.who = called(should.whole, one.here.ref.name, one.here.ref.key)
            one.behind = one.mark is None or one.mark.fp != self._fp(one.here)
            if isinstance(one.there, Record):
                one.found = self._difference(should.entity, one.there)
        for one in looked:
            if not isinstance(one.here, Record) or not self._sees_there:
                one.found = NOTHING._replace(
                    alike=one.suspect.alike, differs=one.suspect.differs
                )
                one.behind = one.behind or one.suspect.behind

    def _fp(self, record: Record) -> bytes | None:
        try:
            values = self._route.source.bound.project(record.data)
        except (TypeError, ValueError, KeyError):
            return None
        return self._route.fingerprint(record.ref.key, record.ref.name, values)

    def _difference(self, entity: dict[str, object], there: Record) -> Difference:
        comparer, expecting = self._work.comparer, self._work.expecting
        try:
            shown = self._route.target.bound.decode(there.data, there.incomplete)
        except TranslationError:
            return NOTHING
        prints = comparer.prints(shown, whole=not there.incomplete)
        found = comparer.difference(comparer.prints(entity, whole=False), prints)
        if not found.any:
            return found
        # What the target's translator cannot express was never promised.
        again = comparer.difference(
            comparer.prints(expecting.stored(entity), whole=False), prints
        )
        return found._replace(
            alike=found.alike & again.any, differs=found.differs & again.any
        )

    # --- what it means --------------------------------------------------------------

    def judge(self, one: _Looked, spelling: int, anyhow: int) -> Divergence | None:
        """The divergence that a suspect is, if it is one; what it is else is counted.

        Args:
            one: Looked at.
            spelling: Paths of which only what is more than spelling counts.
            anyhow: Paths that do not count.
        """
        behind = self._work.tally.behind
        enabled = one.suspect.kind == "enabled"
        if one.busy:
            behind[one.busy] += 1
        elif isinstance(one.here, Absent | OutOfScope) and not enabled:
            behind["gone"] += 1
        elif isinstance(one.there, Absent | OutOfScope):
            return self._missing(one)
        elif enabled:
            return self._enabled(one)
        elif one.suspect.kind == "missing" and one.there is None:
            return self._missing(one)
        else:
            return self._changed(one, spelling, anyhow)
        return None

    def _missing(self, one: _Looked) -> Divergence | None:
        if one.link.state is not LinkState.LIVE:
            return None  # disabled, and gone since
        why = ELSEWHERE if isinstance(one.there, OutOfScope) else ""
        return Divergence("missing", self._who(one), why=why, link_id=one.link.link_id)

    def _enabled(self, one: _Looked) -> Divergence | None:
        if one.link.state is not LinkState.DISABLED:
            return None  # it came back, and the flow itself enabled it
        if isinstance(one.there, Record):
            try:
                data, part = one.there.data, one.there.incomplete
                shown = self._route.target.bound.decode(data, part)
            except TranslationError:
                return None
            if shown.get("active") is not True:
                return None
        if self._stays_back(one)("active"):
            self._work.tally.behind[RETRACTED] += 1
            return None
        return self._diverges(one, ("active",), AGAIN)

    def _changed(self, one: _Looked, spelling: int, anyhow: int) -> Divergence | None:
        bits = (one.found.alike & ~spelling | one.found.differs) & ~anyhow
        if not bits:
            return None
        if one.behind and looks_here(self._work):
            self._work.tally.behind["changed"] += 1
            return None
        stays = self._stays_back(one)
        names = self._work.comparer.names(bits)
        fields = tuple(path for path in names if not stays(path))
        if not fields:
            self._work.tally.behind[RETRACTED] += 1
            return None
        return self._diverges(one, fields, "" if fields == names else PARTLY)

    def _stays_back(self, one: _Looked) -> Callable[[str], bool]:
        return stays_back(self._route, one.undone, one.link, one.mark, one.there)

    def _diverges(
        self, one: _Looked, fields: tuple[str, ...], why: str = ""
    ) -> Divergence:
        key = one.link.key(1 - self._side) or ""
        return Divergence("changed", self._who(one), key, fields, why, one.link.link_id)

    def _who(self, one: _Looked) -> str:
        link = one.link
        return one.who or link.name(self._side) or link.key(self._side) or ""

    # --- records that nothing is linked to ------------------------------------------

    def extras(self) -> None:
        """Second records of one source record, our own, and everybody else's."""
        work = self._work
        taken: set[int] = set()
        for k, link_id, key, name, who in work.scratch.twice():
            del k
            work.found(_second(who or name or key, key, link_id))
        for page in work.scratch.extras():
            self._extra_page(page, taken)

    def _extra_page(self, page: Sequence[Extra], taken: set[int]) -> None:
        work, row = self._work, self._route.row
        ks = {key_hash(one.source): one for one in page if one.source}
        with work.ledger.read() as tx:
            linked = marks.lookup(tx, row.target_side, [one.k for one in page])
            found = marks.lookup(tx, row.source_side, list(ks))
            ids = [mark.link_id for mark in found.values()]
            links, busy = marks.links(tx, ids), reconciling.busy(tx, ids)
            stuck = reconciling.stuck(tx, row.flow_id, list(ks))
        planned = work.scratch.planned(list(ks))
        for one in page:
            if one.k in linked:
                continue  # linked since
            k = key_hash(one.source) if one.source else b""
            mark = found.get(k)
            if k in planned or (mark is not None and mark.link_id in busy):
                continue  # it may be the very record that is being created
            if one.source is None and not one.ours:
                work.tally.unmanaged += 1
            elif mark is None:
                self._unlinked(one, stuck.get(k, ""))
            else:
                self._claimed(one, links[mark.link_id], taken)

    def _unlinked(self, one: Extra, stuck: str) -> None:
        why = (
            "no record of the source is this one"
            if one.source is None
            else f"its source record is {stuck}: see `moatbridge review`"
            if stuck
            else "its source record is not linked yet: the next pass finds it"
        )
        self._work.found(Divergence("extra", one.who, one.key, why=why))

    def _claimed(self, one: Extra, link: Link, taken: set[int]) -> None:
        """A record that says it is one whose link names another, or none any more."""
        work = self._work
        named = link.key(1 - self._side)
        if named is not None and work.there.has(link.link_id):
            work.found(_second(one.who, one.key, link.link_id))
            return
        if link.link_id in taken:
            work.found(_second(one.who, one.key, link.link_id))
            return
        taken.add(link.link_id)
        claimant = json.dumps([one.key, one.name])
        work.scratch.claimed(link.link_id, claimant)
        why = f"{REPLACED}; the link names one that is gone"
        work.found(Divergence("extra", one.who, one.key, why=why, link_id=link.link_id))


def _second(who: str, key: str, link_id: int) -> Divergence:
    why = "a second record for one source record"
    return Divergence("duplicate", who, key, why=why, link_id=link_id)


def _ref(link: Link, side: int) -> Ref:
    return Ref.from_key(link.key(side) or "", link.name(side))


def _source(one: _Looked) -> Source:
    found = one.here
    assert isinstance(found, Record)  # noqa: S101 - chosen so
    return Source(
        found.ref.key, found.ref.name, found.data, found.incomplete, one.link.link_id
    )
