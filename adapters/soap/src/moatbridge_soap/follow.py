"""What changed since (soap 71-75).

The position is a time of the *server*: its own "as of", or the HTTP ``Date`` minus two
seconds, or the latest change seen; never our clock. Each poll reads a little again
(``overlap``), and what the position remembers of that is dropped.
"""

from __future__ import annotations

import base64
import datetime as dt
from typing import TYPE_CHECKING, Any, Final

from moatbridge.changes import Batch, Change
from moatbridge.errors import ConfigurationError, NotApplied
from moatbridge_soap.pages import Pages, state_of
from moatbridge_soap.paging import foreign, pager_for
from moatbridge_soap.records import digest, is_marked, short

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from moatbridge.changes import Reject
    from moatbridge_soap.call import Caller
    from moatbridge_soap.config.operations import ChangesConfig
    from moatbridge_soap.decode import Item
    from moatbridge_soap.operation import Operation
    from moatbridge_soap.reading import Reading
    from moatbridge_soap.streams import CompiledStream

EDGE: Final = 5000
"""Records that a position remembers: 8 bytes each, within the 64 KiB of a cursor."""

_SKEW: Final = dt.timedelta(seconds=2)
_SEEN: Final = 200_000
_BYTES: Final = 8


class Follow:
    """One poll.

    Args:
        caller: The connection.
        stream: The stream.
        server_time: Asks the server for its time (a request without effects).
    """

    def __init__(
        self,
        caller: Caller,
        stream: CompiledStream,
        server_time: Callable[[], dt.datetime | None],
    ) -> None:
        stream.operation("changes")
        config = stream.config.changes
        assert config is not None  # noqa: S101 - the operation is there
        self._config: ChangesConfig = config
        self._caller = caller
        self._stream = stream
        self._server_time = server_time
        self._where = f"{stream.name}.changes"
        self._edge: set[str] = set()
        self._next: list[str] = []
        self._seen: dict[str, dt.datetime] = {}
        self._latest: dt.datetime | None = None
        self._overflow = False

    def now(self) -> Batch:
        """One empty batch that holds the position "now".

        Raises:
            NotApplied: ``soap.no-time``: the server tells its time nowhere.
        """
        moment = self._server_time()
        since = self._config.since
        if since.as_of is not None:
            moment = self._as_of_now(moment) or moment
        elif moment is not None:
            moment -= _SKEW
        if moment is None:
            raise NotApplied(
                f"{self._where}: the service tells no time (no as_of, no HTTP Date). "
                "Set since.as_of.",
                code="soap.no-time",
            )
        return Batch(cursor=_position(moment, None, None, []))

    def batches(self, after: Any) -> Iterator[Batch]:
        """Yield what changed after a position, then stop."""
        state = state_of(after, "changes", self._where)
        since = _moment(state.get("since"), self._where)
        until = self._until(state, since)
        self._edge = set(_unpacked(state.get("edge"), self._where))
        upcoming = _moment(state["next"], self._where) if state.get("next") else None
        values = self._values(since, until)
        for table in ("changes", "deletes"):
            if table not in self._stream.operations:
                continue
            if state.get("table") == "deletes" and table == "changes":
                continue
            for batch, found in self._table(table, state, values, since, upcoming):
                upcoming = upcoming or found
                if batch is not None:
                    yield batch
        upcoming = upcoming or self._latest or since
        if until is not None:
            upcoming = min(upcoming, until)
        yield Batch(
            cursor=_position(max(since, upcoming), None, None, self._kept()),
            complete=True,
        )

    def _table(
        self,
        table: str,
        state: dict[str, Any],
        values: dict[str, Any],
        since: dt.datetime,
        upcoming: dt.datetime | None,
    ) -> Iterator[tuple[Batch | None, dt.datetime | None]]:
        page = getattr(self._stream.config, table).page
        pager = pager_for(page, self._where, lambda: values["until"])
        resumed = state.get("page") if state.get("table") == table else None
        if resumed is not None:
            pager.resume(resumed)
        pages = Pages(self._caller, self._stream, table, pager, values)
        place: tuple[str, Any] | None = (table, resumed) if resumed else None
        for piece in pages:
            operation = pages.operation
            changes, rejects = self._told(piece.items, operation, table)
            if piece.ends_page and upcoming is None and piece.reading is not None:
                upcoming = self._upcoming(piece.reading)
            if piece.ends_page and page.resumes and not piece.ends_pass:
                place = (table, pager.state())
            batch = None
            if changes or rejects:
                batch = Batch(
                    changes, _position(since, place, upcoming, self._carried()), rejects
                )
            yield batch, upcoming
        if not pager.complete:
            # What has moved is not found from the place that was reached: begin anew.
            yield Batch(cursor=_position(since, None, None, self._carried())), upcoming
            message = f"{self._where}: the total does not match what was received."
            raise NotApplied(message, code="soap.truncated")

    def _told(
        self, items: list[Item], operation: Operation, table: str
    ) -> tuple[list[Change], list[Reject]]:
        changes: list[Change] = []
        rejects: list[Reject] = []
        for item in items:
            found = self._one(item, operation, table)
            if isinstance(found, Change):
                changes.append(found)
            elif found is not None:
                rejects.append(found)
        return changes, rejects

    def _one(
        self, item: Item, operation: Operation, table: str
    ) -> Change | Reject | None:
        records = self._stream.records
        if item.reject is not None:
            return records.change(item, operation, thin=False)
        gone = table == "deletes" or is_marked(item.record, self._config.deleted)
        if self._is_old_news(item, gone=gone):
            return None
        if gone:
            ref = records.ref(item.record)
            return None if ref is None else Change(ref, "delete")
        if not self._config.thin and not records.belongs(item.record):
            return self._left(item)
        return records.change(item, operation, thin=self._config.thin)

    def _left(self, item: Item) -> Change | None:
        """The record is not one of this stream (any more): fetch will say so."""
        ref = self._stream.records.ref(item.record)
        if ref is None:
            return None
        return (
            Change(ref) if "get" in self._stream.operations else Change(ref, "delete")
        )

    def _is_old_news(self, item: Item, *, gone: bool) -> bool:
        records = self._stream.records
        ref = records.ref(item.record)
        if ref is None:
            return False
        modified = records.modified(item.record)
        # Our clock only holds back: a date in the future would skip all until then.
        if modified is not None and modified <= dt.datetime.now(dt.UTC):
            self._latest = max(self._latest or modified, modified)
        mark = short(f"{ref.key} {gone} {digest(item.record)}")
        self._remember(mark)
        if mark in self._edge:
            return True
        key = short(ref.key)
        if modified is not None and not gone:
            if key in self._seen and self._seen[key] > modified:
                return True
            if len(self._seen) < _SEEN:
                self._seen[key] = modified
        return False

    def _remember(self, mark: str) -> None:
        if len(self._next) < EDGE:
            self._next.append(mark)
        else:
            self._overflow = True

    def _kept(self) -> list[str]:
        """What the next poll may see again; nothing if there was too much of it."""
        return [] if self._overflow else self._next

    def _carried(self) -> list[str]:
        """While a pass goes on: what it dropped before must be dropped again."""
        return sorted(self._edge)[:EDGE]

    def _until(self, state: dict[str, Any], since: dt.datetime) -> dt.datetime | None:
        del state
        window = self._config.since.window
        return None if window is None else since + dt.timedelta(seconds=window)

    def _values(self, since: dt.datetime, until: dt.datetime | None) -> dict[str, Any]:
        start = since - dt.timedelta(seconds=self._config.since.overlap)
        found: dict[str, Any] = {"since": self._written(start)}
        if until is not None:
            found["until"] = self._written(until)
        return found

    def _written(self, moment: dt.datetime) -> Any:
        form = self._config.since.format
        utc = moment.astimezone(dt.UTC)
        return utc if form is None else utc.strftime(form)

    def _upcoming(self, reading: Reading) -> dt.datetime | None:
        """Where the next pass begins, as the first page of this one tells it."""
        since = self._config.since
        if since.as_of is not None:
            text = reading.text(since.as_of)
            if text:
                return self._told_time(text.strip())
        date = reading.http.date if reading.http is not None else None
        return None if date is None else date - _SKEW

    def _as_of_now(self, moment: dt.datetime | None) -> dt.datetime | None:
        start = moment or dt.datetime(1970, 1, 2, tzinfo=dt.UTC)
        pager = pager_for(self._config.page, self._where, lambda: self._written(start))
        values = {**self._values(start, None), **pager.values()}
        values.setdefault("until", self._written(start))
        reading = self._caller.read(self._stream.operation("changes"), values)
        for _ in reading:
            pass
        text = reading.text(self._config.since.as_of or "")
        return self._told_time(text.strip()) if text else None

    def _told_time(self, text: str) -> dt.datetime:
        """The server's own time; without a zone it is of the system's ``timezone``."""
        try:
            found = dt.datetime.fromisoformat(text)
        except ValueError:
            words = f"{self._where}: as_of holds no time; check since.as_of."
            raise NotApplied(words, code="soap.no-time") from None
        if found.tzinfo is None and self._caller.zone is None:
            raise ConfigurationError(
                f"{self._where}: the server's time (since.as_of) carries no zone. Set "
                'timezone (such as "Europe/Berlin") for the system.',
                code="soap.timezone",
            )
        zoned = found if found.tzinfo else found.replace(tzinfo=self._caller.zone)
        return zoned.astimezone(dt.UTC)


def _position(
    since: dt.datetime,
    place: tuple[str, Any] | None,
    upcoming: dt.datetime | None,
    edge: list[str],
) -> dict[str, Any]:
    table, page = place or ("changes", None)
    return {
        "op": "changes",
        "since": _text(since),
        "table": table,
        "page": page,
        "next": _text(upcoming) if upcoming is not None else None,
        "edge": _packed(edge),
    }


def _text(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


def _moment(value: Any, where: str) -> dt.datetime:
    try:
        found = dt.datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise foreign(where) from None
    if found.tzinfo is None:
        raise foreign(where)
    return found.astimezone(dt.UTC)


def _packed(marks: list[str]) -> str:
    return base64.b64encode(b"".join(map(bytes.fromhex, marks))).decode("ascii")


def _unpacked(value: Any, where: str) -> list[str]:
    if not isinstance(value, str):
        raise foreign(where)
    try:
        raw = base64.b64decode(value, validate=True)
    except ValueError:
        raise foreign(where) from None
    return [raw[n : n + _BYTES].hex() for n in range(0, len(raw), _BYTES)]
