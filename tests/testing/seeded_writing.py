"""Faults of writes."""

from __future__ import annotations

import secrets
from dataclasses import replace

from moatbridge.changes import Receipt, Ref
from moatbridge.errors import NotApplied, OutcomeUnknown, Rejected
from moatbridge.testing import MemoryAdapter
from testing import broken
from testing.seeding import caught_by
from testing.wire_adapter import WireAdapter

# -- writing ----------------------------------------------------------------------------


@caught_by(
    "a_create_never_takes_somebody_elses_record",
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


# -- any text ---------------------------------------------------------------------------


class _Spelled(broken._Writes):
    """Writes each text of a record in some other way."""

    def spoilt(self, stream, intent):
        record = intent.record and {
            name: self.spelled(value) if isinstance(value, str) else value
            for name, value in intent.record.items()
        }
        return replace(intent, record=record)


@caught_by("any_text_reads_back_or_is_refused", "an_update_with_any_text_is_as_exact")
class WritesAscii(_Spelled):
    def spelled(self, text):
        return text.encode("ascii", "replace").decode()


@caught_by("any_text_reads_back_or_is_refused", "an_update_with_any_text_is_as_exact")
class TrimsBlanks(_Spelled):
    def spelled(self, text):
        return text.strip(" ")

    def write(self, stream, intents):
        return [replace(r, stored=None) for r in super().write(stream, intents)]


@caught_by("any_text_reads_back_or_is_refused", "an_update_with_any_text_is_as_exact")
class OneLineEndForAll(TrimsBlanks):
    def spelled(self, text):
        return text.replace("\r\n", "\n")


@caught_by("any_text_reads_back_or_is_refused", "an_update_with_any_text_is_as_exact")
class SemicolonsEndAField(_Spelled):
    """Does not escape the separator of its file."""

    def spelled(self, text):
        return text.partition(";")[0]


@caught_by("any_text_reads_back_or_is_refused", "an_update_with_any_text_is_as_exact")
class LineBreakBeginsARequest(_Spelled):
    """What follows a line break is a request of its own; the rest arrives."""

    def spelled(self, text):
        if "\n" in text:
            name = f"user-{secrets.token_hex(6)}"
            self.system.put("people", [{"userName": name}])
            raise Rejected("A line break.", code="memory.data")
        return text

    def write(self, stream, intents):
        receipts = []
        for intent in intents:
            try:
                receipts += super().write(stream, [intent])
            except Rejected as error:
                receipts.append(Receipt("rejected", intent.ref, code=error.code))
        return receipts


@caught_by("an_update_with_any_text_is_as_exact")
class EscapesOnlyInCreates(_Spelled):
    def spoilt(self, stream, intent):
        if intent.op == "create":
            return intent
        return super().spoilt(stream, intent)

    def spelled(self, text):
        return text.replace("<", "&lt;")


# -- somebody else's --------------------------------------------------------------------


@caught_by("a_create_never_takes_somebody_elses_record")
class TakesWhatIsThere(MemoryAdapter):
    """A record with this name exists, so the create is done, it thinks."""

    def write(self, stream, intents):
        rows = {row.data["userName"]: row.ref for row in self.system.all(stream)}
        return [
            Receipt("applied", rows[intent.record["userName"]])
            if receipt.reason == "conflict"
            else receipt
            for intent, receipt in zip(
                intents, super().write(stream, intents), strict=True
            )
        ]


@caught_by(
    "a_create_never_takes_somebody_elses_record",
    "a_late_repeat_of_a_create_undoes_nothing",
)
class CreateMeansReplace(MemoryAdapter):
    """Overwrites what has the same name."""

    def write(self, stream, intents):
        return [self.one(stream, intent) for intent in intents]

    def one(self, stream, intent):
        name = (intent.record or {}).get("userName")
        for row in self.system.all(stream):
            if intent.op == "create" and row.data["userName"] == name:
                return self.replaced(stream, row.ref, intent)
        return super().write(stream, [intent])[0]

    def replaced(self, stream, ref, intent):
        with self.system.store.transaction():
            self.system.save(self.system.stream(stream), ref, intent.record)
        return Receipt("applied", ref)


@caught_by("a_create_never_takes_somebody_elses_record")
class ConflictIsBadData(MemoryAdapter):
    """The core would never ask a person whose record it is."""

    def write(self, stream, intents):
        return [
            replace(receipt, code="memory.data")
            if receipt.reason == "conflict"
            else receipt
            for receipt in super().write(stream, intents)
        ]
