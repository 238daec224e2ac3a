"""Adapters with one classic bug each, and the checks that must fail: these, no others.

The table is exact. A check that fails for a bug it is not meant for is as wrong as one
that does not fail for its own.
"""

from __future__ import annotations

import json
import secrets
import socket
from dataclasses import replace
from typing import TYPE_CHECKING

from moatbridge import Person, Translator, via
from moatbridge.changes import Batch, Receipt, Ref
from moatbridge.entities import Converter
from moatbridge.errors import NotApplied, OutcomeUnknown, Rejected
from moatbridge.testing import MemoryAdapter
from testing import broken
from testing.inbox_adapter import InboxAdapter, sign
from testing.wire_adapter import WireAdapter

if TYPE_CHECKING:
    from moatbridge.adapter import Adapter

SEEDED: dict[type[Adapter], frozenset[str]] = {}
"""Faulty class -> names of the checks that fail, without their ``test_``."""


def caught_by(*checks):
    def note(kind):
        SEEDED[kind] = frozenset(checks)
        return kind

    return note


# -- paging -----------------------------------------------------------------------------


@caught_by(
    "a_full_last_page_loses_nothing",
    "a_scan_left_half_way_does_no_harm",
    "an_aborted_scan_never_ends_early",
    "an_unreadable_record_stops_nothing",
    "resuming_survives_a_record_that_went_away",
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
    "a_scan_goes_on_after_a_cut",
    "a_stalled_call_is_freed_by_abort",
    "an_aborted_scan_never_ends_early",
    "an_interrupted_scan_never_completes",
    "no_wire_holds_a_scan",
)
class TheEndIsTheEnd(broken.TheEndIsTheEnd):
    """Says END after a page that was cut."""


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


# -- writing ----------------------------------------------------------------------------


@caught_by(
    "bad_data_is_rejected_and_the_others_applied",
    "updating_a_missing_record_is_rejected_as_gone",
)
class DoneForARejectedRow(MemoryAdapter):
    def write(self, stream, intents):
        receipts = super().write(stream, intents)
        return [
            Receipt("applied", i.ref or Ref(f"made-up-{i.key}"))
            if r.outcome == "rejected"
            else r
            for i, r in zip(intents, receipts, strict=True)
        ]


@caught_by(
    "a_cleared_value_is_really_cleared", "a_create_without_a_value_leaves_it_empty"
)
class NoneBecomesEmptyText(broken._Writes):
    def spoilt(self, stream, intent):
        record = intent.record and {
            k: "" if v is None else v for k, v in intent.record.items()
        }
        return replace(intent, record=record)


@caught_by("a_cleared_value_is_really_cleared")
class IgnoresClearedValues(broken.NullIsAbsent):
    """None means "says nothing" to it."""


@caught_by("bad_data_is_rejected_and_the_others_applied")
class OneBadRecordStopsAll(broken.OneBadRecordStopsAll):
    """One rejected row, and nobody gets a receipt."""


@caught_by(
    "a_mixed_batch_has_a_receipt_each", "receipts_come_in_the_order_of_the_intents"
)
class ReceiptsBackwards(broken.ReceiptsBackwards):
    """The receipts are true, of other records."""


@caught_by(
    "a_late_repeat_of_a_create_undoes_nothing",
    "repeating_a_create_has_no_second_effect",
    "repeating_a_half_applied_batch_completes_it",
)
class DoublesWhatComesTwice(broken._Writes):
    """A fresh key for each attempt."""

    calls = 0

    def spoilt(self, stream, intent):
        DoublesWhatComesTwice.calls += 1
        return replace(intent, key=f"{DoublesWhatComesTwice.calls:026d}")


@caught_by(
    "a_late_repeat_of_an_update_undoes_nothing", "a_stale_version_is_not_applied"
)
class LateOverwritesNewer(broken._Writes):
    """Neither versions nor keys protect an update."""

    calls = 0

    def spoilt(self, stream, intent):
        if intent.op != "update":
            return intent
        LateOverwritesNewer.calls += 1
        fresh = f"{LateOverwritesNewer.calls:026d}"
        return replace(intent, key=fresh, before_version=None)


@caught_by(
    "a_late_repeat_of_a_create_undoes_nothing",
    "repeating_a_create_has_no_second_effect",
    "repeating_a_half_applied_batch_completes_it",
    "repeating_after_a_lost_answer_has_one_effect",
    "what_the_wire_sends_twice_has_one_effect",
)
class SendsAFreshKey(WireAdapter):
    """The server would know a repeat, were it told that it is one."""

    def write(self, stream, intents):
        fresh = [replace(i, key=secrets.token_hex(13)) for i in intents]
        return super().write(stream, fresh)


@caught_by("a_broken_write_is_not_tried_again")
class RetriesByItself(WireAdapter):
    def write(self, stream, intents):
        try:
            return super().write(stream, intents)
        except OutcomeUnknown:
            self.close()
            try:
                self.open()
            except NotApplied:
                raise OutcomeUnknown("No answer.", code="wire.lost") from None
            return super().write(stream, intents)


@caught_by("a_lost_answer_is_never_called_not_applied", "no_wire_holds_a_write")
class LostMeansNotApplied(broken.OptimistAboutLostAnswers):
    """Swallows a timeout as "nothing happened"."""


@caught_by("a_lost_answer_is_never_called_not_applied")
class UnknownMeansApplied(WireAdapter):
    def write(self, stream, intents):
        try:
            return super().write(stream, intents)
        except OutcomeUnknown:
            return [Receipt("applied", i.ref or Ref(f"wire-{i.key}")) for i in intents]


# -- connections ------------------------------------------------------------------------


@caught_by(
    "a_new_instance_works_after_a_cut",
    "a_scan_goes_on_after_a_cut",
    "repeating_after_a_lost_answer_has_one_effect",
)
class KeepsDeadConnections(WireAdapter):
    """Gives its connection back to a pool, and never asks whether it still lives."""

    idle: dict = {}  # noqa: RUF012 - the bug

    def dial(self):
        kept = self.idle.get((self.config.host, self.config.port))
        return kept.pop() if kept else super().dial()

    def close(self):
        if self._socket is not None:
            at = (self.config.host, self.config.port)
            self.idle.setdefault(at, []).append(self._socket)
        self._socket = self._lines = None


@caught_by(
    "a_broken_scan_is_not_tried_again",
    "a_stalled_call_is_freed_by_abort",
    "the_cores_deadline_ends_a_scan",
    "no_wire_holds_a_scan",
)
class IgnoresTheDeadline(WireAdapter):
    """Takes the core's cut for one more error, and dials again behind its back."""

    def scan(self, stream, partition, after):
        for _ in range(3):
            try:
                for batch in super().scan(stream, partition, after):
                    after = batch.cursor
                    yield batch
            except NotApplied:
                self.close()
                self._socket = socket.create_connection(
                    (self.config.host, self.config.port)
                )
                self._lines = self._socket.makefile("rb")
                secret = self.config.password.get_secret_value()
                self._ask({"do": "login", "password": secret})
            else:
                return
        raise NotApplied("Given up.", code="wire.broken")


# -- receiving --------------------------------------------------------------------------


@caught_by("a_forged_delivery_is_refused")
class VerifiesWhatItParsed(InboxAdapter):
    """Not the raw bytes, but what it made of them."""

    def signed(self, request):
        try:
            return sign(json.dumps(json.loads(request.body)).encode())
        except ValueError:
            return sign(request.body)


@caught_by("a_delivery_that_comes_twice_is_known")
class NamesDeliveriesItself(InboxAdapter):
    def name_of(self, told):
        return secrets.token_hex(8)


@caught_by("a_delivery_shows_no_value")
class QuotesWhatItRefuses(InboxAdapter):
    def untrusted(self, request):
        words = f"Not proved: {request.body!r}"
        return Rejected(words, kind="rights", code="inbox.untrusted")


# -- what may be seen -------------------------------------------------------------------


@caught_by("nothing_secret_or_personal_is_shown")
class PasswordInTheLog(WireAdapter):
    def open(self):
        broken.logging.getLogger("third.party").info(
            "logging in with %s", self.config.password.get_secret_value()
        )
        super().open()


@caught_by("nothing_secret_or_personal_is_shown")
class ValueInTheCause(MemoryAdapter):
    """The message is clean; the driver's, which it chains, is not."""

    def write(self, stream, intents):
        for intent in intents:
            name = (intent.record or {}).get("userName")
            if isinstance(name, list):
                cause = ValueError(f"cannot bind {name}")
                raise Rejected("Bad data.", code="memory.data") from cause
        return super().write(stream, intents)


# -- translators ------------------------------------------------------------------------


LOSSY = Converter("lossy", str, lambda _text: "")


@caught_by("translators_obey_the_laws")
class TranslatorLosesAField(MemoryAdapter):
    translators = (
        Translator(
            Person,
            {
                "userName": "userName",
                "nickName": via("nickName", LOSSY),
            },
        ),
    )
