"""`Caller`: one operation call over one connection, for reads and for writes.

A read raises typed errors while it is iterated. A write never raises for what the
service did: it comes back as a `Verdict` (the table of soap 4). Only what concerns the
whole system (who we are, a redirect, TLS) is raised, and only because nothing happened.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from zeep import Client
from zeep.exceptions import Error as ZeepError
from zeep.proxy import ServiceProxy

from moatbridge.errors import (
    ConfigurationError,
    MoatbridgeError,
    NotApplied,
    OutcomeUnknown,
    Rejected,
)
from moatbridge_soap.auth import Addressing, envelope_auth
from moatbridge_soap.config.rules import fits
from moatbridge_soap.faults import (
    Verdict,
    meaning_of_fault,
    meaning_of_result,
    read_error,
    read_status_error,
    write_by_fault,
    write_by_meaning,
    write_by_status,
)
from moatbridge_soap.headers import Headers
from moatbridge_soap.operation import RELATES
from moatbridge_soap.wsdl import PostingTransport, zeep_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from moatbridge_soap.config.rules import Meaning
    from moatbridge_soap.config.system import SoapConfig
    from moatbridge_soap.decode import Answer, Item
    from moatbridge_soap.http import Endpoint, HttpAnswer
    from moatbridge_soap.operation import Operation
    from moatbridge_soap.session import Login
    from moatbridge_soap.wsdl import Description, Port

_log = logging.getLogger("moatbridge_soap")

_EMPTY: Final = frozenset({HTTPStatus.OK, HTTPStatus.ACCEPTED, HTTPStatus.NO_CONTENT})
_PAGES: Final = frozenset({"text/html", "application/xhtml+xml"})


@dataclass(slots=True)
class Written:
    """What a write came to.

    Args:
        verdict: Outcome and code.
        retry_after: Seconds to wait, if the service said so.
        answer: The answer, where it was read to its end and is no fault.
        items: Its items.
        meaning: What a rule said.
    """

    verdict: Verdict
    retry_after: float | None = None
    answer: Answer | None = field(default=None, repr=False)
    items: list[Item] = field(default_factory=list, repr=False)
    meaning: Meaning | None = None


class Caller:
    """Calls operations of one port over one connection. One thread at a time.

    Args:
        config: The system's settings.
        description: The parsed WSDL.
        port: The chosen port.
        endpoint: The connection.
        signer: zeep's hook for signing, if signatures are configured; its ``check``
            verifies an answer's envelope and returns the Body it vouches for.
    """

    def __init__(
        self,
        config: SoapConfig,
        description: Description,
        port: Port,
        endpoint: Endpoint,
        signer: Any = None,
    ) -> None:
        self.endpoint = endpoint
        self.tolerated: dict[str, int] = {}
        self._headers = Headers(config, description.document, port)
        self._addressing = Addressing(config, announced=description.addressing)
        self._login: Login | None = None
        self._verify = getattr(signer, "check", None)
        self._write = False
        self._extra: dict[str, str] = {}
        client = Client(  # type: ignore[no-untyped-call] # zeep is untyped
            description.document,
            transport=PostingTransport(self._post),
            settings=zeep_settings(),
            plugins=[self._addressing],
            wsse=envelope_auth(config, *([signer] if signer is not None else [])),
        )
        self._service = ServiceProxy(client, port.binding, address=endpoint.url)  # type: ignore[no-untyped-call] # zeep is untyped

    def use_login(self, login: Login) -> None:
        """Log in before the first call, and put the token into each."""
        self._login = login

    def read(self, operation: Operation, values: Mapping[str, Any]) -> Reading:
        """Call an operation without effects; nothing is sent before it is iterated."""
        return Reading(self, operation, values)

    def write(
        self, operation: Operation, values: Mapping[str, Any], key: str | None
    ) -> Written:
        """Call an operation with effects and read its whole answer.

        Raises:
            ConfigurationError: The system as a whole is not usable; nothing happened.
            NotApplied: The login failed for now; nothing happened.
        """
        started = time.perf_counter()
        self._prepare()
        try:
            http = self.exchange(operation, values, write=True, key=key)
        except OutcomeUnknown as error:
            return Written(Verdict("unknown", error.code))
        except NotApplied as error:
            return Written(Verdict("not_applied", error.code), error.retry_after)
        except Rejected as error:
            return Written(Verdict("rejected", error.code))
        except ConfigurationError as error:
            if error.code != "soap.placeholder":
                raise
            return Written(Verdict("rejected", "soap.required"))
        try:
            written = self._judged(operation, http)
        except MoatbridgeError as error:
            written = Written(Verdict("unknown", error.code))
        finally:
            http.end()
        written.retry_after = http.retry_after
        self._session_lost(written.meaning)
        self.log(operation, http, len(written.items), started)
        return written

    def exchange(
        self,
        operation: Operation,
        values: Mapping[str, Any],
        *,
        write: bool,
        key: str | None = None,
    ) -> HttpAnswer:
        """Build the envelope, post it, return the unread answer."""
        if self._login is not None:
            values = {**values, **self._login.values()}
        arguments = operation.request.build(values)
        self._write = write
        self._place_key(operation, key)
        headers = self._headers.blocks(self._login)
        if headers:
            arguments["_soapheaders"] = headers
        try:
            found: HttpAnswer = self._service[operation.name](**arguments)
        except MoatbridgeError:
            raise
        except (ZeepError, TypeError, ValueError, AttributeError, KeyError) as error:
            raise Rejected(
                f"{operation.where}: the request cannot be written "
                f"({type(error).__name__}); nothing was sent.",
                code="soap.data",
            ) from error
        return found

    def decode(self, operation: Operation, http: HttpAnswer) -> Answer:
        """The answer, ready to be iterated."""
        return operation.decoder.read(
            http.chunks(), content_type=http.content_type, verify=self._verify
        )

    def check_relation(self, answer: Answer, *, write: bool) -> None:
        """The answer must be about our message, if it says which it is about.

        Raises:
            OutcomeUnknown: ``soap.other-answer``, for a write; else `NotApplied`.
        """
        sent = self._addressing.sent
        if sent is None:
            return
        told = answer.text(RELATES)
        if told is not None and told.strip() != sent:
            words = "The answer relates to another message than ours."
            kind = OutcomeUnknown if write else NotApplied
            raise kind(words, code="soap.other-answer")

    def note(self, answer: Answer) -> None:
        """Add up what the decoder tolerated."""
        for name, count in answer.tolerated.items():
            self.tolerated[name] = self.tolerated.get(name, 0) + count

    def log(
        self, operation: Operation, http: HttpAnswer, items: int, started: float
    ) -> None:
        """One line for each call; never an envelope."""
        if _log.isEnabledFor(logging.DEBUG):
            milliseconds = (time.perf_counter() - started) * 1000
            _log.debug(
                "%s: HTTP %d, %d bytes, %d items, %.0f ms",
                operation.name, http.status, http.bytes, items, milliseconds,
            )  # fmt: skip

    def _prepare(self) -> None:
        if self._login is not None:
            self._login.ensure()

    def _post(self, message: bytes, headers: Mapping[str, str]) -> HttpAnswer:
        sent = {**headers, **self._extra}
        return self.endpoint.post(message, sent, write=self._write)

    def _place_key(self, operation: Operation, key: str | None) -> None:
        self._extra = {}
        where = operation.idempotency
        if key is None or where is None or where.header is None:
            return
        if where.header.lower() == "wsa:messageid":
            self._addressing.key = key
        else:
            self._extra = {where.header: key}

    def _judged(self, operation: Operation, http: HttpAnswer) -> Written:
        if operation.one_way and http.status in _EMPTY and not http.read_some(1):
            return Written(Verdict("applied", ""))
        if not readable(http):
            if http.status < HTTPStatus.MULTIPLE_CHOICES:
                return Written(Verdict("unknown", "soap.not-soap"))
            return Written(write_by_status(http.status, http.retry_after))
        answer = self.decode(operation, http)
        try:
            items = list(answer)
        except MoatbridgeError:
            if http.status < HTTPStatus.BAD_REQUEST:
                raise
            return Written(write_by_status(http.status, http.retry_after))
        self.note(answer)
        self.check_relation(answer, write=True)
        return self._verdict(operation, http, answer, items)

    def _verdict(
        self, operation: Operation, http: HttpAnswer, answer: Answer, items: list[Item]
    ) -> Written:
        fault = answer.fault
        if fault is not None:
            meaning = meaning_of_fault(operation.rules, fault)
            known = write_by_fault(fault) if meaning is None else None
            told = http.status == HTTPStatus.SERVICE_UNAVAILABLE and http.retry_after
            if known is not None and known.outcome == "unknown" and told:
                known = Verdict("not_applied", "soap.busy")
            verdict = known or write_by_meaning(meaning)  # type: ignore[arg-type]
            return Written(verdict, meaning=meaning)
        if http.status >= HTTPStatus.BAD_REQUEST:
            return Written(write_by_status(http.status, http.retry_after))
        meaning = meaning_of_result(operation.rules, answer.text)
        if meaning is not None:
            return Written(write_by_meaning(meaning), None, answer, items, meaning)
        if operation.ok is not None and not fits(
            answer.text(operation.ok.path), operation.ok.equals
        ):
            return Written(Verdict("unknown", "soap.not-ok"))
        return Written(Verdict("applied", ""), None, answer, items)

    def _session_lost(self, meaning: Meaning | None) -> None:
        if meaning == "session" and self._login is not None:
            self._login.drop()


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

    def __iter__(self) -> Iterator[Item]:
        """Send the request, yield the items as they come, judge the rest."""
        started = time.perf_counter()
        self._caller._prepare()  # noqa: SLF001 - two halves of one thing
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
        answer = self._caller.decode(self._operation, http)
        try:
            yield from answer
        except NotApplied:
            if http.status >= HTTPStatus.BAD_REQUEST:
                error = read_status_error(http.status, http.retry_after, what)
                raise error from None
            raise
        self.answer = answer
        self._caller.note(answer)
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
        self._caller._session_lost(self.meaning)  # noqa: SLF001 - two halves of one thing
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


__all__ = ["Caller", "Reading", "Written", "readable"]
