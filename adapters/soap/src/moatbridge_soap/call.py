"""`Caller`: one operation call over one connection, for reads and for writes.

A read raises typed errors while it is iterated. A write never raises for what the
service did: it comes back as a `Verdict` (the table of soap 4). Only what concerns the
whole system (who we are, a redirect, TLS) is raised, and only because nothing happened.
"""

from __future__ import annotations

import datetime as dt
import logging
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

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
    write_by_fault,
    write_by_meaning,
    write_by_status,
)
from moatbridge_soap.headers import Headers
from moatbridge_soap.operation import RELATES
from moatbridge_soap.reading import Reading, readable
from moatbridge_soap.wsdl import PostingTransport, zeep_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moatbridge_soap.config.rules import Meaning
    from moatbridge_soap.config.system import SoapConfig
    from moatbridge_soap.decode import Answer, Item
    from moatbridge_soap.http import Endpoint, HttpAnswer
    from moatbridge_soap.operation import Operation
    from moatbridge_soap.session import Login
    from moatbridge_soap.wsdl import Description, Port

_log = logging.getLogger("moatbridge_soap")

_EMPTY: Final = frozenset({HTTPStatus.OK, HTTPStatus.ACCEPTED, HTTPStatus.NO_CONTENT})


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
        self.zone = ZoneInfo(config.timezone) if config.timezone else None
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
        self.prepare()
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
        self.session_lost(written.meaning)
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
        if operation.request.uses("today"):
            values = {**values, "today": dt.datetime.now(self.zone or dt.UTC).date()}
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

    def prepare(self) -> None:
        """Log in, if that is configured and not done yet."""
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
            if http.finished:
                return Written(Verdict("applied", ""))
            return Written(Verdict("unknown", "soap.truncated"))  # of a fault, perhaps
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

    def session_lost(self, meaning: Meaning | None) -> None:
        """Forget the login's token if a rule said that it has expired."""
        if meaning == "session" and self._login is not None:
            self._login.drop()


__all__ = ["Caller", "Reading", "Written"]
