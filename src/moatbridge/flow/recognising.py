"""Which records a batch tells of: their keys, and fingerprints of what they say.

Two ways lead to the same. The quick one takes a batch as a whole: it checks all texts
at once and hashes in one loop. Whatever is unusual about any record of it, and whatever
it raises, sends the batch the careful way, which looks at each record alone and knows
what becomes of those that cannot be taken. So nothing is decided by the quick one.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from moatbridge.flow.observation import ref_json
from moatbridge.ledger.keys import batch_hasher, kept_hash, key_hash, storable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moatbridge.changes import Change
    from moatbridge.flow.observation import Dead, Observation
    from moatbridge.flow.route import Route


class Recognised(NamedTuple):
    """Records of a batch, by position; no two of one key."""

    changes: Sequence[Change]
    keys: Sequence[str]
    ks: Sequence[bytes]
    fps: Sequence[bytes]


class Recogniser:
    """Recognises the records of one flow's source.

    Args:
        route: The flow.
        link_of: The link of a source record, by its key hash: none or one.
    """

    def __init__(self, route: Route, link_of: Callable[[bytes], list[int]]) -> None:
        self._link_of = link_of
        self._project = route.source.bound.project
        self._fingerprint = route.fingerprint
        self._hashed = batch_hasher(route.source.bound.version)

    def take(self, changes: Sequence[Change], result: Observation) -> Recognised:
        """Keys and fingerprints; what has none that can be becomes a reject.

        Of several records with one key the first counts, the others are rejected.
        """
        found = self.quickly(changes) or self.carefully(changes, result)
        result.seen = len(found.ks)
        return found

    def quickly(self, changes: Sequence[Change]) -> Recognised | None:
        """A batch in which nothing is unusual; None: it must be looked at closely."""
        try:
            refs = [change.ref for change in changes]
            keys = [ref.key for ref in refs]
            names = [ref.name for ref in refs]
            datas = [change.data for change in changes]
            if not _all_storable(keys, names, [change.version for change in changes]):
                return None
            values = [self._project(data) for data in datas if data is not None]
            ks, fps = self._hashed(keys, names, values)
        except Exception:  # noqa: BLE001 - the careful way meets it again, and tells
            return None
        return Recognised(changes, keys, ks, fps) if _differ(ks) else None

    def carefully(self, changes: Sequence[Change], result: Observation) -> Recognised:
        """Each record by itself."""
        seen: dict[bytes, tuple[Change, str, bytes]] = {}
        for change in changes:
            known = self._one(change, result)
            if known is None:
                continue
            k, key, fp = known
            if k in seen:
                result.rejects.append(duplicate_key(change, key))
            else:
                seen[k] = (change, key, fp)
        every = seen.values()
        return Recognised(
            [change for change, _key, _fp in every],
            [key for _change, key, _fp in every],
            list(seen),
            [fp for _change, _key, fp in every],
        )

    def _one(
        self, change: Change, result: Observation
    ) -> tuple[bytes, str, bytes] | None:
        """Key hash, key and fingerprint; a reject if it has none that can be."""
        key = change.ref.key
        k = kept_hash(key)
        if change.data is None or k is None:
            k = key_hash(f"unusable/{key!a}")
            result.rejects.append((k, None, "source", "record.key", None))
            result.blind += 1
            return None
        try:
            _check_texts(change)
            values = self._project(change.data)
            fp = self._fingerprint(key, change.ref.name, values)
        except (TypeError, ValueError, KeyError) as error:
            why = type(error).__name__
            result.rejects.append((k, ref_json(change.ref), why, "record.shape", None))
            result.links += self._link_of(k)
            return None
        return k, key, fp


def duplicate_key(change: Change, key: str) -> Dead:
    """The reject of a record whose key another one of the same pass has."""
    k = key_hash(f"duplicate/{key}")
    return k, ref_json(change.ref), "source", "duplicate-key", None


def _differ(ks: Sequence[bytes]) -> bool:
    return len(set(ks)) == len(ks)


def _all_storable(*columns: Sequence[str | None]) -> bool:
    """Whether a database can hold all these texts, as `storable` says of one.

    Raises:
        Exception: One is no text.
    """
    return storable("".join(filter(None, chain.from_iterable(columns))))


def _check_texts(change: Change) -> None:
    """A database must be able to hold what is kept beside the data."""
    name, version = change.ref.name, change.version
    if name is None and version is None:
        return
    if not (storable(name or "") and storable(version or "")):
        raise ValueError
