"""A second net under secrets: what slipped into a log line is blotted out.

The first net is that secrets are references, resolved in the argument list of the call
that needs them. This one replaces every secret value it has learned, in each form it
may take, in messages, arguments, tracebacks and extra fields (security 4).
"""

from __future__ import annotations

import base64
import json
import logging
import re
import threading
import urllib.parse
from typing import TYPE_CHECKING, Any, Final

from moatbridge.config.secrets import secrets_in
from moatbridge.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOT: Final = "[redacted]"

DRIVER_LOGGERS: Final = (
    "httpx2",
    "httpcore2",
    "zeep",
    "paramiko",
    "ldap3",
    "sqlalchemy.engine",
    "urllib3",
)
"""Loggers that were seen to print secrets or records below WARNING (security 5)."""

_SHORTEST: Final = 6
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
_formatter: Final = logging.Formatter()


def hold_driver_loggers() -> None:
    """Raise the drivers' loggers to WARNING; a stricter level stays as it is."""
    for name in DRIVER_LOGGERS:
        logger = logging.getLogger(name)
        if logger.level < logging.WARNING:
            logger.setLevel(logging.WARNING)


class Redactor:
    """Replaces the secrets it has learned. Safe for threads.

    It has to hold the values, so it must never be shown, stored or sent.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._forms: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def learn(self, settings: Any) -> None:
        """Resolve and remember every secret in some settings, as ``open`` is about to.

        A secret that cannot be resolved is skipped: whoever needs it will say so.
        """
        for secret in secrets_in(settings):
            try:
                self.add(secret.get_secret_value())
            except ConfigurationError:
                continue

    def add(self, value: str) -> None:
        """Remember one secret value in all its forms."""
        forms = {form for form in _forms(value) if len(form) >= _SHORTEST}
        with self._lock:
            if not forms <= self._forms:
                self._forms |= forms
                self._pattern = _pattern(self._forms)

    def redact(self, text: str) -> str:
        """The text without any secret that was learned."""
        pattern = self._pattern
        return text if pattern is None else pattern.sub(BLOT, text)

    def __repr__(self) -> str:
        return "Redactor()"


class RedactionFilter(logging.Filter):
    """Put it on handlers: a filter on a logger does not see its children's records.

    Args:
        redactor: What knows the secrets.
    """

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact the record in place; it is always let through."""
        self._message(record)
        self._traceback(record)
        for name, value in vars(record).items():
            if name not in _STANDARD:
                text = value if isinstance(value, str) else repr(value)
                clean = self._redactor.redact(text)
                if clean != text:
                    setattr(record, name, clean)
        return True

    def _message(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
        except Exception:  # noqa: BLE001 - the handler reports a bad format itself
            text = f"{record.msg} {record.args}"
        clean = self._redactor.redact(text)
        if clean != text:
            record.msg, record.args = clean, None

    def _traceback(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            text = record.exc_text or _formatter.formatException(record.exc_info)
            clean = self._redactor.redact(text)
            if clean != text:  # the exception itself would be formatted again
                record.exc_info = None
            record.exc_text = clean
        elif record.exc_text:
            record.exc_text = self._redactor.redact(record.exc_text)
        if record.stack_info:
            record.stack_info = self._redactor.redact(record.stack_info)


def _pattern(forms: set[str]) -> re.Pattern[str]:
    """One pattern for all forms; by first character, so that few are tried anywhere.

    Longest first: a secret inside another must not leave its tail.
    """
    rests: dict[str, list[str]] = {}
    for form in sorted(forms, key=len, reverse=True):
        rests.setdefault(form[0], []).append(re.escape(form[1:]))
    branches = (
        f"{re.escape(first)}(?:{'|'.join(rest)})" for first, rest in rests.items()
    )
    return re.compile("|".join(branches))


def _forms(value: str) -> Iterator[str]:
    yield value
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield repr(value)[1:-1]
    yield urllib.parse.quote(value, safe="")
    yield urllib.parse.quote(value)
    yield urllib.parse.quote_plus(value)
    raw = value.encode()
    yield raw.hex()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(raw).decode().rstrip("=")
        for shift in range(3):
            yield _inside(encode(b"\0" * shift + raw).decode(), shift, len(raw))


def _inside(text: str, shift: int, length: int) -> str:
    """The part of a base64 text that depends on nothing but the secret."""
    first = -(-shift * 8 // 6)
    return text[first : (shift + length) * 8 // 6]
