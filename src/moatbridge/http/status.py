"""HTTP status -> outcome: one table for all adapters (platforms 4), pure."""

from __future__ import annotations

from http import HTTPStatus as S
from typing import TYPE_CHECKING, Final, NamedTuple

from moatbridge.errors import (
    ConfigurationError,
    MoatbridgeError,
    NotApplied,
    OutcomeUnknown,
    Rejected,
)

if TYPE_CHECKING:
    from moatbridge.changes import Op, Outcome
    from moatbridge.errors import RejectKind
    from moatbridge.http.client import Response

_LATER: Final = frozenset({S.REQUEST_TIMEOUT, S.TOO_EARLY, S.TOO_MANY_REQUESTS})
_GONE: Final = frozenset({S.NOT_FOUND, S.GONE})
_KINDS: Final[dict[str, RejectKind]] = {
    "gone": "gone",
    "rights": "rights",
    "conflict": "conflict",
}


class Judgement(NamedTuple):
    """What a status means for one write.

    Args:
        outcome: As in a receipt.
        reason: Last word of the receipt's code (``stale``, ``conflict``, ``gone``,
            ``rights``, ``data``, ``busy``, ``server``); empty when applied.
        system: True when the system is at fault, not the record (401).
    """

    outcome: Outcome
    reason: str = ""
    system: bool = False


def judge(
    status: int,
    op: Op,
    *,
    retry_after: float | None = None,
    trust_503: bool = False,
) -> Judgement:
    """Read the status of an answered write.

    Args:
        status: 200 to 599; 3xx never get here.
        op: What was tried.
        retry_after: From the answer; decides how a 503 is read (DESIGN 4).
        trust_503: The server is known to answer 503 only before doing anything.
    """
    if status < S.MULTIPLE_CHOICES:
        return Judgement("applied")
    if status in _GONE and op != "create":
        return Judgement("applied") if op == "delete" else Judgement("rejected", "gone")
    if status in _LATER:
        return Judgement("not_applied", "busy")
    if status == S.SERVICE_UNAVAILABLE and (retry_after is not None or trust_503):
        return Judgement("not_applied", "busy")
    if status >= S.INTERNAL_SERVER_ERROR:
        return _server_error(status)
    return _refusal(status)


def _server_error(status: int) -> Judgement:
    # 501 says that the server does not know the method: nothing can have happened.
    if status == S.NOT_IMPLEMENTED:
        return Judgement("rejected", "data")
    return Judgement("unknown", "server")


def _refusal(status: int) -> Judgement:
    if status == S.PRECONDITION_FAILED:
        return Judgement("not_applied", "stale")
    if status == S.UNAUTHORIZED:
        return Judgement("not_applied", "auth", system=True)
    if status == S.FORBIDDEN:
        return Judgement("rejected", "rights")
    if status == S.CONFLICT:
        return Judgement("rejected", "conflict")
    return Judgement("rejected", "data")


def check_read(response: Response, *, area: str) -> None:
    """Raise the error that a refused *read* means; return if it succeeded.

    To a safe call "unknown" does not exist: 5xx are `NotApplied`.

    Raises:
        NotApplied: ``AREA.busy`` or ``AREA.server``; may carry ``retry_after``.
        Rejected: ``AREA.gone``, ``AREA.rights``, ``AREA.data``.
        ConfigurationError: ``http.auth``.
    """
    if response.status < S.MULTIPLE_CHOICES:
        return
    raise read_error(response, area=area)


def check_write(response: Response, op: Op, *, area: str) -> None:
    """Raise the error that a refused *write* means; return if it was carried out.

    A delete of what is gone already is carried out.

    Raises:
        NotApplied: ``AREA.busy`` or ``AREA.stale``; may carry ``retry_after``.
        OutcomeUnknown: ``AREA.server``: a 5xx says nothing about what happened.
        Rejected: ``AREA.gone``, ``AREA.conflict``, ``AREA.rights``, ``AREA.data``.
        ConfigurationError: ``http.auth``.
    """
    wait = response.rate.retry_after
    verdict = judge(response.status, op, retry_after=wait)
    what = f"{response.method} {response.template} was answered {response.status}"
    code = f"{area}.{verdict.reason}"
    if verdict.outcome == "unknown":
        raise OutcomeUnknown(f"{what}; nobody knows what happened.", code=code)
    if verdict.outcome != "applied":
        raise _refused(verdict, what, code, wait)


def _refused(
    verdict: Judgement, what: str, code: str, wait: float | None
) -> MoatbridgeError:
    if verdict.system:
        words = f"{what}: the credentials are not accepted. Check auth."
        return ConfigurationError(words, code="http.auth")
    if verdict.outcome == "rejected":
        kind = _KINDS.get(verdict.reason, "data")
        words = f"{what}; repeating it is pointless."
        return Rejected(words, code=code, kind=kind)
    return NotApplied(f"{what}; try again later.", code=code, retry_after=wait)


def read_error(response: Response, *, area: str) -> MoatbridgeError:
    """The typed error of a refused read; see `check_read`."""
    status, wait = response.status, response.rate.retry_after
    what = f"{response.method} {response.template} was answered {status}"
    verdict = judge(status, "update", retry_after=wait)
    return _refused(verdict, what, f"{area}.{verdict.reason}", wait)
