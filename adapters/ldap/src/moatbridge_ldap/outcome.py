"""Judging one answer to a write (spec ldap 5). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moatbridge.errors import NotApplied
from moatbridge_ldap.wire.ber import SEQUENCE, header
from moatbridge_ldap.wire.errors import (
    ASSERTION_FAILED,
    BUSY,
    ENTRY_EXISTS,
    NO_SUCH_ATTRIBUTE,
    NO_SUCH_OBJECT,
    REFERRAL,
    RIGHTS,
    VALUE_EXISTS,
)
from moatbridge_ldap.wire.messages import ENTRY, entry
from moatbridge_ldap.wire.port import Unanswered

if TYPE_CHECKING:
    from moatbridge.changes import Op, Outcome
    from moatbridge_ldap.wire.messages import Names
    from moatbridge_ldap.wire.port import Answer, Done, Entry

POST_READ: Final = "1.3.6.1.1.13.2"
_BUSY: Final = frozenset({BUSY, 52, 80})
_OBJECT_CLASS: Final = 65
_REFUSED: Final = {
    RIGHTS: "ldap.rights",
    8: "ldap.rights",
    13: "ldap.rights",
    ENTRY_EXISTS: "ldap.conflict",
    _OBJECT_CLASS: "ldap.data",
}


def judge(answer: Answer, op: Op) -> tuple[Outcome, str, float | None]:
    """Outcome, code and seconds to wait for an answer that is not success.

    Args:
        answer: From the server, or the lack of one.
        op: What was asked for.
    """
    if isinstance(answer, Unanswered):
        return ("unknown" if answer.sent else "not_applied"), "ldap.lost", None
    code = answer.code
    if code in _BUSY:
        return "not_applied", "ldap.busy", 5.0
    if code in {ASSERTION_FAILED, NO_SUCH_ATTRIBUTE, VALUE_EXISTS} and op != "create":
        return "not_applied", "ldap.stale", None
    if code == REFERRAL:
        return "not_applied", "ldap.wrong-server", None
    if code == NO_SUCH_OBJECT:
        return _missing(op)
    return "rejected", _REFUSED.get(code, "ldap.data"), None


def _missing(op: Op) -> tuple[Outcome, str, float | None]:
    if op == "delete":
        return "applied", "", None
    return "rejected", ("ldap.gone" if op == "update" else "ldap.data"), None


def post_read(done: Done, wanted: Names) -> Entry | None:
    """The entry after the write, if the server sent it along (RFC 4527)."""
    value = done.controls.get(POST_READ)
    if not value:
        return None
    # slapd writes a plain SEQUENCE where the RFC has a SearchResultEntry.
    try:
        tag, start, stop = header(value, 0, len(value))
        if tag in {ENTRY, SEQUENCE}:
            return entry(value, start, stop, wanted, {})
    except (NotApplied, IndexError):
        pass  # the write has happened all the same; it is read back instead
    return None
