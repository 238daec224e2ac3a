"""Payment cards (ISO/IEC 7812, Luhn) and bank accounts (IBAN, ISO 13616, mod 97)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from moatbridge.guard.detectors.links import inside, link_spans
from moatbridge.guard.detectors.span import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moatbridge.guard.detectors.lists import Lists

_DIGITS: Final = re.compile(r"(?<![\w.])[0-9](?:[ -]?[0-9]){12,}(?!\w)", re.ASCII)
_GROUP: Final = re.compile(r"[0-9]+")
_SHORTEST, _LONGEST = 13, 19
_SMALLEST_GROUP: Final = 3
_LUHN: Final = bytes.maketrans(b"0123456789", bytes([0, 2, 4, 6, 8, 1, 3, 5, 7, 9]))
_PLAIN: Final = bytes.maketrans(b"0123456789", bytes(range(10)))

_ISSUERS: Final = re.compile(
    r"4(?:[0-9]{12}|[0-9]{15}|[0-9]{18})"  # Visa
    r"|(?:5[1-5][0-9]{2}|222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]{12}"
    r"|3[47][0-9]{13}"  # American Express
    r"|(?:6011|65[0-9]{2}|64[4-9][0-9])[0-9]{12,15}"  # Discover
    r"|35(?:2[89]|[3-8][0-9])[0-9]{12,15}"  # JCB
    r"|3(?:0[0-5]|[68][0-9])[0-9]{11,16}"  # Diners Club
    r"|62[0-9]{14,17}"  # UnionPay
    r"|(?:5018|5020|5038|5893|6304|6759|676[1-3])[0-9]{8,15}"  # Maestro
)

_IBAN: Final = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}[0-9]{2}(?=[ -]?[A-Za-z0-9])")
_LENGTHS: Final = {
    country: length
    for length, countries in {
        15: "NO", 16: "BE", 18: "DK FI FO GL NL", 19: "MK SI",
        20: "AT BA EE KZ LT LU XK", 21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA", 23: "AE GI IL IQ TL",
        24: "AD CZ ES MD PK RO SA SE SK TN VG", 25: "LY PT ST", 26: "IS TR",
        27: "BI DJ FR GR IT MC MR SM", 28: "AL AZ BY CY DO GT HU LB NI PL SV",
        29: "BR EG PS QA UA", 30: "JO KW MU", 31: "MT SC", 32: "LC", 33: "RU",
    }.items()
    for country in countries.split()
}  # fmt: skip
"""Country -> length (IBAN registry)."""


def card(text: str, _lists: Lists) -> Iterator[Span]:
    """Payment card numbers with a known issuer's prefix and a valid check digit."""
    links: list[tuple[int, int]] | None = None
    for run in _DIGITS.finditer(text):
        for start, end in _numbers(text, run):
            if links is None:
                links = link_spans(text)
            if not inside(start, end, links):
                yield Span(start, end, f"[card ending {text[end - 4 : end]}]")


def iban(text: str, _lists: Lists) -> Iterator[Span]:
    """International bank account numbers of a known country with valid check digits."""
    after = 0
    for found in _IBAN.finditer(text):
        length = _LENGTHS.get(found[0][:2].upper())
        if length is None or found.start() < after:
            continue
        end, compact = _compact(text, found.start(), length)
        if end and _mod97(compact) == 1:
            after = end
            yield Span(found.start(), end, f"[iban ending {compact[-4:]}]")


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit (ISO/IEC 7812-1, annex B)."""
    raw = digits.encode()[::-1]
    return (sum(raw[::2].translate(_PLAIN)) + sum(raw[1::2].translate(_LUHN))) % 10 == 0


def _numbers(text: str, run: re.Match[str]) -> Iterator[tuple[int, int]]:
    """Card numbers in one run of digits with single separators.

    Other numbers may stand beside a card number, so each stretch of whole groups is
    looked at; groups of one or two digits only count when the whole run is one number.
    """
    groups = [m.span() for m in _GROUP.finditer(text, run.start(), run.end())]
    digits = sum(end - start for start, end in groups)
    if digits <= _LONGEST and _is_card(text, run.start(), run.end()):
        yield run.span()
        return
    after = 0
    for first, (start, _) in enumerate(groups):
        if start < after or (first and text[start] not in "23456"):
            continue
        end = _stretch(text, groups, first)
        if end:
            after = end
            yield start, end


def _stretch(text: str, groups: list[tuple[int, int]], first: int) -> int:
    start, digits = groups[first][0], 0
    for begin, end in groups[first : first + 6]:
        digits += end - begin
        if digits >= _SHORTEST and _is_card(text, start, end):
            return end
        if end - begin < _SMALLEST_GROUP or digits > _LONGEST:
            return 0
    return 0


def _is_card(text: str, start: int, end: int) -> bool:
    number = text[start:end].replace(" ", "").replace("-", "")
    if not _SHORTEST <= len(number) <= _LONGEST or not _ISSUERS.fullmatch(number):
        return False
    return luhn(number) and len(set(number)) > 1  # 4444... is a filler


def _compact(text: str, start: int, length: int) -> tuple[int, str]:
    """Where ``length`` letters and digits end, single separators left out, and they."""
    found: list[str] = []
    position = start
    while len(found) < length and position < len(text):
        character = text[position]
        if character.isascii() and character.isalnum():
            found.append(character)
        elif character not in " -" or text[position - 1] in " -":
            return 0, ""
        position += 1
    follows = text[position : position + 1]
    if len(found) < length or (follows.isascii() and follows.isalnum()):
        return 0, ""
    return position, "".join(found).upper()


def _mod97(compact: str) -> int:
    moved = compact[4:] + compact[:4]
    return int("".join(str(int(character, 36)) for character in moved)) % 97
