"""Who would read a post, as far as the target can tell (guard 20-22).

A reply is read by nobody who did not read its parent; what goes to a group goes to its
members. Both are looked up at the target, in batches: when a post is staged, and again
right before transaction B, so that what changed in between is seen. What is asked for
is bounded; what cannot be told is said.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from moatbridge.changes import Record, Ref
from moatbridge.entities import narrower, wider
from moatbridge.entities.audience import audience_fault
from moatbridge.errors import ConfigurationError, NotApplied, TranslationError
from moatbridge.flow import references

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from moatbridge.flow.bridge import Bridge
    from moatbridge.flow.references import Resolution
    from moatbridge.flow.route import End, Reference, Route
    from moatbridge.ledger import Ledger
    from moatbridge.resilience.session import Session
    from moatbridge.translate import BoundTranslator

GROUPS: Final = 200
"""Groups whose members are looked up for one batch of posts, at most."""

MEMBERS: Final = 1000
"""Members of one group, and people of one batch, that are looked at, at most."""

UNKNOWN: Final = "the members of its audience could not be looked up"
"""What a held post says of readers that nobody knows."""

_TELLING: Final = frozenset({"Post", "Group", "Person"})

_Entity = dict[str, Any]
_Found = dict[tuple[str, str], _Entity | None]


@dataclass(frozen=True, slots=True)
class Readership:
    """Who would read one post.

    Args:
        audience: In the target's references, and within the parent's; None while
            something in it does not resolve.
        own: The same before the parent was looked at.
        parent: Who reads the post that it replies to; None if it is none, or one that
            the target does not know yet.
        readers: Ids that the audience comes down to; None for kinds that name nobody
            and for groups whose members are not known.
        outside: Whether people outside the company are among them, or may be: nobody
            knows the members of a group, and the company said which domains are its.
        unknown: That nobody knows them.
    """

    audience: _Entity | None = None
    own: _Entity | None = None
    parent: _Entity | None = None
    readers: tuple[str, ...] | None = None
    outside: bool = False
    unknown: bool = False

    @property
    def detail(self) -> str:
        """What a held post says of them."""
        return UNKNOWN if self.unknown and self.outside else ""

    @property
    def narrowed(self) -> bool:
        """Whether fewer people read it than its record says."""
        return self.audience != self.own

    def within(self, entity: _Entity) -> _Entity:
        """The entity with the audience that it goes out with."""
        if self.audience is None or "audience" not in entity:
            return entity
        return {**entity, "audience": self.audience}


NOBODY: Final = Readership()
"""Nothing is known: what is no post, and what does not resolve yet."""


def circles(
    bridge: Bridge, source: End, target: End, joined: Mapping[str, Reference]
) -> dict[str, BoundTranslator]:
    """Streams at the target that tell who reads a post, each with its translator.

    The posts themselves (a reply's parent), the people and groups that they may name;
    only where records can be fetched, and only for flows that carry posts.

    Raises:
        NotApplied: The target cannot be reached now.
    """
    if target.bound.entity != "Post":
        return {}
    there = target.system + "/"
    left = [target.address, *(each.target for each in joined.values())]
    left += [address for _path, address, _by in source.bound.references]
    left += [address for _path, address, _by in target.bound.references]
    found: dict[str, BoundTranslator] = {}
    for address in left:
        if address in found or not address.startswith(there):
            continue
        bound = _readable(bridge, address)
        if bound is not None:
            found[address] = bound
            left += [to for _path, to, _by in bound.references]
    return found


def readerships(
    route: Route, resolved: Sequence[Resolution], target: Callable[[], Session]
) -> list[Readership]:
    """Who would read these posts; three calls at most, however many they are.

    Args:
        route: A flow that carries posts.
        resolved: Their entities, pointing into the target's system.
        target: Gives an open session, to look at parents, groups and people.

    Raises:
        NotApplied: The target cannot be asked now.
    """
    parents = _parents(route, resolved, target)
    audiences = [_audience(each, parents) for each in resolved]
    named = [ref for sent in audiences for ref in _refs(sent)]
    groups = _fetched(route, target, [r for r in named if _is(route, r, "Group")])
    members = {key: _members(group) for key, group in groups.items()}
    everybody = [r for r in named if _is(route, r, "Person")]
    everybody += [r for some in members.values() for r in some or ()]
    people = _fetched(route, target, [r for r in everybody if _is(route, r, "Person")])
    return [
        _readership(route, each, sent, parents, members, people)
        for each, sent in zip(resolved, audiences, strict=True)
    ]


def read_by(
    route: Route,
    ledger: Ledger,
    posts: Sequence[tuple[bytes, _Entity]],
    target: Callable[[], Session],
) -> dict[bytes, Readership]:
    """Who would read posts that are about to be staged, by key hash.

    Empty for flows of anything else. What the target does not tell now is not known
    yet: it is asked again before anything is sent.

    Args:
        route: The flow.
        ledger: Its ledger.
        posts: Key hash and entity of each.
        target: Gives an open session.
    """
    if route.entity != "Post" or not posts:
        return {}
    with ledger.read() as tx:
        resolved = references.resolve(tx, route, [entity for _k, entity in posts])
    try:
        found = readerships(route, resolved, target)
    except NotApplied:
        return {k: NOBODY for k, _entity in posts}
    return {k: one for (k, _entity), one in zip(posts, found, strict=True)}


def own_audience(sent: _Entity | None, entity: _Entity) -> _Entity | None:
    """What is kept of a judged post names its readers as the source does.

    They are looked up, and cut down to the parent's, again before it is sent.
    """
    if sent is None or "audience" not in entity or "audience" not in sent:
        return sent
    return {**sent, "audience": entity["audience"]}


def _readable(bridge: Bridge, address: str) -> BoundTranslator | None:
    try:
        described = bridge.describe(address)
        stream = described.stream
        can = described.probe.abilities.get(stream.name, stream.abilities)
        bound = bridge.translated(address) if "CanFetch" in can else None
    except ConfigurationError as error:
        if error.code not in {"flow.stream", "flow.translator"}:
            raise
        return None  # nobody said how to read its records
    return bound if bound and bound.entity in _TELLING else None


def _parents(
    route: Route, resolved: Sequence[Resolution], target: Callable[[], Session]
) -> dict[str, _Entity]:
    """Id of a post at the target -> its audience, and its author in one of people."""
    ids = {i for each in resolved if (i := _parent_id(route, each))}
    bound = route.circles.get(route.target.address)
    if not ids or bound is None:
        return {}
    found: dict[str, _Entity] = {}
    refs = [Ref.from_key(i) for i in sorted(ids)]
    for ref, record in zip(refs, target().fetch(route.target.name, refs), strict=True):
        post = _decoded(bound, record) or {}
        audience: Any = post.get("audience")
        if audience_fault(audience) is not None:
            continue
        if audience["kind"] == "people" and (author := post.get("attributedTo")):
            audience = {**audience, "refs": [*audience["refs"], author]}
        found[ref.key] = audience
    return found


def _parent_id(route: Route, each: Resolution) -> str | None:
    parent = (each.entity or {}).get("inReplyTo") or {}
    inside = parent.get("stream") == route.target.address
    return str(parent["id"]) if inside and parent.get("id") else None


def _audience(each: Resolution, parents: Mapping[str, _Entity]) -> _Entity | None:
    """What it goes out with: never wider than its parent's.

    Where both have nobody in common it stays as it is, and the guard holds it.
    """
    entity = each.entity or {}
    own: _Entity = entity.get("audience") or {}
    if "audience" in each.lost_heads or audience_fault(own) is not None:
        return None
    parent = parents.get((entity.get("inReplyTo") or {}).get("id", ""))
    if parent is None or not wider(own, parent):
        return own
    return narrower(own, parent) or own


def _readership(
    route: Route,
    each: Resolution,
    sent: _Entity | None,
    parents: Mapping[str, _Entity],
    members: Mapping[tuple[str, str], list[_Entity] | None],
    people: _Found,
) -> Readership:
    entity = each.entity or {}
    parent = parents.get((entity.get("inReplyTo") or {}).get("id", ""))
    if sent is None:
        return Readership(parent=parent)
    refs: list[_Entity] | None = list(_refs(sent))
    if sent["kind"] == "groups":
        refs = _joined([members.get(_key(ref)) for ref in refs or ()])
    domains = route.rules.home_domains
    outside = any(_foreign(people.get(_key(ref)), domains) for ref in refs or ())
    unknown = sent["kind"] == "groups" and not _all_known(route, refs, people)
    return Readership(
        sent,
        entity["audience"],
        parent,
        readers=tuple(sorted({_who(ref) for ref in refs})) if refs else None,
        outside=outside or (unknown and bool(domains)),
        unknown=unknown,
    )


def _joined(groups: Sequence[list[_Entity] | None]) -> list[_Entity] | None:
    """Members of all; None if those of one are not known."""
    known = [some for some in groups if some is not None]
    if len(known) < len(groups):
        return None
    return [ref for some in known for ref in some]


def _all_known(route: Route, refs: list[_Entity] | None, people: _Found) -> bool:
    """Whether everybody was looked at, in words that tell who is from outside."""
    return refs is not None and all(
        people.get(_key(ref)) is not None and _tells(route.circles[ref["stream"]])
        for ref in refs
    )


def _tells(bound: BoundTranslator) -> bool:
    heads = {path.partition(".")[0].partition("[")[0] for path in bound.paths}
    return bool(heads & {"emails", "userType"})


def _refs(audience: _Entity | None) -> Iterator[_Entity]:
    yield from (audience or {}).get("refs") or ()


def _is(route: Route, ref: Mapping[str, Any], kind: str) -> bool:
    bound = route.circles.get(str(ref.get("stream", "")))
    return bound is not None and bound.entity == kind


def _fetched(
    route: Route, target: Callable[[], Session], refs: Iterable[_Entity]
) -> _Found:
    """Records by (stream, id); too many are not asked for, and missing are None."""
    wanted = {_key(ref) for ref in refs if ref.get("id")}
    found: _Found = {}
    for address, bound in route.circles.items():
        ids = sorted(i for stream, i in wanted if stream == address)
        most = GROUPS if bound.entity == "Group" else MEMBERS
        if not ids or len(ids) > most:
            continue
        asked = [Ref.from_key(i) for i in ids]
        records = target().fetch(address.partition("/")[2], asked)
        for ident, record in zip(ids, records, strict=True):
            found[address, ident] = _decoded(bound, record)
    return found


def _members(group: _Entity | None) -> list[_Entity] | None:
    """References of a group's members; None if they are not all known."""
    if group is None or not isinstance(group.get("members"), list):
        return None
    refs = [each.get("value") for each in group["members"]]
    nested = any(each.get("type") == "Group" for each in group["members"])
    known = all(isinstance(ref, dict) and ref.get("id") for ref in refs)
    return refs if known and not nested and len(refs) <= MEMBERS else None


def _foreign(person: _Entity | None, domains: Sequence[str]) -> bool:
    """A guest, or somebody with a mail address that is not the company's."""
    if person is None:
        return False
    if str(person.get("userType") or "").casefold() == "guest":
        return True
    addresses = [str(e.get("value") or "") for e in person.get("emails") or ()]
    return bool(domains) and any(not _ours(a, domains) for a in addresses if a)


def _ours(address: str, domains: Sequence[str]) -> bool:
    domain = address.rpartition("@")[2].casefold()
    homes = [each.casefold().lstrip("@.") for each in domains]
    return any(domain == home or domain.endswith("." + home) for home in homes)


def _decoded(bound: BoundTranslator, record: object) -> _Entity | None:
    if not isinstance(record, Record):
        return None
    try:
        return bound.decode(record.data, record.incomplete)
    except TranslationError:
        return None


def _key(ref: Mapping[str, Any]) -> tuple[str, str]:
    return str(ref.get("stream", "")), str(ref.get("id", ""))


def _who(ref: Mapping[str, Any]) -> str:
    return f"{ref.get('stream', '')}/{ref.get('id') or ref.get('name') or ''}"
