"""Statuses, accounts and notifications, page by page (platforms 38).

Pages are asked for by id, never by number, and a page is trusted only if its ids move
on: a platform that repeats a page is an error, never the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moatbridge.changes import Absent, Batch, Change, Record, Ref, Reject
from moatbridge.errors import CursorTooOld, NotApplied
from moatbridge.http import check_read
from moatbridge_mastodon.statuses import (
    account_record,
    acct_of,
    identifier,
    later,
    record_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from moatbridge.changes import Fetched
    from moatbridge.http import HttpClient
    from moatbridge_mastodon.config import MastodonConfig
    from moatbridge_mastodon.instance import Instance

GROUP: Final = 20
"""Statuses fetched in one request."""
MAX_PAGES: Final = 250_000

REACTIONS: Final = {"favourite": "Like", "reblog": "Announce"}
"""Notification type -> ActivityStreams type."""

_GONE: Final = frozenset({404, 410})


class Reader:
    """Reads through one open connection; one thread at a time."""

    def __init__(
        self, client: HttpClient, instance: Instance, config: MastodonConfig
    ) -> None:
        self._client = client
        self._instance = instance
        self._org = config.followers_are_org
        self._size = str(config.page_size)

    # --- our own statuses -----------------------------------------------------------

    def posts(self, after: Any) -> Iterator[Batch]:
        """All our statuses, newest first, to the empty page that ends them."""
        position = _position(after, "max_id")
        while True:
            query = {"limit": self._size, "exclude_reblogs": "true"}
            if position:
                query["max_id"] = position
            page = self._page(
                "/api/v1/accounts/{id}/statuses", query, {"id": self._instance.account}
            )
            ids = _ids(page)
            if not ids:
                yield Batch(cursor={"max_id": position}, complete=True)
                return
            lowest = min(ids, key=later)
            if position and later(lowest) >= later(position):
                raise _repeats("posts")
            position = lowest
            yield self._batch(page, {"max_id": position})

    def fetch_posts(self, refs: Sequence[Ref]) -> list[Fetched]:
        """Statuses by id, twenty in a request; those not served are absent."""
        found: dict[str, Record] = {}
        wanted = list(dict.fromkeys(filter(None, map(_id, refs))))
        for start in range(0, len(wanted), GROUP):
            group = wanted[start : start + GROUP]
            for status in self._statuses(group):
                try:
                    record = record_of(status, followers_are_org=self._org)
                except ValueError as error:
                    raise _unreadable() from error
                found[str(record.ref.id)] = record
        return [found.get(_id(ref)) or Absent(ref) for ref in refs]

    def _statuses(self, group: Sequence[str]) -> list[Mapping[str, Any]]:
        answer = self._client.request("GET", "/api/v1/statuses", query={"id[]": group})
        if answer.status not in _GONE:
            check_read(answer, area="mastodon")
            return _tables(answer.body)
        # Before Mastodon 4.3 there is no such list: one request each.
        singles = (self.status(ident) for ident in group)
        return [status for status in singles if status is not None]

    def status(self, ident: str) -> Mapping[str, Any] | None:
        """One status, or None."""
        answer = self._client.request(
            "GET", "/api/v1/statuses/{id}", params={"id": ident}
        )
        if answer.status in _GONE:
            return None
        check_read(answer, area="mastodon")
        if identifier(answer.mapping.get("id")) != ident:
            message = "The platform answered with another status than was asked for."
            raise NotApplied(message, code="mastodon.other-id")
        return answer.mapping

    # --- what others did -------------------------------------------------------------

    def mentions(self, after: Any) -> Iterator[Batch]:
        """Posts that name us, in the order they came."""
        yield from self._notifications(["mention"], after, self._mention)

    def reactions(self, after: Any) -> Iterator[Batch]:
        """Likes and boosts of our posts, in the order they came."""
        yield from self._notifications(list(REACTIONS), after, self._reaction)

    def _notifications(
        self,
        kinds: list[str],
        after: Any,
        change_of: Callable[[Mapping[str, Any]], Change | None],
    ) -> Iterator[Batch]:
        def batch(page: list[Mapping[str, Any]], cursor: Any) -> Batch:
            return _collect(page, cursor, change_of)

        path, query = "/api/v1/notifications", {"types[]": kinds}
        yield from self._since(path, {}, query, after, batch)

    def hints(self) -> Iterator[bool]:
        """True for each notification that is pushed, False for each sign of life.

        Source: ``GET /api/v1/streaming/user/notification``, server-sent events. It has
        no cursor and repeats nothing: what is read is read by `mentions`.
        """
        for line in self._client.lines("/api/v1/streaming/user/notification"):
            if line.startswith("event:"):
                yield line.removeprefix("event:").strip() == "notification"
            elif line.startswith(":"):
                yield False

    def _mention(self, notice: Mapping[str, Any]) -> Change | None:
        status = notice.get("status")
        if not isinstance(status, dict):
            return None  # deleted before we came
        record = record_of(status, followers_are_org=self._org)
        return Change(record.ref, data=record.data, version=record.version)

    def _reaction(self, notice: Mapping[str, Any]) -> Change | None:
        status, account = notice.get("status"), notice.get("account")
        kind = REACTIONS.get(str(notice.get("type")))
        if not isinstance(status, dict) or kind is None:
            return None
        ident, acct = identifier(status.get("id")), acct_of(account)
        if not ident or not acct:
            msg = "not a reaction"
            raise ValueError(msg)
        data = {
            "type": kind,
            "actor": acct,
            "object": ident,
            "published": notice.get("created_at"),
        }
        return Change(Ref(reaction_id(kind, acct, ident)), data=data)

    def _since(
        self,
        path: str,
        params: Mapping[str, str],
        query: Mapping[str, str | Sequence[str]],
        after: Any,
        batch_of: Callable[[list[Mapping[str, Any]], Any], Batch],
    ) -> Iterator[Batch]:
        """What is newer than the position, oldest first (``min_id``)."""
        if after is None:
            page = self._page(path, {**query, "limit": "1"}, params)
            newest = max(_ids(page), key=later, default="0")
            yield Batch(cursor={"min_id": newest})
            return
        position = _position(after, "min_id")
        for _number in range(MAX_PAGES):
            page = self._page(
                path, {**query, "limit": self._size, "min_id": position or "0"}, params
            )
            ids = _ids(page)
            if not ids:
                return
            highest = max(ids, key=later)
            if later(highest) <= later(position or "0"):
                raise _repeats(path)
            position = highest
            page.sort(key=lambda each: later(identifier(each.get("id"))))
            yield batch_of(page, {"min_id": position})
        raise _repeats(path)

    # --- accounts -------------------------------------------------------------------

    def fetch_accounts(self, refs: Sequence[Ref]) -> list[Fetched]:
        """Accounts by id; the platform has no list for them."""
        return [self._account("/api/v1/accounts/{id}", ref) for ref in refs]

    def find_account(self, acct: str) -> list[Record]:
        """The account of that name, if there is one."""
        answer = self._client.request(
            "GET", "/api/v1/accounts/lookup", query={"acct": acct}
        )
        if answer.status in _GONE:
            return []
        check_read(answer, area="mastodon")
        try:
            record = account_record(answer.mapping)
        except ValueError as error:
            raise _unreadable() from error
        return [record] if record.data["userName"].casefold() == acct.casefold() else []

    def _account(self, path: str, ref: Ref) -> Fetched:
        if not _id(ref):
            return Absent(ref)
        answer = self._client.request("GET", path, params={"id": _id(ref)})
        if answer.status in _GONE:
            return Absent(ref)
        check_read(answer, area="mastodon")
        try:
            return account_record(answer.mapping)
        except ValueError as error:
            raise _unreadable() from error

    # --- pages ----------------------------------------------------------------------

    def _page(
        self,
        path: str,
        query: Mapping[str, str | Sequence[str]],
        params: Mapping[str, str],
    ) -> list[Mapping[str, Any]]:
        answer = self._client.request("GET", path, params=params, query=query)
        check_read(answer, area="mastodon")
        return _tables(answer.body)

    def _batch(self, page: list[Mapping[str, Any]], cursor: Any) -> Batch:
        return _collect(page, cursor, self._own)

    def _own(self, status: Mapping[str, Any]) -> Change | None:
        if status.get("reblog") is not None:
            return None
        record = record_of(status, followers_are_org=self._org)
        return Change(record.ref, data=record.data, version=record.version)


def reaction_id(kind: str, acct: str, status: str) -> tuple[str, str, str]:
    """Identity of a reaction: one person reacts in one way to one status once."""
    return kind, acct, status


def _collect(
    page: list[Mapping[str, Any]],
    cursor: Any,
    change_of: Callable[[Mapping[str, Any]], Change | None],
) -> Batch:
    changes, rejects = [], []
    for each in page:
        try:
            change = change_of(each)
        except ValueError:
            ident = identifier(each.get("id"))
            ref = Ref(ident) if ident else None
            rejects.append(Reject("mastodon.unreadable", f"item {ident or '?'}", ref))
            continue
        if change is not None:
            changes.append(change)
    return Batch(changes, cursor, rejects)


def _position(after: Any, name: str) -> str:
    if after is None:
        return ""
    position = after.get(name) if isinstance(after, dict) else None
    if not isinstance(position, str) or (position and not identifier(position)):
        raise CursorTooOld("The position is not one of ours.", code="mastodon.cursor")
    return position


def _ids(page: list[Mapping[str, Any]]) -> list[str]:
    ids = [identifier(each.get("id")) for each in page]
    if not all(ids):
        raise _unreadable()
    return ids


def _tables(body: Any) -> list[Mapping[str, Any]]:
    if not isinstance(body, list) or not all(isinstance(each, dict) for each in body):
        raise _unreadable()
    return body


def _id(ref: Ref) -> str:
    return identifier(ref.id)


def _unreadable() -> NotApplied:
    message = "The platform's answer does not have the shape of its API."
    return NotApplied(message, code="mastodon.unreadable")


def _repeats(what: str) -> NotApplied:
    message = f"The platform repeats a page of {what}; nothing was taken as the end."
    return NotApplied(message, code="mastodon.repeated-page")
