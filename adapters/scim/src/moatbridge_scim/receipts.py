"""What the peer's answer to one write means. Pure (platforms 4 and 16-22)."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit

from moatbridge.changes import Receipt, Ref
from moatbridge.errors import NotApplied, OutcomeUnknown
from moatbridge.http import judge
from moatbridge_scim.resources import version_of
from moatbridge_scim.walk import MAX_ID, identifier

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moatbridge.changes import Intent
    from moatbridge.errors import MoatbridgeError
    from moatbridge.http import Response
    from moatbridge_scim.requests import Shape

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
_PLAIN_LOCATION: Final = re.compile(
    r"(?:https?://[A-Za-z0-9.:-]++)?(?:/[A-Za-z0-9._~-]++)*/([A-Za-z0-9_-]++)"
)
_MOST_DIGITS: Final = 9
_CODES: Final = {str(code): code for code in range(200, 600)}
"""What `judge` reads; an operation with any other status has no result."""
_TAKEN: Final = "uniqueness"
_NO_TARGET: Final = "notarget"


class Answer(NamedTuple):
    """One answered operation, whether it came alone or inside a bulk response.

    Args:
        status: HTTP status.
        resource: The resource or error document; empty if none came.
        ident: Id from the location, for answers without a resource.
        version: ETag told outside the resource.
        retry_after: Seconds.
    """

    status: int
    resource: Mapping[str, Any] = _NOTHING
    ident: str = ""
    version: str | None = None
    retry_after: float | None = None

    def __repr__(self) -> str:
        return f"Answer({self.status})"


def answer_of(response: Response) -> Answer:
    """The answer to a request of its own."""
    headers = response.headers
    return Answer(
        response.status,
        response.mapping,
        ident_of(headers.get("location", "")),
        headers.get("etag"),
        response.rate.retry_after,
    )


def receipt_of(answer: Answer, intent: Intent, shape: Shape) -> Receipt:
    """The receipt of one intent's last request."""
    verdict = judge(answer.status, intent.op, retry_after=answer.retry_after)
    if verdict.outcome == "applied":
        return _applied(answer, intent, shape)
    reason = _finer(answer, intent, verdict.reason)
    outcome = "not_applied" if reason == "stale" else verdict.outcome
    return Receipt(
        outcome, intent.ref, retry_after=answer.retry_after, code=f"scim.{reason}"
    )


def is_conflict(receipt: Receipt) -> bool:
    """True if a create met a value that is taken."""
    return receipt.outcome == "rejected" and receipt.reason == "conflict"


def bulk_answers(body: Any, count: int, idents: Sequence[str]) -> list[Answer | None]:
    """The answers inside a bulk response, by position; None where there is none.

    Args:
        body: The response.
        count: Operations sent.
        idents: Their resource ids, "" for creates: a peer that does not repeat
            ``bulkId`` is understood by location.
    """
    found: list[Answer | None] = [None] * count
    positions = {str(at): at for at in range(count)}
    operations = body.get("Operations") if isinstance(body, dict) else None
    for operation in operations if isinstance(operations, list) else ():
        answer = _operation(operation) if isinstance(operation, dict) else None
        if answer is None:
            continue
        bulk_id = operation.get("bulkId")
        at = positions.get(bulk_id) if bulk_id.__class__ is str else None
        if at is None:
            at = _position(bulk_id, answer.ident, count, idents)
        if at is not None and found[at] is None:
            found[at] = answer
    return found


def failed(error: MoatbridgeError, intent: Intent) -> Receipt:
    """The receipt of an intent whose request ended in an error."""
    if isinstance(error, OutcomeUnknown):
        return Receipt("unknown", intent.ref, code=error.code)
    wait = error.retry_after if isinstance(error, NotApplied) else None
    return Receipt("not_applied", intent.ref, retry_after=wait, code=error.code)


def ident_of(location: str) -> str:
    """The id a location ends with; "" if there is none."""
    plain = _PLAIN_LOCATION.fullmatch(location)
    if plain is not None:
        return plain[1] if len(plain[1]) <= MAX_ID else ""
    try:
        path = urlsplit(location).path
    except ValueError:  # no address at all
        return ""
    return identifier({"id": unquote(path.rstrip("/").rpartition("/")[2])})


def _applied(answer: Answer, intent: Intent, shape: Shape) -> Receipt:
    if intent.ref is None and answer.ident and not answer.resource:
        return Receipt("applied", Ref(answer.ident), answer.version)
    wanted = str(intent.ref.id) if intent.ref else ""
    told = identifier(answer.resource) or answer.ident
    version = version_of(answer.resource) or answer.version
    if intent.op == "delete":
        return Receipt("applied", intent.ref, version)
    if not wanted and not told:
        return Receipt("unknown", code="scim.no-id")
    if wanted and identifier(answer.resource) not in {"", wanted}:
        return Receipt("unknown", intent.ref, code="scim.other-id")
    ref = intent.ref if wanted else Ref(told)
    return Receipt("applied", ref, version, _stored(answer.resource, shape))


def _stored(resource: Mapping[str, Any], shape: Shape) -> dict[str, Any] | None:
    if not identifier(resource):
        return None
    try:
        return shape.record_of(resource).data
    except ValueError:
        return None


def _finer(answer: Answer, intent: Intent, reason: str) -> str:
    word = str(answer.resource.get("scimType", "")).lower()
    if word == _TAKEN:
        return "conflict"
    # A filter without match: the entry went away since the before-image was taken.
    if word == _NO_TARGET and intent.op == "update":
        return "stale"
    return reason


def _operation(operation: Mapping[str, Any]) -> Answer | None:
    status = operation.get("status")
    code = _CODES.get(status) if status.__class__ is str else _code(status)
    if code is None:
        return None
    resource, location = operation.get("response"), operation.get("location")
    version = operation.get("version")
    return Answer(
        code,
        resource if isinstance(resource, dict) else _NOTHING,
        ident_of(location if isinstance(location, str) else str(location or "")),
        version if isinstance(version, str) else None,
    )


def _code(status: Any) -> int | None:
    """The HTTP status, which some peers give as a number or in an object."""
    told = status.get("code") if isinstance(status, dict) else status
    return _CODES.get(str(told))


def _position(
    bulk_id: Any, ident: str, count: int, idents: Sequence[str]
) -> int | None:
    if isinstance(bulk_id, str) and _is_number(bulk_id) and int(bulk_id) < count:
        return int(bulk_id)
    if bulk_id is None and ident and ident in idents:
        return idents.index(ident)
    return None


def _is_number(text: str) -> bool:
    # `isdigit` alone takes superscripts, which are no numbers to `int`.
    return text.isdigit() and text.isascii() and len(text) <= _MOST_DIGITS
