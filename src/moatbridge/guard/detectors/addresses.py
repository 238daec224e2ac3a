"""E-mail addresses, telephone numbers (ITU E.164) and links into the company."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Final

from moatbridge.guard.detectors.links import inside, link_spans
from moatbridge.guard.detectors.lists import matches_host
from moatbridge.guard.detectors.span import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moatbridge.guard.detectors.lists import Lists

_DOMAIN: Final = re.compile(
    r"@((?:[\w](?:[\w-]{0,61}[\w])?\.){1,8}[^\W\d_][\w-]{0,61}[\w])"
)
_LOCAL: Final = frozenset("!#$%&'*+/=?^_`{|}~.-")
_LONGEST_LOCAL: Final = 64

_PHONE: Final = re.compile(
    r"(?<![\w.+])\+[1-9](?:[ ()./-]{0,2}[0-9]){6,14}(?![\w])", re.ASCII
)
_LABELLED: Final = re.compile(
    r"(?<!\w)(?:tel(?:e(?:fon|phone|fono))?|phone|mobile?|handy|natel|fon|fax|cell|"
    r"call|tél(?:éphone)?|teléfono|puh|telefoon|telefonnummer|rufnummer|durchwahl)"
    r"(?:\.|nummer|-?nr\.?|number| no\.?)?\s{0,2}[.:=]?\s{0,3}"
    r"(?P<number>\(?[0-9](?:[ ()./-]{0,2}[0-9]){5,14})(?![\w])",
    re.IGNORECASE,
)
_LABELS: Final = (
    "tel", "tél", "phone", "mobil", "handy", "natel", "fon", "fax", "cell", "call",
    "puh", "ruf", "durchwahl",
)  # fmt: skip

_URL: Final = re.compile(
    r"(?:https?|ftps?|sftp|ssh|smb|ldaps?|file|rdp|jdbc:[a-z0-9]{1,20})://"
    r"(?:[^\s/@<>\"']{0,128}@)?(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[\w.-]{1,253})"
    r"(?:[:/?#][^\s<>\"']{0,2000})?"
    r"|\\\\(?P<share>[\w.-]{1,253})\\[^\s<>\"']{1,500}",
    re.IGNORECASE,
)
_HOST: Final = re.compile(
    r"(?<![\w.@-])(?:[\w](?:[\w-]{0,61}[\w])?\.){1,8}[\w-]{2,63}(?![\w])"
)


def email(text: str, lists: Lists) -> Iterator[Span]:
    """E-mail addresses of domains that are not the company's own."""
    if "@" not in text:
        return
    for found in _DOMAIN.finditer(text):
        start = _local_part(text, found.start())
        if start == found.start() or _at_home(found[1].lower(), lists):
            continue
        yield Span(start, found.end(), "[email]")


def phone(text: str, _lists: Lists) -> Iterator[Span]:
    """Numbers with ``+`` and country code, or any after a word such as *phone*."""
    links: list[tuple[int, int]] | None = None
    found = [match.span() for match in _PHONE.finditer(text)] if "+" in text else []
    lowered = text.lower()
    if any(label in lowered for label in _LABELS):
        found += [match.span("number") for match in _LABELLED.finditer(text)]
    for start, end in found:
        links = link_spans(text) if links is None else links
        if not inside(start, end, links):
            yield Span(start, end, "[phone]")


def internal_url(text: str, lists: Lists) -> Iterator[Span]:
    """Links to private addresses, bare names and internal hosts; hosts by pattern."""
    after = 0
    if "://" in text or "\\\\" in text:
        for found in _URL.finditer(text):
            host = found["host"] or found["share"]
            if found["share"] or _is_internal(host.lower(), lists):
                after = found.end()
                yield Span(found.start(), after, "[internal link]")
    if "." in text:
        yield from _bare_hosts(text, lists)


def _bare_hosts(text: str, lists: Lists) -> Iterator[Span]:
    for found in _HOST.finditer(text):
        if matches_host(found[0].lower(), lists.internal_hosts):
            yield Span(*found.span(), "[internal host]")


def _local_part(text: str, end: int) -> int:
    start = end
    while start and end - start < _LONGEST_LOCAL:
        before = text[start - 1]
        if not (before.isalnum() or before in _LOCAL):
            break
        start -= 1
    return start


def _at_home(domain: str, lists: Lists) -> bool:
    return any(
        domain == home or domain.endswith("." + home) for home in lists.home_domains
    )


def _is_internal(host: str, lists: Lists) -> bool:
    host = host.strip("[].")
    if matches_host(host, lists.internal_hosts):
        return True
    if host.replace(".", "").isdigit() or ":" in host:
        try:
            return not ipaddress.ip_address(host).is_global
        except ValueError:
            return False
    return "." not in host
