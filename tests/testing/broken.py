"""Adapters with one defect each; the suite must catch every one of them."""

from __future__ import annotations

import logging
import socket
import time
from dataclasses import replace

from moatbridge.adapter import Partition, Probe
from moatbridge.changes import Absent, Batch, Change, Intent, Receipt, Ref
from moatbridge.errors import (
    ConfigurationError,
    NotApplied,
    OutcomeUnknown,
    Rejected,
)
from moatbridge.testing import MemoryAdapter
from testing.wire_adapter import WireAdapter

DEFECTS: dict[type, str] = {}
"""Broken class -> the test that must fail."""


def caught_by(test):
    def note(kind):
        DEFECTS[kind] = test
        return kind

    return note


# -- lifecycle --------------------------------------------------------------------------


@caught_by("test_close_is_idempotent_and_allowed_before_open")
class ClosesOnce(MemoryAdapter):
    def close(self):
        self.system  # noqa: B018 - raises unless open
        super().close()


@caught_by("test_abort_never_raises")
class AbortRaises(MemoryAdapter):
    def abort(self):
        self.system  # noqa: B018 - raises unless open


@caught_by("test_server_identity_is_stable")
class IdentityOfTheConnection(MemoryAdapter):
    def probe(self):
        return replace(super().probe(), server=f"connection {id(self)}")


@caught_by("test_constructing_does_no_io")
class DialsInTheConstructor(WireAdapter):
    def __init__(self, config, streams):
        super().__init__(config, streams)
        socket.create_connection((config.host, config.port)).close()


@caught_by("test_bad_credentials_are_a_configuration_error")
class RetriesWrongPasswords(WireAdapter):
    def open(self):
        try:
            super().open()
        except ConfigurationError:
            raise NotApplied("Try again.", code="wire.auth") from None


@caught_by("test_unreachable_server_is_not_applied")
class BareConnectError(WireAdapter):
    def dial(self):
        try:
            return super().dial()
        except NotApplied:
            raise ConnectionRefusedError from None


@caught_by("test_declares_what_it_dials")
class HidesItsEndpoints(WireAdapter):
    @classmethod
    def endpoints(cls, config):
        return []


@caught_by("test_streams_are_well_formed")
class NamesAStreamTwice(MemoryAdapter):
    def streams(self):
        return [*super().streams(), *super().streams()]


@caught_by("test_abilities_and_features_are_true")
class StreamCanLess(MemoryAdapter):
    def streams(self):
        return [
            replace(s, abilities=s.abilities - {"CanFind"}) for s in super().streams()
        ]


@caught_by("test_abilities_and_features_are_true")
class TraitsSayLess(MemoryAdapter):
    def traits(self, stream):
        return replace(super().traits(stream), dedup="none")


# -- reading ----------------------------------------------------------------------------


class _Scans(MemoryAdapter):
    def scan(self, stream, partition, after):
        batches = list(super().scan(stream, partition, after))
        yield from self.spoilt(batches)


@caught_by("test_scan_sees_everything_once")
class SkipsAPage(_Scans):
    def spoilt(self, batches):
        return [*batches[:1], *batches[2:]] if len(batches) > 2 else batches


@caught_by("test_scan_sees_everything_once")
class RepeatsAPage(_Scans):
    def spoilt(self, batches):
        return [*batches[:1], *batches]


@caught_by("test_only_the_last_batch_is_complete")
class AlwaysComplete(_Scans):
    def spoilt(self, batches):
        return [replace(batch, complete=True) for batch in batches]


@caught_by("test_scan_of_an_empty_stream_is_complete")
class NothingMeansNothing(_Scans):
    def spoilt(self, batches):
        return [batch for batch in batches if batch.changes]


@caught_by("test_scan_comes_in_several_batches")
class HoldsTheStream(_Scans):
    def spoilt(self, batches):
        changes = [change for batch in batches for change in batch.changes]
        return [Batch(changes, batches[-1].cursor, (), complete=True)]


@caught_by("test_scan_resumes_after_each_batch")
class CursorAtTheStart(_Scans):
    def spoilt(self, batches):
        return [replace(batch, cursor={"id": ""}) for batch in batches]


@caught_by("test_scan_resumes_after_each_batch")
class CursorAhead(_Scans):
    def spoilt(self, batches):
        return [
            replace(batch, cursor=later.cursor)
            for batch, later in zip(batches, [*batches[1:], batches[-1]], strict=True)
        ]


@caught_by("test_cursors_are_small_json")
class CursorHoldsEverything(_Scans):
    def spoilt(self, batches):
        return [replace(b, cursor={**b.cursor, "pad": "x" * 70_000}) for b in batches]


@caught_by("test_records_hold_exactly_the_declared_fields")
class UndeclaredField(_Scans):
    def spoilt(self, batches):
        return [_mapped(batch, lambda data: {**data, "extra": 1}) for batch in batches]


@caught_by("test_records_hold_exactly_the_declared_fields")
class LeavesOutEmptyFields(_Scans):
    def spoilt(self, batches):
        return [_mapped(b, lambda d: {"userName": d["userName"]}) for b in batches]


@caught_by("test_multi_valued_fields_are_lists")
class UnwrapsSingleValues(_Scans):
    def spoilt(self, batches):
        return [
            _mapped(batch, lambda data: {**data, "emails": data["emails"][0]})
            for batch in batches
        ]


@caught_by("test_partitions_cover_everything_once")
class PartitionsOverlap(MemoryAdapter):
    def split(self, stream, wanted):
        if wanted == 1:
            return super().split(stream, wanted)
        return [Partition("a", [0, 40]), Partition("b", [30, 64])]


@caught_by("test_a_foreign_scan_cursor_is_refused")
class TakesAnyCursor(MemoryAdapter):
    def scan(self, stream, partition, after):
        ours = after if after and "id" in after else None
        return super().scan(stream, partition, ours)


@caught_by("test_an_unknown_stream_is_a_typed_error")
class BareKeyError(MemoryAdapter):
    def scan(self, stream, partition, after):
        if stream != "people":
            raise KeyError(stream)
        return super().scan(stream, partition, after)


@caught_by("test_fetch_answers_in_order")
class FetchInItsOwnOrder(MemoryAdapter):
    def fetch(self, stream, refs):
        return sorted(super().fetch(stream, refs), key=lambda answer: answer.ref.key)


@caught_by("test_fetch_of_a_missing_record_is_absent")
class FetchForgetsTheAbsent(MemoryAdapter):
    def fetch(self, stream, refs):
        return [a for a in super().fetch(stream, refs) if not isinstance(a, Absent)]


@caught_by("test_find_hits_exactly")
class FindsByPrefix(MemoryAdapter):
    def find(self, stream, queries):
        rows = self.fetch(stream, [row.ref for row in self.system.all(stream)])
        return [
            [r for r in rows if r.data["userName"].startswith(q.value)]
            for q in queries
        ]  # fmt: skip


# -- following --------------------------------------------------------------------------


@caught_by("test_following_starts_with_one_empty_batch")
class FollowTellsEverything(MemoryAdapter):
    def changes(self, stream, after):
        return super().changes(stream, after or {"seq": 0})


@caught_by("test_sees_what_is_created_after_the_position")
class PositionLate(MemoryAdapter):
    def changes(self, stream, after):
        later = after and {"seq": after["seq"] + 1}
        return super().changes(stream, later)


@caught_by("test_sees_deletes")
class ForgetsDeletes(MemoryAdapter):
    def changes(self, stream, after):
        for batch in super().changes(stream, after):
            kept = [change for change in batch.changes if change.op != "delete"]
            yield replace(batch, changes=kept)


@caught_by("test_sees_an_edit")
class SeesOnlyNewRecords(MemoryAdapter):
    def changes(self, stream, after):
        for batch in super().changes(stream, after):
            fresh = [
                c for c in batch.changes if c.ref.key == f"m{int(c.version or 0):08d}"
            ]
            yield replace(batch, changes=fresh)


# -- writing ----------------------------------------------------------------------------


class _Writes(MemoryAdapter):
    def write(self, stream, intents):
        return super().write(stream, [self.spoilt(stream, i) for i in intents])


@caught_by("test_repeating_a_create_has_no_second_effect")
class DoublesOnRepeat(_Writes):
    calls = 0

    def spoilt(self, stream, intent):
        DoublesOnRepeat.calls += 1
        return replace(intent, key=f"{DoublesOnRepeat.calls:026d}")


@caught_by("test_a_cleared_value_is_really_cleared")
class NullIsAbsent(_Writes):
    def spoilt(self, stream, intent):
        record = {k: v for k, v in (intent.record or {}).items() if v is not None}
        return replace(intent, record=record)


@caught_by("test_updates_only_what_is_named")
class ReplacesTheWholeRecord(_Writes):
    def spoilt(self, stream, intent):
        if intent.op != "update" or not self.system.get(stream, intent.ref):
            return intent
        old = self.system.get(stream, intent.ref).data
        rest = {"nickName": None, "userName": old["userName"], **intent.record}
        return replace(intent, record=rest)


@caught_by("test_an_owned_slot_leaves_the_others")
class SlotsAreWholeFields(_Writes):
    def spoilt(self, stream, intent):
        return replace(intent, owned=tuple(intent.record or ()))


@caught_by("test_a_stale_version_is_not_applied")
class IgnoresVersions(_Writes):
    def spoilt(self, stream, intent):
        return replace(intent, before_version=None)


@caught_by("test_updating_a_missing_record_is_rejected_as_gone")
class UpdateMeansUpsert(_Writes):
    def spoilt(self, stream, intent):
        if intent.op != "update" or self.system.get(stream, intent.ref):
            return intent
        record = {"userName": "nobody", **intent.record}
        return Intent(intent.key, "create", None, record)


@caught_by("test_receipts_come_in_the_order_of_the_intents")
class ReceiptsBackwards(MemoryAdapter):
    def write(self, stream, intents):
        return super().write(stream, intents)[::-1]


@caught_by("test_creates_and_names_what_it_made")
class OneReceiptShort(MemoryAdapter):
    def write(self, stream, intents):
        return super().write(stream, intents)[:-1]


@caught_by("test_creates_and_names_what_it_made")
class AppliedWithoutEffect(MemoryAdapter):
    def write(self, stream, intents):
        return [Receipt("applied", Ref(f"made-up-{i.key}")) for i in intents]


@caught_by("test_bad_data_is_rejected_and_the_others_applied")
class OneBadRecordStopsAll(MemoryAdapter):
    def write(self, stream, intents):
        if any(i.op == "create" and not i.record.get("userName") for i in intents):
            raise Rejected("Bad data.", code="memory.data")
        return super().write(stream, intents)


@caught_by("test_no_input_makes_write_raise_a_bare_error")
class AssumesGoodInput(MemoryAdapter):
    def write(self, stream, intents):
        for intent in intents:
            if intent.op == "create":
                intent.record["userName"].lower()
        return super().write(stream, intents)


# -- safety -----------------------------------------------------------------------------


@caught_by("test_nothing_secret_or_personal_is_shown")
class PasswordInRepr(WireAdapter):
    def __repr__(self):
        return f"<wire {self.config.password.get_secret_value()}>"


@caught_by("test_nothing_secret_or_personal_is_shown")
class KeepsThePassword(WireAdapter):
    def open(self):
        super().open()
        self.connection = {"password": self.config.password.get_secret_value()}


@caught_by("test_nothing_secret_or_personal_is_shown")
class LogsRecords(MemoryAdapter):
    def scan(self, stream, partition, after):
        for batch in super().scan(stream, partition, after):
            data = [change.data for change in batch.changes]
            logging.getLogger("third.party").debug("page: %s", data)
            yield batch


@caught_by("test_nothing_secret_or_personal_is_shown")
class ValueInTheError(MemoryAdapter):
    def write(self, stream, intents):
        for intent in intents:
            if not isinstance(intent.record["userName"], str):
                raise Rejected(f"Bad name {intent.record['userName']}", code="x.data")
        return super().write(stream, intents)


@caught_by("test_never_sleeps")
class Naps(MemoryAdapter):
    def probe(self):
        time.sleep(0.001)
        return Probe(self.system.server)


@caught_by("test_dials_only_through_net")
class DialsItself(WireAdapter):
    def dial(self):
        return socket.create_connection((self.config.host, self.config.port))


@caught_by("test_dials_only_through_net")
class LeavesItsSocketUnwatched(WireAdapter):
    def dial(self):
        found = self.net.resolve(self.config.host, self.config.port, why="config")
        return socket.create_connection(found)


# -- the wire ---------------------------------------------------------------------------


@caught_by("test_an_interrupted_scan_never_completes")
class TheEndIsTheEnd(WireAdapter):
    def scan(self, stream, partition, after):
        try:
            yield from super().scan(stream, partition, after)
        except NotApplied:
            yield Batch((), {"id": "z"}, (), complete=True)


@caught_by("test_a_lost_answer_is_never_called_not_applied")
class OptimistAboutLostAnswers(WireAdapter):
    def write(self, stream, intents):
        try:
            return super().write(stream, intents)
        except OutcomeUnknown:
            raise NotApplied("Nothing happened, surely.", code="wire.lost") from None


@caught_by("test_a_stalled_call_is_freed_by_abort")
class TriesForEver(WireAdapter):
    tries = 0

    def scan(self, stream, partition, after):
        try:
            yield from super().scan(stream, partition, after)
        except NotApplied:
            self.close()
            self._socket = socket.create_connection(
                (self.config.host, self.config.port)
            )
            self._lines = self._socket.makefile("rb")
            yield from self.scan(stream, partition, after)


@caught_by("test_a_stalled_call_is_freed_by_abort")
class BareErrorAtAbort(WireAdapter):
    def _ask(self, asked):
        try:
            return super()._ask(asked)
        except NotApplied:
            raise BrokenPipeError from None


@caught_by("test_the_cores_deadline_ends_a_scan")
class HidesItsSocketFromTheDeadline(LeavesItsSocketUnwatched):
    """The core cannot free what it does not know."""


def _mapped(batch, work):
    spoilt = [Change(c.ref, c.op, work(c.data), c.version) for c in batch.changes]
    return replace(batch, changes=spoilt)
