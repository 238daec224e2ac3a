"""One call without effects, read while its answer comes."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from moatbridge.errors import MoatbridgeError, NotApplied, OutcomeUnknown, Rejected
from moatbridge_soap.config.rules import fits
from moatbridge_soap.decode import is_naive, no_zone
from moatbridge_soap.faults import (
    meaning_of_fault,
    meaning_of_result,
    read_error,
    read_status_error,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from moatbridge_soap.call import Caller
    from moatbridge_soap.config.rules import Meaning
    from moatbridge_soap.decode import Answer, Item
    from moatbridge_soap.http import HttpAnswer
    from moatbridge_soap.operation import Operation

_PAGES: Final = frozenset({"text/html", "application/xhtml+xml"})


class Reading:
    """One call without effects: iterated once, raises typed errors.

    Attributes:
        answer: Known when the iteration has ended.
        meaning: What a rule said of it (``absent``).
        http: The HTTP answer, from the first item on.
    """

    def __init__(
        self, caller: Caller, operation: Operation, values: Mapping[str, Any]
    ) -> None:
        self.answer: Answer | None = None
        self.meaning: Meaning | None = None
        self.http: HttpAnswer | None = None
        self._caller = caller
        self._operation = operation
        self._values = values
        self._decoding: Answer | None = None

    @property
    def bytes(self) -> int:
        """What was read so far: of the body, and of attachments that records hold."""
        body = 0 if self.http is None else self.http.bytes
        return body + (0 if self._decoding is None else self._decoding.attached)

    def __iter__(self) -> Iterator[Item]:
        """Send the request, yield the items as they come, judge the rest."""
        started = time.perf_counter()
        self._caller.prepare()
        try:
            http = self._caller.exchange(self._operation, self._values, write=False)
        except OutcomeUnknown as error:  # cannot be, for a read
            raise NotApplied(error.message, code=error.code) from error
        self.http = http
        try:
            yield from self._read(http)
        finally:
            http.end()
            items = self.answer.items if self.answer is not None else 0
            self._caller.log(self._operation, http, items, started)

    def text(self, path: str) -> str | None:
        """The lexical text at a message path of the finished answer."""
        return None if self.answer is None else self.answer.text(path)

    def _read(self, http: HttpAnswer) -> Iterator[Item]:
        what = self._operation.where
        if not readable(http):
            raise _unreadable(http, what)
        answer = self._decoding = self._caller.decode(self._operation, http)
        try:
            yield from answer
        except NotApplied:
            if http.status >= HTTPStatus.BAD_REQUEST:
                error = read_status_error(http.status, http.retry_after, what)
                raise error from None
            raise
        self.answer = answer
        self._caller.note(answer)
        modified = self._operation.decoder.settings.modified
        if modified is not None and is_naive(answer.tolerated, modified):
            raise no_zone(modified)
        self._caller.check_relation(answer, write=False)
        self._judge(http, answer)

    def _judge(self, http: HttpAnswer, answer: Answer) -> None:
        operation, fault = self._operation, answer.fault
        if fault is not None:
            self.meaning = meaning_of_fault(operation.rules, fault)
        elif http.status >= HTTPStatus.BAD_REQUEST:
            raise read_status_error(http.status, http.retry_after, operation.where)
        else:
            self.meaning = meaning_of_result(operation.rules, answer.text)
        self._caller.session_lost(self.meaning)
        error = read_error(self.meaning, fault, operation.where)
        if isinstance(error, NotApplied):
            error.retry_after = http.retry_after
        if error is not None:
            raise error
        if self.meaning is None and operation.ok is not None:
            self._check_ok(answer)

    def _check_ok(self, answer: Answer) -> None:
        operation = self._operation
        test = operation.ok
        if test is not None and not fits(answer.text(test.path), test.equals):
            raise Rejected(
                f"{operation.where}: the answer does not say success (ok). Add a rule "
                "for what it says.",
                code="soap.not-ok",
            )


def readable(http: HttpAnswer) -> bool:
    """True if the body may be an envelope; servers often tell a wrong type."""
    media = http.media_type
    if media in _PAGES:
        return False
    return (
        not media
        or "xml" in media
        or media
        in {
            "multipart/related",
            "text/plain",
            "application/octet-stream",
        }
    )


def _unreadable(http: HttpAnswer, what: str) -> MoatbridgeError:
    if http.status >= HTTPStatus.BAD_REQUEST:
        return read_status_error(http.status, http.retry_after, what)
    title = http.title() if http.media_type in _PAGES else ""
    told = f'; its title is "{title}"' if title else ""
    kind = "an HTML page" if http.media_type in _PAGES else "no XML"
    return NotApplied(
        f"{what} was answered with {kind}{told}. Check the endpoint, and whether a "
        "login page or a proxy stands in front.",
        code="soap.not-soap",
    )
