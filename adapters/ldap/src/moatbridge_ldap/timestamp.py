"""Following changes by the entries' own stamps, where nothing better is offered.

Time comes from values that the server sent, never from our clock. Each poll looks back
by ``overlap`` seconds, so some changes arrive twice. Deletes are not seen: the periodic
scan finds them.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from moatbridge.changes import Batch
from moatbridge.errors import ConfigurationError, CursorTooOld
from moatbridge_ldap import values
from moatbridge_ldap.directory import read_entry
from moatbridge_ldap.scan import decoded
from moatbridge_ldap.shape import scope_of
from moatbridge_ldap.wire import filters
from moatbridge_ldap.wire.port import SearchRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moatbridge_ldap.directory import Directory
    from moatbridge_ldap.scan import Scanner
    from moatbridge_ldap.shape import Shape

STAMPS: Final = ("entryCSN", "whenChanged", "modifyTimestamp")


class Follower:
    """Polls one stream.

    Raises:
        ConfigurationError: ``ldap.follow``: entries carry no stamp.
    """

    def __init__(self, scanner: Scanner, directory: Directory, shape: Shape) -> None:
        self._scanner = scanner
        self._shape = shape
        usable = [name for name in STAMPS if directory.schema.has(name)]
        if not usable:
            raise ConfigurationError(
                "The directory keeps no time of change on its entries; set "
                'follow = "none" and rely on scans.',
                code="ldap.follow",
            )
        self._stamp = usable[0]

    def now(self) -> dict[str, Any]:
        """The position "now", as a cursor."""
        return {"mode": "timestamp", "since": self._newest() or "19700101000000Z"}

    def changes(self, cursor: Any) -> Iterator[Batch]:
        """What changed since; the last batch holds the new position."""
        since = _since(cursor)
        newest = since
        shape, stamp = self._shape, self._stamp
        back = _moment(since) - timedelta(seconds=shape.config.overlap)
        for place in shape.places:
            request = SearchRequest(
                place.dn,
                filters.both(place.filter, self._after(back)),
                tuple(dict.fromkeys((*shape.attributes, stamp))),
                scope_of(place),
            )
            for page in self._scanner.entries(shape, request):
                kept = [e for e in page if not shape.excludes(e.dn)]
                found = [v for e in page for v in e.attributes.get(stamp, ())]
                newest = _later([newest.encode(), *found])
                changes, rejects = decoded(self._scanner.port, shape, kept)
                if changes or rejects:
                    yield Batch(changes, cursor, rejects)
        yield Batch(cursor={"mode": "timestamp", "since": newest})

    def _after(self, moment: datetime) -> filters.Filter:
        text = values.from_datetime(moment.replace(microsecond=0))
        if self._stamp == "entryCSN":
            return filters.Ge("entryCSN", text[:-1] + b".000000Z#000000#000#000000")
        if self._stamp == "whenChanged":
            return filters.Ge("whenChanged", text[:-1] + b".0Z")
        both = (
            filters.Ge(name, text) for name in ("modifyTimestamp", "createTimestamp")
        )
        return filters.Or(tuple(both))

    def _newest(self) -> str | None:
        port = self._scanner.port
        found: list[bytes] = []
        for place in self._shape.places:
            context = self._scanner.directory.context_of(place.dn)
            entry = read_entry(port, context, ("contextCSN",))
            found += entry.attributes.get("contextCSN", ()) if entry else ()
            found += [
                time.encode()
                for time in self._scanner.directory.facts.get("currentTime", ())
            ]
        return _later(found) if found else self._newest_of_pass()

    def _newest_of_pass(self) -> str | None:
        shape, stamp = replace(self._shape, columns=()), self._stamp
        found: list[bytes] = []
        for place in shape.places:
            request = SearchRequest(
                place.dn, place.filter, (stamp, shape.id_name), scope_of(place)
            )
            for page in self._scanner.entries(shape, request):
                stamps = [v for e in page for v in e.attributes.get(stamp, ())]
                found = [_later([*found, *stamps]).encode()] if stamps else found
        return _later(found) if found else None


def _since(cursor: Any) -> str:
    try:
        mode, since = cursor["mode"], str(cursor["since"])
        _moment(since)
    except (KeyError, TypeError, ValueError):
        mode, since = None, ""
    if mode != "timestamp":
        raise CursorTooOld(
            "The cursor is not one of mode timestamp; a rescan is needed.",
            code="ldap.cursor",
            reason="other-mode",
        )
    return since


def _moment(stamp: str) -> datetime:
    return values.generalized_time(stamp.partition("#")[0].encode("ascii"))


def _later(stamps: list[bytes]) -> str:
    """The newest stamp, as a GeneralizedTime."""
    moments = [_moment(stamp.decode("ascii", "replace")) for stamp in stamps]
    return values.from_datetime(max(moments).astimezone(UTC)).decode()
