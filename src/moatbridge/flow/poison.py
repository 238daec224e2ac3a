"""A record with which nothing can be done must not stop the others (scale 18).

Theory of operation. A partition that failed `TRIES` times at one position reads on with
suspicion: before a batch is taken, everything that taking it means is tried in pieces,
and nothing of that is kept. What fails alone, twice, while others of its batch do not,
is *poison*: it is rejected with the reason, ``review`` shows it, and the rest flows. It
is tried again whenever it is read again: at once and alone, since its reject is known,
so that nobody waits for it a second time.

A failure that is no record's fault rejects nothing: a system that is away, a lost
lease, a setting, an impossible state, or a batch of which every record fails. Nor does
one that may pass: `NotApplied` says that the same call may be repeated, so it proves
nothing against a record, however often it is met; a live feed would not tell again what
was rejected for it. Then the partition fails as ever, and is blocked after 20 tries.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from moatbridge.errors import (
    ConfigurationError,
    CursorTooOld,
    GuardStopped,
    LeaseLost,
    MoatbridgeError,
    NotApplied,
    OutcomeUnknown,
    Rejected,
)
from moatbridge.flow.ending import is_away
from moatbridge.flow.observation import ref_json
from moatbridge.flow.pieces import FEW, MOST, in_pieces
from moatbridge.ledger.keys import kept_hash, key_hash
from moatbridge.ledger.poison import POISON
from moatbridge.ledger.store import ValueRefused
from moatbridge.resilience import heart
from moatbridge.resilience.answers import BUG

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moatbridge.changes import Change, Ref
    from moatbridge.flow.observation import Dead
    from moatbridge.ledger.poison import Known

T = TypeVar("T")

TRIES: Final = 5
"""Failed tries at one position after which a single record is looked for."""

_NOBODYS: Final = (ConfigurationError, CursorTooOld, GuardStopped, LeaseLost)
_MAY_PASS: Final = (NotApplied, OutcomeUnknown)
_MACHINES: Final = (AssertionError, MemoryError, OSError)
_OF_DATA: Final = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What working on a record raises; what a network did to a driver is none of these."""

_log = logging.getLogger(__name__)


class Poison(NamedTuple):
    """One record that fails alone.

    Args:
        k: Its key hash; one of its own kind if it has no key that can be kept.
        named: Whether it has such a key.
        dead: Its reject.
    """

    k: bytes
    named: bool
    dead: Dead


class Sieve:
    """Finds what fails alone; used by one slice at a time.

    Args:
        known: How the partition fared, and what failed alone before.
        opening: Whether a connection is being made: then nothing was tried yet.
        part: Where, for the log.
    """

    def __init__(
        self, known: Known, *, opening: Callable[[], bool], part: str = ""
    ) -> None:
        self._suspects = known.keys
        self._weary = known.tries > TRIES
        self._apart = self._weary
        self._opening = opening
        self._part = part
        self._met: Exception | None = None

    def wants(self, changes: Sequence[Change]) -> bool:
        """Whether a batch is to be tried before it is taken."""
        if self._weary:
            return bool(changes)
        return bool(self._suspects) and any(map(self._suspected, changes))

    def of_changes(
        self, changes: Sequence[Change], probe: Callable[[Sequence[Change]], object]
    ) -> tuple[list[Change], list[Poison]]:
        """Part the changes of a batch into what can be taken, and poison.

        Args:
            changes: All of one batch; those of one record stay together.
            probe: Does everything that taking changes means, and keeps nothing of it.

        Raises:
            Exception: What a probe raised, if no single record is to blame.
        """
        units: dict[object, list[Change]] = {}
        for change in changes:
            units.setdefault(_identity(change), []).append(change)
        found = self.sift(
            list(units.values()),
            lambda some: probe([each for unit in some for each in unit]),
            lambda unit: self._suspected(unit[0]),
        )
        poison = [self._rejected(unit[-1].ref, error) for unit, error in found]
        bad = {id(change) for unit, _error in found for change in unit}
        return [change for change in changes if id(change) not in bad], poison

    def knows(self, ref: Ref) -> bool:
        """Whether this record failed alone before, and is rejected."""
        return kept_hash(ref.key) in self._suspects

    def blames_one(self, error: Exception) -> bool:
        """Whether one record that fails in slice after slice may be why.

        Also by what is safe to retry, unless it says that nothing could be tried.
        """
        retries = isinstance(error, NotApplied) and not is_away(error)
        return not self._opening() and (retries or _blames_a_record(error))

    def left_out(self, ref: Ref, error: Exception) -> Dead:
        """The reject of a record that failed so, and a word about it in the log."""
        return self._rejected(ref, error).dead

    def sift(
        self,
        units: Sequence[T],
        probe: Callable[[Sequence[T]], object],
        suspect: Callable[[T], bool],
    ) -> list[tuple[T, Exception]]:
        """Which of these fail alone, and with what.

        Raises:
            Exception: What a probe raised, if no single one is to blame.
        """
        rest = [unit for unit in units if not suspect(unit)]
        found = self._search(rest, probe)
        for unit in (unit for unit in units if suspect(unit)):
            if (error := self._fails([unit], probe)) is not None:
                found.append((unit, error))
        return found

    def _search(
        self, units: Sequence[T], probe: Callable[[Sequence[T]], object]
    ) -> list[tuple[T, Exception]]:
        if self._apart and len(units) > 1:
            self._apart = False  # the batch at which it failed; others come as a whole
            first = None
        elif (first := self._fails(units, probe)) is None:
            return []
        elif not self._weary:
            raise first
        found = self._twice(units, probe)
        if found and len(found) == len(units) and not all(map(_certain, found)):
            raise first or found[0][1]
        if len(found) == len(units) > FEW:
            raise first or found[0][1]
        return found

    def _twice(
        self, units: Sequence[T], probe: Callable[[Sequence[T]], object]
    ) -> list[tuple[T, Exception]]:
        """What fails alone, and again; nothing if anything else fails meanwhile.

        The batch is taken then as it would be without a search: one try of the whole is
        likelier to succeed where a system fails now and then than all of the search.
        """
        try:
            return [
                (unit, error)
                for unit in self._alone(units, probe)
                if (error := self._fails([unit], probe)) is not None
            ]
        except _MAY_PASS as error:
            if self._opening() or is_away(error) or _blames_a_record(error):
                raise
            return []

    def _alone(
        self, units: Sequence[T], probe: Callable[[Sequence[T]], object]
    ) -> list[T]:
        """What fails alone, looked for in pieces."""
        bad: list[T] = []
        for piece in in_pieces(units):
            error = self._fails(piece, probe)
            if error is None:
                continue
            ones = piece if len(piece) > 1 else []
            bad += [one for one in ones if self._fails([one], probe) is not None]
            bad += piece if len(piece) == 1 else []
            if len(bad) > MOST:
                raise error
        return bad

    def _fails(
        self, units: Sequence[T], probe: Callable[[Sequence[T]], object]
    ) -> Exception | None:
        """What these raise together; an error that is no record's fault goes on."""
        if not units:
            return None
        try:
            probe(units)
        except Exception as error:
            if self._met is not None and _is_left_alone(error):
                why = self._met  # the system is left alone because of it
                raise why from why.__cause__
            if self._opening() or not _blames_a_record(error):
                raise
            self._met = error
            return error
        finally:
            heart.beat()
        return None

    def _suspected(self, change: Change) -> bool:
        identity = _identity(change)
        return isinstance(identity, str) and kept_hash(identity) in self._suspects

    def _rejected(self, ref: Ref, error: Exception) -> Poison:
        code = getattr(error, "code", None) or type(error).__name__
        try:
            key = ref.key
            k, text = kept_hash(key), ref_json(ref)
        except Exception:  # noqa: BLE001 - whatever it is, it is no key
            key, k, text = repr(ref.id), None, None
        named = k is not None
        k = k or key_hash(f"unusable/{key!a}")
        if k not in self._suspects:
            _log.warning(
                "partition %s: one record fails whatever is tried (%s); it is left "
                "out, everything else goes on. `moatbridge review` lists it.",
                self._part,
                code,
            )
        return Poison(k, named, (k, text if named else None, code, POISON, None))


def _identity(change: Change) -> object:
    """What changes of one record share."""
    try:
        return change.ref.key
    except Exception:  # noqa: BLE001 - an adapter's bug: it has no key
        return id(change)


def _blames_a_record(error: Exception) -> bool:
    """Whether it may be a record's fault; what may pass is one only if it is a bug."""
    if isinstance(error, _MAY_PASS):
        return error.code == BUG and isinstance(error.__cause__, _OF_DATA)
    if isinstance(error, MoatbridgeError):
        return not isinstance(error, _NOBODYS) and not is_away(error)
    return isinstance(error, ValueRefused) or not isinstance(error, _MACHINES)


def _is_left_alone(error: Exception) -> bool:
    return isinstance(error, NotApplied) and error.code == "breaker.open"


def _certain(found: tuple[object, Exception]) -> bool:
    """Whether it would be refused again, whoever else is there to compare it with."""
    error = found[1]
    if isinstance(error, MoatbridgeError):
        return isinstance(error, Rejected) and error.kind != "rights"
    return True
