"""Faults of scans and of following."""

from __future__ import annotations

from dataclasses import replace

from moatbridge.changes import Batch, Change, Reject
from moatbridge.errors import CursorTooOld, Rejected
from moatbridge.testing import MemoryAdapter
from testing import broken
from testing.seeding import caught_by
from testing.wire_adapter import WireAdapter, WireConfig

# -- paging -----------------------------------------------------------------------------


@caught_by(
    "a_full_last_page_loses_nothing",
    "a_scan_left_half_way_does_no_harm",
    "an_aborted_scan_never_ends_early",
    "an_unreadable_record_stops_nothing",
    "an_update_with_any_text_is_as_exact",
    "any_text_reads_back_or_is_refused",
    "resuming_survives_a_record_that_went_away",
    "rows_that_come_while_others_are_read_hide_none",
    "rows_that_go_while_they_are_read_hide_no_other",
    "scan_resumes_after_each_batch",
    "scan_sees_everything_once",
    "two_instances_scan_at_once",
)
class DropsTheLastPage(MemoryAdapter):
    def scan(self, stream, partition, after):
        held = None
        for batch in super().scan(stream, partition, after):
            if held is not None:
                yield replace(held, complete=batch.complete)
            elif batch.complete:
                yield batch  # there is but one
            held = batch


@caught_by("a_full_last_page_loses_nothing")
class FullPageIsNeverTheLast(MemoryAdapter):
    """Ends by a short page: a full last one has no end."""

    def scan(self, stream, partition, after):
        for batch in super().scan(stream, partition, after):
            full = len(batch.changes) == self.system.stream(stream).page
            yield replace(batch, complete=batch.complete and not full)


@caught_by("resuming_survives_a_record_that_went_away", "scan_resumes_after_each_batch")
class CursorOffByOne(MemoryAdapter):
    """Resumes behind the record after the cursor."""

    def scan(self, stream, partition, after):
        skip = after is not None and "id" in after
        for batch in super().scan(stream, partition, after):
            yield replace(batch, changes=batch.changes[1:]) if skip else batch
            skip = False


@caught_by("resuming_survives_a_record_that_went_away")
class CursorIsAnOffset(MemoryAdapter):
    """Counts records instead of naming the last one."""

    def scan(self, stream, partition, after):
        if after is not None and "offset" not in after:
            yield from super().scan(stream, partition, after)
        seen, done = 0, (after or {"offset": 0})["offset"]
        for batch in super().scan(stream, partition, None):
            seen += len(batch.changes)
            fresh = batch.changes[max(0, len(batch.changes) - seen + done) :]
            if seen > done or batch.complete:
                yield replace(batch, changes=fresh, cursor={"offset": seen})
                done = max(done, seen)


@caught_by("a_scan_holds_pages_not_the_stream")
class LoadsEverything(MemoryAdapter):
    def scan(self, stream, partition, after):
        yield from list(super().scan(stream, partition, after))


@caught_by("two_instances_scan_at_once")
class SharesItsPosition(MemoryAdapter):
    """One position for the class, so that two scans take turns with one walk."""

    at: list = []  # noqa: RUF012 - the bug

    def scan(self, stream, partition, after):
        if after is None:
            self.at[:] = [None]
        else:
            self.at[:] = [after]
        complete = False
        while not complete:
            batch = next(super().scan(stream, partition, self.at[0]))
            self.at[:] = [batch.cursor]
            complete = batch.complete
            yield batch


@caught_by("an_aborted_scan_never_ends_early")
class AbortIsTheEnd(MemoryAdapter):
    aborted = False

    def abort(self):
        self.aborted = True

    def scan(self, stream, partition, after):
        for batch in super().scan(stream, partition, after):
            if self.aborted:
                yield Batch((), batch.cursor, (), complete=True)
                return
            yield batch


@caught_by("an_unreadable_record_stops_nothing")
class OneUnreadableRecordStopsAll(MemoryAdapter):
    def scan(self, stream, partition, after):
        for batch in super().scan(stream, partition, after):
            if batch.rejects:
                raise Rejected("A record is unreadable.", code="memory.data")
            yield batch


@caught_by(
    "a_broken_scan_is_not_tried_again",
    "a_busy_answer_to_a_scan_is_passed_on",
    "a_scan_goes_on_after_a_cut",
    "a_stalled_call_is_freed_by_abort",
    "an_aborted_scan_never_ends_early",
    "an_interrupted_scan_never_completes",
    "no_wire_holds_a_scan",
)
class TheEndIsTheEnd(broken.TheEndIsTheEnd):
    """Says END after a page that was cut."""


# -- rows that move ---------------------------------------------------------------------


@caught_by(
    "resuming_survives_a_record_that_went_away",
    "rows_that_go_while_they_are_read_hide_no_other",
)
class ReadsByNumber(MemoryAdapter):
    """Asks for "five rows from number ten", and rows have no numbers of their own."""

    def scan(self, stream, partition, after):
        place = {"from": 0, "count": None} if after is None else after
        if not isinstance(place.get("from"), int):
            raise CursorTooOld("Not our cursor.", code="memory.cursor")
        start, count = place["from"], place["count"]
        size, complete = self.system.stream(stream).page, False
        while not complete:
            rows, count = self.rows(stream, partition, count)
            complete = start + size >= len(rows)
            page, rows = rows[start : start + size], ()
            start += size
            changes = [row for row in page if isinstance(row, Change)]
            rejects = [row for row in page if isinstance(row, Reject)]
            cursor = {"from": start, "count": count}
            yield Batch(changes, cursor, rejects, complete)

    def rows(self, stream, partition, count):
        batches = super().scan(stream, partition, None)
        return [row for b in batches for row in (*b.changes, *b.rejects)], count


@caught_by(
    "resuming_survives_a_record_that_went_away",
    "rows_that_come_while_others_are_read_hide_none",
    "rows_that_go_while_they_are_read_hide_no_other",
)
class CountsAtTheStart(ReadsByNumber):
    """Newest first, as many as there were when the pass began."""

    def rows(self, stream, partition, count):
        rows, _ = super().rows(stream, partition, count)
        count = len(rows) if count is None else count
        return rows[::-1][:count], count


@caught_by("a_short_page_is_not_the_end")
class ShortPageIsTheEnd(WireAdapter):
    """Asked for five, was given two, and thinks that there are no more."""

    def goes_on(self, rows):
        return len(rows) == self.config.page_size


@caught_by("any_page_size_sees_the_same")
class PageOfOneIsEmpty(WireAdapter):
    """Asks for one row less than a page, to have room for the answer's head."""

    def page(self, stream, last):
        page_size = self.config.page_size - 1
        asked = {"do": "page", "stream": stream, "after": last, "limit": page_size}
        return self._ask(asked)


class Unbounded(WireConfig):
    page_size: int = 5


@caught_by("any_page_size_sees_the_same")
class PageOfNothing(WireAdapter):
    """Takes a page of no records, and of less."""

    Config = Unbounded

    def __init__(self, config, streams):
        super().__init__(Unbounded(**dict(config)), streams)


# -- following --------------------------------------------------------------------------


@caught_by("a_change_is_whole_or_says_that_it_is_not", "sees_an_edit")
class ThinPresentedAsWhole(MemoryAdapter):
    def changes(self, stream, after):
        names = [field.name for field in self.system.stream(stream).fields]
        for batch in super().changes(stream, after):
            thin = [
                c._replace(data=dict.fromkeys(names) | {"userName": c.data["userName"]})
                if c.data
                else c
                for c in batch.changes
            ]
            yield replace(batch, changes=thin)


@caught_by("a_batch_of_changes_resumes", "a_poll_may_be_repeated")
class ReadingUsesUp(MemoryAdapter):
    """A queue that forgets what it handed out, before anything was committed."""

    told: set = set()  # noqa: RUF012 - the bug

    def changes(self, stream, after):
        for batch in super().changes(stream, after):
            fresh = [c for c in batch.changes if self._fresh(c)]
            yield replace(batch, changes=fresh)

    def _fresh(self, change):
        mark = (self.system.server, change.ref.key, change.version)
        known = mark in self.told
        self.told.add(mark)
        return not known
