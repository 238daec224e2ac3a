"""The company's own lists: markers, words, internal hosts, mail domains."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from moatbridge.guard.detectors.span import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moatbridge.config.guard_rules import Rules


class Lists(NamedTuple):
    """What detectors need to know of the company."""

    home_domains: tuple[str, ...] = ()
    markers: tuple[str, ...] = ()
    internal_hosts: tuple[str, ...] = ()
    words: tuple[str, ...] = ()

    @classmethod
    def of(cls, rules: Rules) -> Lists:
        """Those of one flow's rules."""
        domains = tuple(each.lower().lstrip("@.") for each in rules.home_domains)
        return cls(domains, rules.markers, rules.internal_hosts, rules.words)


def marker(text: str, lists: Lists) -> Iterator[Span]:
    """Words that say "not for everybody", such as *confidential*."""
    yield from _phrases(text, lists.markers, "[marker]")


def word(text: str, lists: Lists) -> Iterator[Span]:
    """The company's own list of words and phrases."""
    yield from _phrases(text, lists.words, "[removed]")


def matches_host(host: str, patterns: tuple[str, ...]) -> bool:
    """Whether a host (lower case) matches one of the patterns."""
    return bool(patterns) and _hosts(patterns).fullmatch(host) is not None


def _phrases(text: str, phrases: tuple[str, ...], shown: str) -> Iterator[Span]:
    if phrases:
        for found in _compiled(phrases).finditer(text):
            yield Span(*found.span(), shown)


# Kept per list: a bridge has a handful of them, and compiling takes a millisecond.
@lru_cache(maxsize=64)
def _compiled(phrases: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted(phrases, key=len, reverse=True)
    words = "|".join(
        r"\s{1,3}".join(map(re.escape, each.split())) for each in longest_first if each
    )
    heads = "".join(sorted({c for each in phrases for c in _cases(each.strip()[:1])}))
    ahead = f"(?=[{re.escape(heads)}])" if heads else "(?!)"
    return re.compile(rf"(?<!\w){ahead}(?:{words})(?!\w)", re.IGNORECASE)


def _cases(character: str) -> str:
    return character.lower() + character.upper()


@lru_cache(maxsize=64)
def _hosts(patterns: tuple[str, ...]) -> re.Pattern[str]:
    words = (re.escape(each.lower()).replace(r"\*", ".{0,253}") for each in patterns)
    return re.compile("|".join(words))
