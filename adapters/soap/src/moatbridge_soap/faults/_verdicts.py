"""What an answer means: errors for reads, outcomes for writes (soap 4 and 5). Pure."""

from __future__ import annotations

from http import HTTPStatus as S
from typing import TYPE_CHECKING, Final, NamedTuple

from moatbridge.errors import (
    ConfigurationError,
    CursorTooOld,
    MoatbridgeError,
    NotApplied,
    Rejected,
)
from moatbridge_soap.faults._matching import has_code

if TYPE_CHECKING:
    from moatbridge.changes import Outcome
    from moatbridge_soap.config.rules import Meaning
    from moatbridge_soap.decode import Fault

_AUTH: Final = (
    "FailedAuthentication",
    "InvalidSecurity",
    "InvalidSecurityToken",
    "FailedCheck",
    "SecurityTokenUnavailable",
    "UnsupportedSecurityToken",
    "MessageExpired",
)
_REFUSALS: Final = (
    "Client",
    "VersionMismatch",
    "MustUnderstand",
    "DataEncodingUnknown",
)

_NOT_APPLIED: Final = frozenset({401, 403, 404, 405, 407, 415, 429})
_SYSTEM: Final = frozenset({401, 403, 407})

WRITE_MEANINGS: Final[dict[Meaning, tuple[Outcome, str]]] = {
    "applied": ("applied", ""),
    "not_applied": ("not_applied", "soap.not-applied"),
    "rejected": ("rejected", "soap.data"),
    "stale": ("not_applied", "soap.stale"),
    "duplicate": ("rejected", "soap.conflict"),
    "conflict": ("rejected", "soap.conflict"),
    "forbidden": ("rejected", "soap.rights"),
    "unknown": ("unknown", "soap.unknown"),
    "absent": ("rejected", "soap.gone"),
    "config": ("not_applied", "soap.refused"),
    "cursor": ("not_applied", "soap.stale"),
    "session": ("not_applied", "soap.session-expired"),
}
"""Outcome and code of a rule's meaning, for a write."""


_READ_MEANINGS: Final[dict[Meaning, tuple[type[MoatbridgeError], str]]] = {
    "cursor": (CursorTooOld, "soap.cursor"),
    "config": (ConfigurationError, "soap.refused"),
    "session": (NotApplied, "soap.session-expired"),
    "not_applied": (NotApplied, "soap.server-fault"),
    "unknown": (NotApplied, "soap.server-fault"),
    "stale": (NotApplied, "soap.server-fault"),
    "rejected": (Rejected, "soap.client-fault"),
    "conflict": (Rejected, "soap.conflict"),
    "forbidden": (Rejected, "soap.rights"),
    "duplicate": (Rejected, "soap.client-fault"),
}


class Verdict(NamedTuple):
    """What became of one write.

    Args:
        outcome: As in receipts.
        code: As in receipts.
        system: The whole system is refused, not this write: stop.
    """

    outcome: Outcome
    code: str
    system: bool = False


def write_by_meaning(meaning: Meaning) -> Verdict:
    """The verdict that a rule asks for."""
    outcome, code = WRITE_MEANINGS[meaning]
    return Verdict(outcome, code, system=meaning == "config")


def write_by_fault(fault: Fault) -> Verdict:
    """The verdict on a fault without a rule."""
    if has_code(fault, _AUTH):
        return Verdict("not_applied", "soap.auth", system=True)
    if has_code(fault, _REFUSALS):
        return Verdict("rejected", "soap.client-fault")
    return Verdict("unknown", "soap.server-fault")


def write_by_status(status: int, retry_after: float | None) -> Verdict:
    """The verdict on an HTTP status that came without a fault."""
    if status in _SYSTEM:
        return Verdict("not_applied", "soap.auth", system=True)
    told = status == S.SERVICE_UNAVAILABLE and retry_after is not None
    if status in _NOT_APPLIED or told:
        busy = told or status == S.TOO_MANY_REQUESTS
        return Verdict("not_applied", "soap.busy" if busy else "soap.endpoint")
    if S.BAD_REQUEST <= status < S.INTERNAL_SERVER_ERROR:
        if status == S.REQUEST_TIMEOUT:
            return Verdict("unknown", "soap.deadline")
        return Verdict("rejected", "soap.data")
    return Verdict("unknown", "soap.server-fault")


def read_error(
    meaning: Meaning | None, fault: Fault | None, what: str
) -> MoatbridgeError | None:
    """The error that a rule, or a fault without one, means to a read.

    Args:
        meaning: What a rule said.
        fault: The fault, if there was one.
        what: Which operation, for the message.

    Returns:
        None for ``absent`` and ``applied``: no error.
    """
    words = f"{what} {_told(fault)}"
    if meaning is None:
        return None if fault is None else _read_fault(fault, words)
    if meaning in {"absent", "applied"}:
        return None
    kind, code = _READ_MEANINGS[meaning]
    return kind(words, code=code)


def read_status_error(
    status: int, retry_after: float | None, what: str
) -> MoatbridgeError:
    """The error of a read that was answered with a status and without a fault."""
    words = f"{what} was answered with HTTP {status}"
    if status in {S.NOT_FOUND, S.METHOD_NOT_ALLOWED, S.UNSUPPORTED_MEDIA_TYPE}:
        message = f"{words}: nobody speaks SOAP there. Check endpoint and port."
        return ConfigurationError(message, code="soap.endpoint")
    if status in _SYSTEM:
        message = f"{words}: it does not accept who we are. Check auth."
        return ConfigurationError(message, code="soap.auth")
    if status == S.TOO_MANY_REQUESTS or retry_after is not None:
        message = f"{words}; try again later."
        return NotApplied(message, code="soap.busy", retry_after=retry_after)
    if S.BAD_REQUEST <= status < S.INTERNAL_SERVER_ERROR:
        return Rejected(f"{words}.", code="soap.client-fault")
    return NotApplied(f"{words}; try again later.", code="soap.server-fault")


def _read_fault(fault: Fault, words: str) -> MoatbridgeError:
    if has_code(fault, _AUTH):
        message = f"{words}. Check auth, and the clocks of both sides."
        return ConfigurationError(message, code="soap.auth")
    if has_code(fault, _REFUSALS):
        message = f"{words}. Repeating it is pointless; add a rule if it is expected."
        return Rejected(message, code="soap.client-fault")
    return NotApplied(f"{words}; try again later.", code="soap.server-fault")


def _told(fault: Fault | None) -> str:
    if fault is None:
        return "was answered with a result that a rule refuses"
    code = fault.codes[-1][:60] if fault.codes else "no code"
    code = "".join(c for c in code if c.isprintable())
    said = f'; the service says: "{fault.text}"' if fault.text else ""
    return f"was answered with a fault ({code}){said}"
