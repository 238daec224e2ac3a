"""What libpq's words about a failed connection mean: it gives no SQLSTATE for them."""

from __future__ import annotations

import pytest

from moatbridge_sql.engine._libpq import _fault

SHUT = "server closed the connection unexpectedly"


@pytest.mark.parametrize(
    "text",
    [
        "FATAL:  terminating connection due to unexpected postmaster exit",
        "FATAL:  terminating connection due to administrator command",
        "FATAL:  the database system is starting up",
        "FATAL:  the database system is not yet accepting connections",
        "FATAL:  the database system is in recovery mode",
        "FATAL:  sorry, too many clients already",
        "FATAL:  canceling authentication due to timeout",
        "FATAL:  no more connections allowed (max_client_conn)",
        f"{SHUT}\n\tThis probably means the server terminated abnormally",
        "SSL error: unexpected eof while reading",
        "SSL SYSCALL error: EOF detected",
        "Connection refused\n\tIs the server running on that host?",
    ],
)
def test_a_server_that_dies_while_one_logs_in_is_away_and_asks_no_person(text):
    assert _fault(f"connection failed: {text}") == (_fault("Connection refused"))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('FATAL:  password authentication failed for user "reader"', "auth"),
        ('FATAL:  role "reader" does not exist', "auth"),
        ('FATAL:  database "hr" does not exist', "auth"),
        ('FATAL:  database "hr" is not currently accepting connections', "auth"),
        ("FATAL:  Passwort-Authentifizierung fehlgeschlagen", "auth"),
        ("SSL error: certificate verify failed", "tls"),
        ("server does not support SSL, but SSL was required", "tls"),
        ("SSL error: tlsv1 alert unknown ca", "tls"),
    ],
)
def test_a_refusal_that_a_person_must_see_to_is_never_repeated(text, kind):
    assert _fault(f"connection failed: {text}").kind == kind
