"""Result codes (RFC 4511 A.1) and how each maps to an error by recovery."""

from __future__ import annotations

import re
import ssl
from typing import TYPE_CHECKING, Final

from moatbridge.errors import (
    ConfigurationError,
    CursorTooOld,
    MoatbridgeError,
    NotApplied,
)

if TYPE_CHECKING:
    from moatbridge_ldap.wire.port import Done

SUCCESS: Final = 0
COMPARE_FALSE: Final = 5
SIZE_LIMIT: Final = 4
REFERRAL: Final = 10
ADMIN_LIMIT: Final = 11
NO_SUCH_ATTRIBUTE: Final = 16
VALUE_EXISTS: Final = 20
NO_SUCH_OBJECT: Final = 32
RIGHTS: Final = 50
BUSY: Final = 51
UNWILLING: Final = 53
ENTRY_EXISTS: Final = 68
ASSERTION_FAILED: Final = 122
REFRESH_REQUIRED: Final = 4096

NAMES: Final = {
    0: "success", 1: "operationsError", 2: "protocolError", 3: "timeLimitExceeded",
    4: "sizeLimitExceeded", 7: "authMethodNotSupported",
    8: "strongerAuthRequired", 10: "referral", 11: "adminLimitExceeded",
    12: "unavailableCriticalExtension", 13: "confidentialityRequired",
    16: "noSuchAttribute", 17: "undefinedAttributeType", 18: "inappropriateMatching",
    19: "constraintViolation", 20: "attributeOrValueExists",
    21: "invalidAttributeSyntax", 32: "noSuchObject", 34: "invalidDNSyntax",
    48: "inappropriateAuthentication", 49: "invalidCredentials",
    50: "insufficientAccessRights", 51: "busy", 52: "unavailable",
    53: "unwillingToPerform", 64: "namingViolation", 65: "objectClassViolation",
    66: "notAllowedOnNonLeaf", 67: "notAllowedOnRDN", 68: "entryAlreadyExists",
    69: "objectClassModsProhibited", 71: "affectsMultipleDSAs", 80: "other",
    118: "canceled", 122: "assertionFailed", 4096: "e-syncRefreshRequired",
}  # fmt: skip

_AD_LOGON: Final = {
    "525": "no such user", "52e": "bad credentials", "530": "outside logon hours",
    "531": "workstation not permitted", "532": "password expired",
    "533": "account disabled", "701": "account expired",
    "773": "password must be changed", "775": "account locked",
    "80090346": "channel binding mismatch",
}  # fmt: skip

_SEARCH: Final[dict[int, tuple[str, str]]] = {
    SIZE_LIMIT: (
        "ldap.size-limit",
        "the account may not read that many entries; ask for a higher size limit",
    ),
    ADMIN_LIMIT: (
        "ldap.size-limit",
        "an administrative limit was exceeded even with small pages",
    ),
    NO_SUCH_OBJECT: ("ldap.no-base", "the base does not exist, or is hidden from us"),
    RIGHTS: ("ldap.rights", "the account may not read there"),
    REFERRAL: ("ldap.wrong-server", "this server does not hold the base"),
    2: ("ldap.refused", "the server did not accept the request"),
    12: ("ldap.unsupported", "the server does not support a control we require"),
    18: ("ldap.refused", "the filter does not suit an attribute's matching rules"),
    8: ("net.tls.required", "the server demands TLS"),
    13: ("net.tls.required", "the server demands TLS"),
}
_RETRY: Final = frozenset({1, 3, BUSY, 52, 80})


def name_of(code: int) -> str:
    """The RFC's name of a result code, with its number."""
    return f"{NAMES.get(code, 'unknown')} ({code})"


def protocol(message: str) -> NotApplied:
    """An impossible or unparsable answer; the session must be closed."""
    return NotApplied(
        f"The server's answer breaks the protocol: {message}.", code="ldap.protocol"
    )


def lost(message: str) -> NotApplied:
    """The connection ended while an answer was awaited."""
    return NotApplied(message, code="ldap.lost")


def search_error(done: Done, server: str, base: str) -> MoatbridgeError:
    """The error for a search that did not end with success (spec ldap 5).

    Args:
        done: The final message of the search.
        server: Url of the server, for the message.
        base: DN of the base; entry DNs and values never appear in errors.
    """
    place = f"{name_of(done.code)} from {server} for base {base!r}"
    if done.code == REFRESH_REQUIRED:
        return CursorTooOld(f"The server wants a full refresh: {place}.")
    if done.code in _SEARCH:
        code, words = _SEARCH[done.code]
        return ConfigurationError(
            f"Search refused: {words}: {place}.", code=code, result=done.code
        )
    if done.code in _RETRY:
        wait = 5.0 if done.code == BUSY else None
        return NotApplied(
            f"Search not finished: {place}.", code="ldap.search", retry_after=wait
        )
    return ConfigurationError(
        f"Search refused: {place}.", code="ldap.refused", result=done.code
    )


def bind_error(done: Done, server: str) -> MoatbridgeError:
    """The error for a refused bind. Bad credentials are never retried (spec 10)."""
    place = f"{name_of(done.code)} from {server}"
    if done.code in {8, 13}:
        return ConfigurationError(
            f"The server demands TLS before a bind: {place}.", code="net.tls.required"
        )
    if done.code in {1, 3, BUSY, 52, 80}:
        return NotApplied(
            f"The server could not bind us now: {place}.", code="ldap.unreachable"
        )
    hint = _logon_hint(done.text)
    return ConfigurationError(
        f"The directory refused the account: {place}{hint}. Check auth.bind_dn and "
        "auth.password; repeated attempts may lock the account.",
        code="ldap.auth",
    )


def _logon_hint(text: str) -> str:
    # Active Directory's free text: only its `data` code is safe to show.
    found = re.search(r"\bdata ([0-9a-f]{3,4})\b", text) or re.match(
        r"(80090346)", text
    )
    words = _AD_LOGON.get(found.group(1)) if found else None
    return f": {words}" if words else ""


def bad_certificate(
    error: ssl.SSLCertVerificationError, server: str
) -> ConfigurationError:
    """The error for a certificate that does not fit: says which check failed."""
    kinds = {10: "expired", 9: "not-yet-valid", 62: "name", 64: "name"}
    kind = kinds.get(error.verify_code, "issuer")
    return ConfigurationError(
        f"The certificate of {server} is not accepted: {error.verify_message}. Check "
        "tls.ca_file, tls.server_name or the server's certificate.",
        code=f"net.tls.{kind}",
    )


def no_handshake(error: ssl.SSLError, server: str) -> MoatbridgeError:
    """The error for a TLS handshake that did not come to its end."""
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return NotApplied(
            f"{server} cut the TLS handshake; is that its TLS port (636), or is it "
            "ldap:// with starttls?",
            code="ldap.unreachable",
        )
    return ConfigurationError(
        f"No TLS session with {server}: {error.reason or 'handshake failed'}.",
        code="net.tls.protocol",
    )
