"""Writes: one by one or in bulk, a receipt for each intent.

No request is repeated here. What ends a whole call (no credentials, no time, "slow
down") stops the sending: the rest is `not_applied`, because nothing of it has left.
"""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from moatbridge.adapter import Query
from moatbridge.changes import Intent, Receipt
from moatbridge.errors import ConfigurationError, MoatbridgeError, NotApplied
from moatbridge_scim import receipts
from moatbridge_scim.preparing import Job, prepare
from moatbridge_scim.receipts import Answer
from moatbridge_scim.requests import bulk_body

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from moatbridge.changes import Record
    from moatbridge.http import HttpClient
    from moatbridge_scim.config import ScimConfig
    from moatbridge_scim.reading import Reader
    from moatbridge_scim.requests import Request, Shape

_PAYLOAD_SHARE: Final = 0.9
_NO_BULK: Final = frozenset(
    {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED}
)
_AROUND: Final = 200
"""Bytes round the data of one bulk operation, generously."""
_STOPPING: Final = frozenset({"busy", "auth"})
_PAUSE: Final = 10.0
_DOUBTS: Final = 2
"""Requests in a row without a usable answer after which a write call sends no more."""


class Writer:
    """Writes to one stream.

    Args:
        client: The open connection.
        reader: Reads the same stream.
        shape: Its kind and fields.
        config: The system's settings.
        disable: True if a delete only disables.
    """

    def __init__(
        self,
        client: HttpClient,
        reader: Reader,
        shape: Shape,
        *,
        config: ScimConfig,
        disable: bool,
    ) -> None:
        self._client = client
        self._reader = reader
        self._shape = shape
        self._adopt = config.adopt == "match"
        self._disable = disable
        self._bulk = config.bulk == "auto" and reader.abilities.bulk > 1
        self.drops_external_id = False

    def write(self, intents: Sequence[Intent]) -> list[Receipt]:
        """See `CanWrite.write`."""
        jobs = [Job(intent) for intent in intents]
        prepare(jobs, self._shape, self._reader, disable=self._disable)
        _Round(self, jobs).run()
        self._settle_conflicts(jobs)
        return [job.receipt or _unsent(job) for job in jobs]

    @property
    def batch(self) -> int:
        """Intents in one bulk request; 1 where there is none."""
        return self._reader.abilities.bulk if self._bulk else 1

    def send(self, request: Request) -> Answer:
        """Send one request of its own."""
        endpoint = self._reader.type.endpoint
        headers = {"If-Match": request.version} if request.version else None
        return receipts.answer_of(
            self._client.request(
                request.method,
                endpoint + "/{id}" if request.ident else endpoint,
                params={"id": request.ident},
                json=request.data,
                headers=headers,
            )
        )

    def send_bulk(self, jobs: Sequence[Job]) -> list[Answer | None] | Answer:
        """Send one bulk request: its answers by position, or why it was refused."""
        body = bulk_body([job.requests[0] for job in jobs], self._reader.type.endpoint)
        response = self._client.request("POST", "/Bulk", json=body)
        if not response.ok:
            if response.status in _NO_BULK:
                self._bulk = False
            return receipts.answer_of(response)
        idents = [job.ident for job in jobs]
        return receipts.bulk_answers(response.body, len(jobs), idents)

    def receipt(self, job: Job, answer: Answer) -> Receipt:
        """The receipt of an answered operation."""
        return receipts.receipt_of(answer, job.intent, self._shape)

    def judged(self, job: Job, answer: Answer) -> Receipt:
        """The same, watching for a dropped externalId and for lost rights."""
        receipt = self.receipt(job, answer)
        if receipt.outcome != "applied" and receipt.reason == "rights":
            self._reader.may_list()
        if receipt.stored is not None and job.intent.op == "create":
            sent = (job.intent.record or {}).get("externalId")
            if sent:
                self.drops_external_id = receipt.stored.get("externalId") != sent
        return receipt

    def chunks(self, jobs: Sequence[Job]) -> Iterator[list[Job]]:
        """Cut jobs into bulk requests by number and size."""
        limit = self._reader.abilities.bulk_bytes * _PAYLOAD_SHARE or float("inf")
        chunk: list[Job] = []
        size = 0
        for job in jobs:
            weight = len(job.requests[0].data or b"") + _AROUND
            if chunk and (len(chunk) == self.batch or size + weight > limit):
                yield chunk
                chunk, size = [], 0
            chunk.append(job)
            size += weight
        if chunk:
            yield chunk

    def _settle_conflicts(self, jobs: Sequence[Job]) -> None:
        """A create that met a taken name may be our own lost answer (platforms 16)."""
        field = "userName" if self._shape.kind == "Person" else "externalId"
        met = [job for job in jobs if _met_conflict(job, field)]
        if not met or not self._reader.honest:
            return
        queries = [Query(field, str((j.intent.record or {})[field])) for j in met]
        try:
            found = self._reader.find(queries)
        except MoatbridgeError as error:
            # The creates were refused, so trying again is safe and will end here.
            for job in met:
                job.receipt = receipts.failed(_softened(error), job.intent)
            return
        for job, hits in zip(met, found, strict=True):
            if len(hits) == 1:
                self._settle(job, hits[0])

    def _settle(self, job: Job, hit: Record) -> None:
        mine = (job.intent.record or {}).get("externalId")
        theirs = hit.data.get("externalId")
        if mine and theirs == mine:
            job.receipt = Receipt("applied", hit.ref, hit.version, hit.data)
        elif not theirs and self._adopt:
            job.receipt = self._adopted(job.intent, hit)

    def _adopted(self, intent: Intent, hit: Record) -> Receipt:
        """Link an account that was there before us, and bring it up to date."""
        owned = tuple(intent.record or ())
        update = replace(intent, op="update", ref=hit.ref, owned=owned, before=None)
        job = Job(update)
        try:
            prepare([job], self._shape, self._reader, disable=self._disable)
            _Round(self, [job]).run()
        except MoatbridgeError as error:
            return receipts.failed(_softened(error), intent)
        receipt = job.receipt or _unsent(job)
        applied = receipt.outcome == "applied"
        return replace(receipt, code="scim.adopted") if applied else receipt


class _Round:
    """Sends the requests of one write call, until done or told to stop."""

    def __init__(self, writer: Writer, jobs: Sequence[Job]) -> None:
        self._writer = writer
        self._jobs = [job for job in jobs if job.receipt is None]
        self._effects = False
        self._stopped: Receipt | None = None
        self._doubts = 0

    def run(self) -> None:
        single = [job for job in self._jobs if len(job.requests) == 1]
        if self._writer.batch > 1 and len(single) > 1:
            for chunk in self._writer.chunks(single):
                self._bulk(chunk)
        for job in self._jobs:
            if job.receipt is None:
                self._one(job)

    def _one(self, job: Job) -> None:
        if self._stopped is not None:
            job.receipt = replace(self._stopped, ref=job.intent.ref)
            return
        try:
            job.receipt = self._sequence(job)
        except MoatbridgeError as error:
            self._failed([job], error)
        else:
            self._after(job.receipt)

    def _sequence(self, job: Job) -> Receipt:
        """Several requests are one intent: a membership larger than one PATCH."""
        receipt = Receipt("applied", job.intent.ref)
        for position, request in enumerate(job.requests):
            if position:
                # The ETag moved with our own change.
                request = request._replace(version=receipt.version)  # noqa: PLW2901
            try:
                receipt = self._writer.judged(job, self._writer.send(request))
            except (NotApplied, ConfigurationError) as error:
                if not position:
                    raise
                receipt = receipts.failed(error, job.intent)
            self._effects |= receipt.outcome in {"applied", "unknown"}
            if receipt.outcome != "applied":
                return _halfway(receipt) if position else receipt
        return receipt

    def _bulk(self, jobs: list[Job]) -> None:
        if self._stopped is not None or not jobs:
            return
        try:
            answers = self._writer.send_bulk(jobs)
        except MoatbridgeError as error:
            self._failed(jobs, error)
            return
        if isinstance(answers, Answer):
            self._bulk_refused(jobs, answers)
            return
        self._effects = True
        for job, answer in zip(jobs, answers, strict=True):
            if answer is None:
                job.end("unknown", "no-result")
            elif answer.status < HTTPStatus.MULTIPLE_CHOICES and not answer.resource:
                job.receipt = self._writer.receipt(job, answer)  # nothing to watch for
            else:
                self._bulk_receipt(job, answer)

    def _bulk_receipt(self, job: Job, answer: Answer) -> None:
        try:
            job.receipt = self._writer.judged(job, answer)
        except MoatbridgeError as error:
            self._failed([job], error)

    def _bulk_refused(self, jobs: list[Job], answer: Answer) -> None:
        receipt = self._writer.receipt(jobs[0], answer)
        if answer.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE and len(jobs) > 1:
            half = len(jobs) // 2
            self._bulk(jobs[:half])
            self._bulk(jobs[half:])
        elif receipt.outcome in {"not_applied", "unknown"}:
            for job in jobs:
                job.receipt = replace(receipt, ref=job.intent.ref)
            self._effects |= receipt.outcome == "unknown"
            self._after(receipt)
        # Any other refusal is of the bulk request itself: each goes by itself.

    def _failed(self, jobs: Sequence[Job], error: MoatbridgeError) -> None:
        if isinstance(error, ConfigurationError) and not self._effects:
            raise error
        self._effects |= not isinstance(error, NotApplied | ConfigurationError)
        for job in jobs:
            job.receipt = receipts.failed(error, job.intent)
        if isinstance(error, NotApplied | ConfigurationError):
            self._stopped = receipts.failed(error, jobs[0].intent)
        else:
            self._after(receipts.failed(error, jobs[0].intent))

    def _after(self, receipt: Receipt) -> None:
        """Whether to go on: one record may be too much for a platform, two mean it."""
        self._doubts = self._doubts + 1 if receipt.outcome == "unknown" else 0
        if receipt.outcome == "not_applied" and receipt.reason in _STOPPING:
            self._stopped = receipt
        elif self._doubts == _DOUBTS:
            self._stopped = Receipt(
                "not_applied", retry_after=_PAUSE, code="scim.not-sent"
            )


def _halfway(receipt: Receipt) -> Receipt:
    """Part of the membership is changed: fetch and plan again, never repeat blindly."""
    if receipt.outcome == "unknown":
        return receipt
    return replace(receipt, outcome="not_applied", code="scim.stale")


def _met_conflict(job: Job, field: str) -> bool:
    receipt = job.receipt
    if receipt is None or receipt.outcome != "rejected" or job.intent.op != "create":
        return False
    return receipts.is_conflict(receipt) and bool((job.intent.record or {}).get(field))


def _softened(error: MoatbridgeError) -> MoatbridgeError:
    if isinstance(error, NotApplied):
        return error
    return NotApplied(error.message, code=error.code)


def _unsent(job: Job) -> Receipt:
    return Receipt("not_applied", job.intent.ref, code="scim.not-sent")
