"""Reading a listing to its proven end: two pure state machines (platforms 21).

`IndexWalk` advances by the number *received*, never by the number asked for. Each page
but the first starts one resource early, on the last one of the page before: if that is
not the same resource, the list moved under us (or the peer ignores ``startIndex``), and
a record may have slipped through. The last page asks for one more than is left, so that
a peer with more than it announced is found out. None of this costs a request.
"""

from __future__ import annotations

from array import array
from typing import Any, Final, NamedTuple

from moatbridge.errors import ConfigurationError, CursorTooOld, NotApplied

MAX_RECORDS: Final = 5_000_000
MAX_ID: Final = 1024


class Page(NamedTuple):
    """One accepted page.

    Args:
        resources: As sent, without the repeated first one.
        cursor: Where to go on after it.
        complete: True if the whole list has now been seen.
        place: Words for a reject's location.
        idents: The resources' ids, "" where there is none that could be one.
    """

    resources: list[Any]
    cursor: dict[str, Any]
    complete: bool
    place: str
    idents: list[str]


class Unique:
    """Tells whether ids repeat, in 8 bytes an id.

    By Python's own hash, keyed for each process, so a peer cannot aim at a collision;
    by chance five million ids have one in a million passes, and the pass is repeated.
    """

    def __init__(self) -> None:
        self._buckets = [array("q") for _ in range(256)]

    def add(self, idents: list[str]) -> None:
        """Remember the ids of a page; "" is none."""
        buckets = self._buckets
        for digest in map(hash, filter(None, idents)):
            buckets[digest & 255].append(digest)

    def holds(self) -> bool:
        """True if no id came twice."""
        return all(len(set(bucket)) == len(bucket) for bucket in self._buckets)


class IndexWalk:
    """``startIndex`` and ``count`` (RFC 7644 3.4.2.4).

    Args:
        page_size: Resources wanted in a page.
        limit: Largest ``count`` to ask for.
        after: The cursor of a page, to go on after it.
    """

    how = "index"

    def __init__(self, page_size: int, limit: int, after: Any = None) -> None:
        self._size, self._limit = page_size, max(limit, page_size)
        self._unique = Unique()
        self._at, self._total, self._last = 1, None, ""
        if after is not None:
            state = _resumed(after, {"how": "index", "at": int, "last": str})
            self._at, self._total = state["at"], state["total"]
            self._last = state["last"]

    @property
    def query(self) -> dict[str, str]:
        """Parameters of the next request."""
        early = self._early
        count = self._size + early
        if self._total is not None:
            left = self._total - self._at + 1
            count = left + early + 1 if left <= self._size else count
        return {
            "startIndex": str(self._at - early),
            "count": str(min(count, self._limit)),
        }

    def accept(self, body: Any) -> Page:
        """Judge a page.

        Raises:
            CursorTooOld: ``scim.incomplete-list``: the list moved, so no place in it
                is worth going on from; reading begins anew.
            NotApplied: The same of its first page, and ``scim.bad-list``.
        """
        resources, total = _listed(body, self._total)
        self._total = total
        start = self._at
        if self._early:
            resources = self._without_overlap(resources)
        left = total - start + 1
        if len(resources) > left:
            raise incomplete("more resources than totalResults announced", start > 1)
        if left and not resources:
            raise incomplete("an empty page before the end", start > 1)
        idents = list(map(identifier, resources))
        self._unique.add(idents)
        self._at += len(resources)
        self._last = idents[-1] if idents else self._last
        complete = self._at > total
        if complete and not self._unique.holds():
            raise incomplete("the same id twice", start > 1)
        cursor = {"how": self.how, "at": self._at, "total": total, "last": self._last}
        return Page(resources, cursor, complete, f"startIndex {start}", idents)

    @property
    def _early(self) -> bool:
        # A page of one has no room for the repeated resource.
        return self._at > 1 and self._limit > 1

    def _without_overlap(self, resources: list[Any]) -> list[Any]:
        if not resources or identifier(resources[0]) != self._last:
            raise incomplete("the order changed, or startIndex is ignored", begun=True)
        return resources[1:]


class CursorWalk:
    """``cursor`` and ``nextCursor`` (RFC 9865)."""

    how = "cursor"

    def __init__(self, page_size: int, limit: int, after: Any = None) -> None:
        self._size = min(page_size, limit) if limit else page_size
        self._unique = Unique()
        self._at, self._total, self._seen = "", None, 0
        if after is not None:
            state = _resumed(after, {"how": "cursor", "at": str, "seen": int})
            self._at, self._seen = state["at"], state["seen"]
            self._total = state["total"]

    @property
    def query(self) -> dict[str, str]:
        """Parameters of the next request."""
        return {"cursor": self._at, "count": str(self._size)}

    def accept(self, body: Any) -> Page:
        """Judge a page; raises as `IndexWalk.accept`."""
        resources, total = _listed(body, self._total)
        self._total = total
        place, begun = f"after {self._seen} resources", self._seen > 0
        following = body.get("nextCursor")
        if following and (not isinstance(following, str) or following == self._at):
            raise incomplete("a cursor that repeats", begun)
        idents = list(map(identifier, resources))
        self._unique.add(idents)
        self._seen += len(resources)
        self._at = following or ""
        if following and not resources:
            raise incomplete("an empty page before the end", begun)
        if not following and (self._seen != total or not self._unique.holds()):
            raise incomplete(f"{self._seen} of {total} resources", begun)
        cursor = {
            "how": self.how,
            "at": self._at,
            "total": total,
            "seen": self._seen,
        }
        return Page(resources, cursor, not following, place, idents)


def identifier(resource: Any) -> str:
    """The resource's id, or "" if it has none that could be one."""
    found = resource.get("id") if isinstance(resource, dict) else None
    if isinstance(found, str) and 0 < len(found) <= MAX_ID and found.isprintable():
        return found
    return ""


def incomplete(why: str, begun: bool) -> CursorTooOld | NotApplied:
    """The list cannot be trusted; nothing after it may be called the end.

    Args:
        why: What was seen.
        begun: A page was accepted before. Its place in the list is worth nothing now:
            whoever tried again from there would meet the same until the end of time.
    """
    message = f"A listing came back incomplete: {why}."
    if begun:
        message += " It is read from its beginning again."
        return CursorTooOld(message, code="scim.incomplete-list", reason="moved")
    return NotApplied(message, code="scim.incomplete-list")


def _listed(body: Any, before: int | None) -> tuple[list[Any], int]:
    total = body.get("totalResults") if isinstance(body, dict) else None
    resources = body.get("Resources") if isinstance(body, dict) else None
    if not isinstance(total, int) or isinstance(total, bool) or total < 0:
        message = "A listing has no totalResults, so its end cannot be known."
        raise NotApplied(message, code="scim.bad-list")
    if not isinstance(resources, list | None):
        raise NotApplied("A listing's Resources is no list.", code="scim.bad-list")
    if total > MAX_RECORDS:
        message = f"A listing announces more than {MAX_RECORDS} resources."
        raise ConfigurationError(message, code="scim.too-large")
    if before is not None and total != before:
        raise incomplete("totalResults changed while reading", begun=True)
    return resources or [], total


def _resumed(after: Any, wanted: dict[str, Any]) -> dict[str, Any]:
    """The state in a cursor, or `CursorTooOld` if it is not one of ours."""
    wanted = {**wanted, "total": int}
    good = isinstance(after, dict) and all(
        after.get(name) == kind
        if isinstance(kind, str)
        else isinstance(after.get(name), kind)
        for name, kind in wanted.items()
    )
    if not good:
        message = "The cursor is not of the way in which this peer pages now."
        raise CursorTooOld(message, code="scim.cursor", reason="other-server")
    found: dict[str, Any] = after
    return found
