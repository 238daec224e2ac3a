"""What a decision rests on: who the person is, and what the post shows (design 0007).

A person decides about what they read. So a post must show its record as it is now, and
must have shown it when the reply was written. Whatever is asked is asked for a whole
batch: one read of the ledger, one fetch of the posts, one fetch of the records.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from moatbridge.changes import Record, Ref
from moatbridge.entities.moments import moment
from moatbridge.entities.plain import Fault
from moatbridge.errors import TranslationError
from moatbridge.flow.deciding import out_fingerprint
from moatbridge.flow.rendering import rendered
from moatbridge.ledger import marks, parcels, settlement
from moatbridge.ledger.keys import key_hash
from moatbridge.ledger.states import LinkState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from moatbridge.flow.bridge import Bridge
    from moatbridge.flow.route import Route
    from moatbridge.flow.writeback import Writeback
    from moatbridge.ledger.marks import Link, Mark
    from moatbridge.resilience.session import Session
    from moatbridge.translate import BoundTranslator

_UPDATED: Final = "updated"
_UNREADABLE: Final = "?"
"""No moment at all, so nobody can tell: see `_since`."""


class Asked(NamedTuple):
    """One decision to look at.

    Args:
        post: Link of the record whose post it answers.
        published: When the reply was written, as the platform says; None: unknown.
    """

    post: int
    published: str | None


class Shown(NamedTuple):
    """Whether a decision's post shows what its record is.

    Args:
        changed: It does not, or did not when the reply was written.
        version: Version of the record that the post shows, where the source gives one.
    """

    changed: bool
    version: str | None = None


@dataclass(frozen=True, slots=True)
class _Posted:
    """A post that nothing is about to change, as far as the ledger knows."""

    link: Link
    out_fp: bytes


class Grounds:
    """Looks at what decisions of one flow rest on. Used by one slice at a time.

    Args:
        bridge: The bridge.
        route: A flow with a `Writeback`; for any other flow nothing may be asked.
        borrow: Gives an open session: (use, system).
    """

    def __init__(
        self, bridge: Bridge, route: Route, borrow: Callable[[str, str], Session]
    ) -> None:
        self._bridge = bridge
        self._route = route
        self._borrow = borrow

    def directory(self) -> Session:
        """A session of the system that knows who is who."""
        return self._session("people", self._writeback.config.people)

    def shown(self, asked: Sequence[Asked]) -> list[Shown]:
        """For each decision: does its post show its record, and did it then?

        Raises:
            NotApplied: One of the systems cannot be asked now.
        """
        if not asked:
            return []
        posts = self._bridge.route(self._writeback.config.posts)
        # The ledger first: what is edited from here on has a later `updated`.
        posted = self._posted(posts, {each.post for each in asked})
        updated = self._updated(posts, posted)
        left = {number: posted[number] for number in updated}
        versions = self._versions(posts, left)
        return [
            Shown(changed=False, version=versions[each.post])
            if each.post in versions and not _since(updated[each.post], each.published)
            else Shown(changed=True)
            for each in asked
        ]

    @property
    def _writeback(self) -> Writeback:
        found = self._route.writeback
        assert found is not None  # noqa: S101 - only flows that decide ask
        return found

    def _session(self, use: str, address: str) -> Session:
        return self._borrow(use, address.partition("/")[0])

    def _posted(self, posts: Route, links: set[int]) -> dict[int, _Posted]:
        """Posts that nothing is about to change, by link."""
        row = posts.row
        with self._bridge.ledger.read() as tx:
            busy = parcels.unsettled(tx, row.flow_id, links)
            known = {n: k for n, k in marks.links(tx, links).items() if _stands(k)}
            keys = {n: key_hash(k.key(row.side) or "") for n, k in known.items()}
            found = marks.lookup(tx, row.source_side, list(keys.values()))
            refused = settlement.refused(tx, row.flow_id, list(keys.values()))
        return {
            number: _Posted(link, out_fp)
            for number, link in known.items()
            if number not in busy and keys[number] not in refused
            if (out_fp := _out_fp(found.get(keys[number])))
        }

    def _updated(
        self, posts: Route, posted: Mapping[int, _Posted]
    ) -> dict[int, str | None]:
        """When each post was edited last; without those that are not there."""
        end = posts.target
        if not end.can("CanFetch") or not posted:
            return dict.fromkeys(posted)
        bound = edited_by(self._bridge, posts)
        refs = [_ref(each.link, 1 - posts.row.side) for each in posted.values()]
        answers = self._session("posts", end.address).fetch(end.name, refs)
        there = zip(posted, answers, strict=True)
        return {
            n: _edited(bound, post) for n, post in there if isinstance(post, Record)
        }

    def _versions(
        self, posts: Route, posted: Mapping[int, _Posted]
    ) -> dict[int, str | None]:
        """Version of each record that is what its post shows; without the others."""
        end = posts.source
        if not end.can("CanFetch") or not posted:
            return dict.fromkeys(posted)
        refs = [_ref(each.link, posts.row.side) for each in posted.values()]
        answers = self._session("records", end.address).fetch(end.name, refs)
        return {
            number: answer.version
            for (number, each), answer in zip(posted.items(), answers, strict=True)
            if isinstance(answer, Record) and _same(posts, each, answer)
        }


def edited_by(bridge: Bridge, posts: Route) -> BoundTranslator | None:
    """What reads when a post was edited; None if its stream does not say it.

    Raises:
        NotApplied: The platform cannot be reached now.
    """
    bound = posts.target.bound
    if _UPDATED not in bound.paths:
        bound = bridge.translated(posts.target.address)
    return bound if _UPDATED in bound.paths else None


def unchecked(bridge: Bridge, posts: Route) -> Iterator[str]:
    """What cannot be seen before a reply decides: sentences for `check`."""
    source, target = posts.source, posts.target
    if not source.can("CanFetch"):
        yield (
            f"Before a reply decides, nobody looks whether the record still is what "
            f"its post shows: {source.address} cannot be fetched (CanFetch)."
        )
    if not target.can("CanFetch"):
        yield (
            f"Before a reply decides, nobody looks whether its post was edited after "
            f"the reply was written: {target.address} cannot be fetched (CanFetch)."
        )
    elif edited_by(bridge, posts) is None:
        yield (
            f"Before a reply decides, nobody looks whether its post was edited after "
            f"the reply was written: {target.address} does not say `updated`."
        )


def _stands(link: Link) -> bool:
    return link.state is LinkState.LIVE and bool(link.a_key and link.b_key)


def _out_fp(mark: Mark | None) -> bytes | None:
    return mark.out_fp if mark is not None else None


def _ref(link: Link, side: int) -> Ref:
    return Ref.from_key(link.key(side) or "", link.name(side))


def _same(posts: Route, posted: _Posted, record: Record) -> bool:
    """Whether the flow of posts would send what it sent last."""
    key = posted.link.key(posts.row.side) or ""
    try:
        entity = rendered(posts, key, record.data, record.incomplete)
    except TranslationError:
        return False
    carried = posts.carry.cut(entity)
    return out_fingerprint(posts.source.bound, carried) == posted.out_fp


def _edited(bound: BoundTranslator | None, post: Record) -> str | None:
    if bound is None:
        return None
    try:
        found = bound.decode(post.data, post.incomplete).get(_UPDATED)
    except TranslationError:
        return _UNREADABLE
    return None if found is None else str(found)


def _since(updated: str | None, published: str | None) -> bool:
    """Whether a post was edited after a reply, or in the very same moment."""
    if updated is None:
        return False
    try:
        return moment(updated) >= moment(published)
    except Fault:
        return True  # nobody can tell
