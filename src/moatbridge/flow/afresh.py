"""Records that are read and judged afresh, between the passes or while one applies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moatbridge.changes import Ref
from moatbridge.flow.observation import Observation

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from moatbridge.flow.observe import Observer
    from moatbridge.flow.poison import Sieve
    from moatbridge.ledger.marks import Link


def look_again(
    observer: Observer,
    sieve: Sieve,
    links: Iterable[Link],
    *,
    side: int,
    forced: set[int],
) -> Observation:
    """Look at the records of these links in the source, and judge what they say.

    What is gone is for the next pass, where its number is judged. What fails alone is
    rejected, so that it does not keep the flow from beginning that pass.

    Args:
        observer: Compares and translates.
        sieve: Finds what fails alone.
        links: Whose records.
        side: Side of the source.
        forced: Links that are staged even when nothing about them changed.

    Returns:
        What to write.
    """
    refs = {
        Ref.from_key(key, link.name(side)): link.link_id in forced
        for link in links
        if (key := link.key(side))
    }

    def looked(some: Sequence[Ref]) -> Observation:
        found = Observation()
        for force in (True, False):
            chosen = [ref for ref in some if refs[ref] is force]
            if not chosen:
                continue
            back = observer.fetched(chosen, found)
            seen = observer.observe(back, force=force)
            found.upserts += seen.upserts
            found.touched += seen.touched
            found.rejects += seen.rejects
        found.disables.clear()
        found.deletes.clear()
        return found

    good, poison = sieve.of_refs(list(refs), looked)
    found = looked(good)
    found.rejects += [one.dead for one in poison]
    return found
