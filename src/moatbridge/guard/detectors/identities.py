"""National identity numbers with a checksum, by ``python-stdnum`` where installed.

Only kinds whose form and checksum together make a chance hit rare are looked for.
Without the library this detector finds nothing; `available` says so.
"""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from moatbridge.guard.detectors.links import inside, link_spans
from moatbridge.guard.detectors.span import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moatbridge.guard.detectors.lists import Lists

_KINDS: Final = {
    "ch.ssn": r"756[. ]?[0-9]{4}[. ]?[0-9]{4}[. ]?[0-9]{2}",
    "es.dni": r"[0-9]{8}-?[A-HJ-NP-TV-Z]",
    "fi.hetu": r"[0-9]{6}[-+A-FU-Y][0-9]{3}[0-9A-FHJ-NPR-Y]",
    "fr.nir": r"[12] ?[0-9]{2} ?[0-9]{2} ?[0-9][0-9AB] ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}",
    "it.codicefiscale": (
        r"[A-Z]{6}[0-9LMNP-V]{2}[A-EHLMPRST][0-9LMNP-V]{2}[A-Z][0-9LMNP-V]{3}[A-Z]"
    ),
    "no.fodselsnummer": r"[0-3][0-9][0-9]{4} ?[0-9]{5}",
    "pl.pesel": r"[0-9]{2}[0-3][0-9][0-3][0-9]{6}",
    "se.personnummer": r"(?:19|20)?[0-9]{2}[01][0-9][0-3][0-9][-+][0-9]{4}",
    "us.ssn": r"[0-9]{3}-[0-9]{2}-[0-9]{4}",
}
"""Module of ``stdnum`` -> form."""

_FORM: Final = re.compile(
    r"(?<![\w.+-])(?:"
    + "|".join(f"(?P<{name.replace('.', '_')}>{form})" for name, form in _KINDS.items())
    + r")(?![\w-])"
)
_FIVE_DIGITS: Final = re.compile(r"[0-9].{0,12}[0-9].{0,3}[0-9]")


def available() -> bool:
    """Whether ``python-stdnum`` is installed."""
    return find_spec("stdnum") is not None


def national_id(text: str, _lists: Lists) -> Iterator[Span]:
    """National identity numbers with a valid checksum (needs ``python-stdnum``)."""
    if _FIVE_DIGITS.search(text) is None:
        return
    links: list[tuple[int, int]] | None = None
    for found in _FORM.finditer(text):
        check = _checker((found.lastgroup or "").replace("_", ".", 1))
        if check is None or not check.is_valid(found[0]):
            continue
        links = link_spans(text) if links is None else links
        if not inside(*found.span(), links):
            yield Span(*found.span(), "[national id]")


@lru_cache(maxsize=len(_KINDS))  # importing is slow, and so is not finding it
def _checker(name: str) -> Any:
    try:
        return import_module(f"stdnum.{name}")
    except ImportError:
        return None
