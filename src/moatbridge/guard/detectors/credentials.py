"""Credentials: keys by their issuers' prefixes, private keys, tokens, assignments."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from moatbridge.guard.detectors.span import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moatbridge.guard.detectors.lists import Lists

_SHOWN: Final = "[credential]"

_KEYS: Final = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}(?![0-9A-Za-z])"  # AWS
    r"|gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{22,255}"
    r"|glpat-[A-Za-z0-9_-]{20,255}"
    r"|xox[abeoprs]-[A-Za-z0-9-]{10,255}"  # Slack
    r"|(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{10,255}"  # Stripe
    r"|sk-[A-Za-z0-9_-]{32,255}"
    r"|AIza[0-9A-Za-z_-]{35}"  # Google
    r"|npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{40,255}"
    r"|SG\.[A-Za-z0-9_-]{16,64}\.[A-Za-z0-9_-]{16,64}"  # SendGrid
    r"|eyJ[A-Za-z0-9_-]{8,4000}\.eyJ[A-Za-z0-9_-]{4,4000}\.[A-Za-z0-9_-]{8,1000}"  # JWT
    r")"
)
_KEY_STARTS: Final = (
    "AKIA", "ASIA", "ABIA", "ACCA", "ghp_", "gho_", "ghu_", "ghs_", "ghr_",
    "github_pat_", "glpat-", "xox", "k_live_", "k_test_", "sk-", "AIza", "npm_",
    "pypi-", "SG.", "eyJ",
)  # fmt: skip
_BEGIN: Final = re.compile(r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----")
_END: Final = re.compile(r"-----END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----")
_LONGEST_PEM: Final = 16_000
_IN_LINK: Final = re.compile(r"://([^\s/:@]{0,64}:[^\s/@]{1,128})@")
_NAMES: Final = (
    "passwor", "passwd", "passphrase", "pwd", "kennwort", "passwort", "mot de passe",
    "contrase", "wachtwoord", "lösenord", "salasana", "hasło", "senha", "пароль",
    "secret", "api", "token", "access",
)  # fmt: skip
_ASSIGNED: Final = re.compile(
    r"(?:passwor[dt]|passwd|passphrase|pwd|kennwort|mot de passe|contrase(?:ñ|n)a"
    r"|wachtwoord|lösenord|salasana|hasło|senha|пароль|secret|api[ _-]?key|token"
    r"|access[ _-]?key)(?P<sign>[\"']?\s{0,3}(?:=|:=|:|=>|\bis\b|\bist\b)\s{0,3})"
    r"(?P<quote>[\"']?)(?P<value>[^\s\"'<>]{4,128})",
    re.IGNORECASE,
)
_PLACEHOLDER: Final = re.compile(
    r"[*x.•_\-]+|\$?\{.*|<.*|%.*%?"
    r"|\[[a-z ]+[0-9 ]*\].*"  # what a mask writes
    r"|(?:required|none|null|true|false|changed|expired|reset|unknown|missing|invalid"
    r"|optional|https?:.*)[.,;!)]*",
    re.IGNORECASE,
)
_SPECIAL: Final = re.compile(r"[0-9]|[^\w.,;:!?)\-]")


def credential(text: str, _lists: Lists) -> Iterator[Span]:
    """Keys, tokens, private keys, ``password = ...`` and links with a password."""
    if any(start in text for start in _KEY_STARTS):
        yield from (Span(*found.span(), _SHOWN) for found in _KEYS.finditer(text))
    if "PRIVATE KEY" in text:
        yield from _private_keys(text)
    if "://" in text and "@" in text:
        yield from (Span(*found.span(1), _SHOWN) for found in _IN_LINK.finditer(text))
    lowered = text.lower()
    if any(name in lowered for name in _NAMES):
        yield from _assignments(text)


def _private_keys(text: str) -> Iterator[Span]:
    """From the first line to the last, as far as there is one."""
    after = 0
    for found in _BEGIN.finditer(text):
        if found.start() < after:
            continue
        end = _END.search(text, found.end(), found.end() + _LONGEST_PEM)
        # without an end all of what could be the key is taken
        after = end.end() if end else min(len(text), found.end() + _LONGEST_PEM)
        yield Span(found.start(), after, _SHOWN)


def _assignments(text: str) -> Iterator[Span]:
    for found in _ASSIGNED.finditer(text):
        value = found["value"].rstrip(".,;:)")
        if _is_secret(value, found["sign"]):
            start = found.start("value")
            yield Span(start, start + len(value), _SHOWN)


def _is_secret(value: str, sign: str) -> bool:
    """An assignment takes anything; prose must show a digit or a special character."""
    if len(value) < 4 or _PLACEHOLDER.fullmatch(value):  # noqa: PLR2004 - as the pattern
        return False
    return "=" in sign or _SPECIAL.search(value) is not None
