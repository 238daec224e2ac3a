"""Faults of connections, of what is received and of what is seen."""

from __future__ import annotations

import json
import secrets
import socket

from moatbridge import Person, Translator, via
from moatbridge.changes import Receipt, Ref
from moatbridge.entities import Converter
from moatbridge.errors import NotApplied, Rejected
from moatbridge.testing import MemoryAdapter
from testing import broken
from testing.inbox_adapter import InboxAdapter, sign
from testing.seeding import caught_by
from testing.wire_adapter import WireAdapter

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
    "a_busy_answer_to_a_scan_is_passed_on",
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


# -- a busy system ----------------------------------------------------------------------


@caught_by("a_busy_answer_to_a_scan_is_passed_on")
class AsksAgainWhileReading(WireAdapter):
    def page(self, stream, last):
        try:
            return super().page(stream, last)
        except NotApplied as error:
            if error.code == "wire.busy":
                return super().page(stream, last)
            raise


@caught_by("a_busy_answer_to_a_write_is_passed_on")
class AsksAgainWhileWriting(WireAdapter):
    def write(self, stream, intents):
        try:
            return super().write(stream, intents)
        except NotApplied as error:
            if error.code == "wire.busy":
                return super().write(stream, intents)
            raise


@caught_by("a_busy_answer_to_a_write_is_passed_on")
class BusyMeansDone(WireAdapter):
    def write(self, stream, intents):
        try:
            return super().write(stream, intents)
        except NotApplied as error:
            if error.code == "wire.busy":
                return [Receipt("applied", Ref(f"wire-{i.key}")) for i in intents]
            raise


@caught_by("a_busy_answer_to_a_scan_is_passed_on")
class BusyIsTheEnd(WireAdapter):
    def page(self, stream, last):
        try:
            return super().page(stream, last)
        except NotApplied as error:
            if error.code == "wire.busy":
                return []
            raise


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
